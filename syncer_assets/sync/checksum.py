"""Source against warehouse: counts and order-independent checksums by key bucket, one scan a side."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt

from ..model.columns import Column
from ..model.errors import ConfigError
from ..model.table import TableSpec, Target
from ..sources.base import Source, TableFacts
from ..warehouses.base import Warehouse
from .differences import Compared, Differences, Sums, different, find_rows
from .rules import Resolved, resolve

ROWS_PER_BUCKET = 1_000
BUCKETS_LEAST, BUCKETS_MOST = 17, 16_381
ROW_BYTES_LEAST = 200
"""Of a table that was never analysed, whose rows are guessed by its size on disk."""


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. Rows above what is loaded and final are `rows_pending`, no difference.

    `rows_missing` are in the source only, `rows_extra` in the warehouse only (deleted at the source, or a changed key),
    `rows_changed` differ in a column. Keys are not named here: they may be personal.
    """

    table: str
    rows_source: int
    rows_target: int
    buckets: int
    buckets_different: int
    rows_missing: int
    rows_changed: int
    rows_extra: int
    rows_pending: int
    seconds: float
    columns_left_out: tuple[str, ...] = ()
    deletes_ignored: bool = False

    @property
    def rows_per_second(self) -> float:
        """Rows of the larger side; each side has to be read whole."""
        return round(max(self.rows_source, self.rows_target) / self.seconds, 1) if self.seconds else 0.0

    @property
    def equal(self) -> bool:
        """True if nothing differs but what is still to come, and deletes where `deletes: ignore` says so."""
        return not (self.rows_missing or self.rows_changed or (self.rows_extra and not self.deletes_ignored))

    @property
    def description(self) -> str:
        if self.equal:
            pending = f", {self.rows_pending} rows not final yet" if self.rows_pending else ""
            return f"{self.rows_target} rows equal in {self.buckets} buckets{pending}"
        return f"missing {self.rows_missing}, changed {self.rows_changed}, extra {self.rows_extra} rows"


@dataclass(frozen=True)
class Scan:
    """A comparison with what it found: the differing buckets, and the differing rows by key."""

    table: Compared
    comparison: Comparison
    different: tuple[int, ...]
    found: Differences


def compare(source: Source, warehouse: Warehouse, spec: TableSpec, target: Target) -> Comparison:
    """One scan a side; keys only of the buckets that differ. Columns that a rule hides are left out,
    and those that the warehouse cannot compare.

    Without a key whole rows are compared: a changed one is missing and extra. Raises ConfigError for a hashed
    key, and where the target was never loaded.
    """
    return scan(source, warehouse, spec, target).comparison


def scan(source: Source, warehouse: Warehouse, spec: TableSpec, target: Target, again: Scan | None = None) -> Scan:
    """As `compare`, with the rows that differ. `again`: only the buckets that differed then."""
    started = time.monotonic()
    facts = source.describe(spec.table)
    table = _compared(spec, target, resolve(spec, facts), facts, warehouse)
    buckets, only = (again.comparison.buckets, again.different) if again else (buckets_of(facts), None)
    left, right = _sums(source, warehouse, table, buckets, only)
    found = find_rows(source, warehouse, table, buckets, left, right)
    missing, extra = found.counts["missing"], found.counts["extra"]
    differing = different(left, right)
    if differing and not (table.resolved.key or any(found.counts.values())):
        missing, extra = _copies(left, right)
    comparison = Comparison(
        table=spec.table,
        rows_source=sum(rows for rows, _ in left.values()),
        rows_target=sum(rows for rows, _ in right.values()),
        buckets=buckets,
        buckets_different=len(differing),
        rows_missing=missing,
        rows_changed=found.counts["changed"],
        rows_extra=extra,
        rows_pending=found.counts["pending"],
        seconds=round(time.monotonic() - started, 3),
        columns_left_out=tuple(column.name for column in table.resolved.columns if column not in table.columns),
        deletes_ignored=spec.deletes == "ignore",
    )
    return Scan(table, comparison, tuple(differing), found)


def _compared(spec: TableSpec, target: Target, resolved: Resolved, facts: TableFacts, warehouse: Warehouse) -> Compared:
    blind = warehouse.incomparable(resolved.columns)
    columns = tuple(column for column in resolved.columns if not column.hidden and column.name not in blind)
    key = _comparable_key(spec, resolved, columns)
    there = {column.name for column in warehouse.table_columns(target)}
    if not there:
        raise ConfigError(f"{target.name} was never loaded", table=spec.table, fix="materialise it, then compare")
    names = dict.fromkeys([*spec.cursor[:1], *([spec.partitions.column] if spec.partitions.column else [])])
    beside = tuple(column.column for column in facts.columns if column.column.name in names)
    return Compared(spec, target, resolved, columns, key, beside)


def _sums(
    source: Source, warehouse: Warehouse, table: Compared, buckets: int, only: Sequence[int] | None
) -> tuple[Sums, Sums]:
    """Both sides at once: their order matters only where rows are looked at."""
    if only is not None and not only:
        return {}, {}
    with ThreadPoolExecutor(1) as other:
        asked = (table.spec.table, table.columns, table.key, buckets, only)
        there = other.submit(source.checksum, *asked, where=table.resolved.where)
        here = warehouse.checksum(table.target, table.columns, table.key, buckets, only)
        return there.result(), here


def buckets_of(facts: TableFacts) -> int:
    """How many buckets a table is compared in, by the server's estimate of its rows: a prime."""
    rows = facts.rows_estimate if facts.rows_estimate >= 0 else facts.bytes_estimate // ROW_BYTES_LEAST
    most = min(BUCKETS_MOST, max(BUCKETS_LEAST, rows // ROWS_PER_BUCKET))
    return next(n for n in range(most, 1, -1) if all(n % divisor for divisor in range(2, isqrt(n) + 1)))


def _comparable_key(spec: TableSpec, resolved: Resolved, columns: Sequence[Column]) -> tuple[str, ...]:
    plain = {column.name for column in columns}
    if resolved.key and plain.issuperset(resolved.key):
        return resolved.key
    if resolved.key:
        raise ConfigError(
            "the key is hashed, or of a type that the warehouse cannot compare, so rows cannot be matched",
            table=spec.table,
            fix="leave the key plain, or declare another one",
        )
    return tuple(column.name for column in columns)


def _copies(left: Sums, right: Sums) -> tuple[int, int]:
    """(missing, extra) where both sides have the same rows, but not as often: that only tables without a key can."""
    more = [left.get(bucket, (0, 0))[0] - right.get(bucket, (0, 0))[0] for bucket in left.keys() | right.keys()]
    return sum(n for n in more if n > 0), -sum(n for n in more if n < 0)
