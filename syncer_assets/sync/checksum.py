"""Source against warehouse: counts and order-independent checksums by key bucket, down to the keys that differ."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..model.columns import Column
from ..model.errors import ConfigError
from ..model.marks import Mark, Scalar, decode, is_below
from ..model.table import TableSpec, Target
from ..sources.base import Source
from ..warehouses.base import Warehouse
from .rules import Resolved, resolve

ROWS_PER_BUCKET = 1_000
BUCKETS_LEAST, BUCKETS_MOST = 16, 16_384
KEYS_ASKED_MOST = 50_000


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
    def equal(self) -> bool:
        """True if nothing differs but what is still to come, and deletes where `deletes: ignore` says so."""
        return not (self.rows_missing or self.rows_changed or (self.rows_extra and not self.deletes_ignored))

    @property
    def description(self) -> str:
        if self.equal:
            pending = f", {self.rows_pending} rows not final yet" if self.rows_pending else ""
            return f"{self.rows_target} rows equal in {self.buckets} buckets{pending}"
        return f"missing {self.rows_missing}, changed {self.rows_changed}, extra {self.rows_extra} rows"


def compare(source: Source, warehouse: Warehouse, spec: TableSpec, target: Target) -> Comparison:
    """One scan a side; keys only of the buckets that differ. Columns that are hashed on the way are left out.

    Without a key whole rows are compared: a changed one is missing and extra. Raises ConfigError for a hashed
    key, and where the target was never loaded.
    """
    started = time.monotonic()
    facts = source.describe(spec.table)
    resolved = resolve(spec, facts)
    columns = [column for column in resolved.columns if column.transform != "hash"]
    key = _comparable_key(spec, resolved, columns)
    if not warehouse.table_columns(target):
        raise ConfigError(f"{target.name} was never loaded", table=spec.table, fix="materialise it, then compare")
    buckets = min(BUCKETS_MOST, max(BUCKETS_LEAST, facts.rows_estimate // ROWS_PER_BUCKET))
    left = source.checksum(spec.table, columns, key, buckets)
    right = warehouse.checksum(target, columns, key, buckets)
    different = sorted(bucket for bucket in left.keys() | right.keys() if left.get(bucket) != right.get(bucket))
    missing = changed = extra = waiting = 0
    if different:
        there = source.key_hashes(spec.table, columns, key, buckets, different)
        here = warehouse.key_hashes(target, columns, key, buckets, different)
        absent = [k for k in there if k not in here]
        other = [k for k, row_hash in there.items() if k in here and here[k] != row_hash]
        extra = sum(1 for k in here if k not in there)
        pending = _pending(source, warehouse, spec, resolved, target, columns, key, [*absent, *other])
        missing = sum(1 for k in absent if k not in pending)
        changed = sum(1 for k in other if k not in pending)
        if not (resolved.key or absent or other or extra):
            missing, extra = _copies(left, right)
        waiting = len(pending)
    return Comparison(
        table=spec.table,
        rows_source=sum(rows for rows, _ in left.values()),
        rows_target=sum(rows for rows, _ in right.values()),
        buckets=buckets,
        buckets_different=len(different),
        rows_missing=missing,
        rows_changed=changed,
        rows_extra=extra,
        rows_pending=waiting,
        seconds=round(time.monotonic() - started, 3),
        columns_left_out=tuple(column.name for column in resolved.columns if column.transform == "hash"),
        deletes_ignored=spec.deletes == "ignore",
    )


def _comparable_key(spec: TableSpec, resolved: Resolved, columns: Sequence[Column]) -> tuple[str, ...]:
    plain = {column.name for column in columns}
    if resolved.key and plain.issuperset(resolved.key):
        return resolved.key
    if resolved.key:
        raise ConfigError("the key is hashed, so rows cannot be matched", table=spec.table, fix="leave the key plain")
    return tuple(column.name for column in columns)


def _copies(left: dict[int, tuple[int, int]], right: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """(missing, extra) where both sides have the same rows, but not as often: that only tables without a key can."""
    more = [left.get(bucket, (0, 0))[0] - right.get(bucket, (0, 0))[0] for bucket in left.keys() | right.keys()]
    return sum(n for n in more if n > 0), -sum(n for n in more if n < 0)


def _pending(
    source: Source,
    warehouse: Warehouse,
    spec: TableSpec,
    resolved: Resolved,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    doubtful: Sequence[tuple[str, ...]],
) -> set[tuple[str, ...]]:
    """The doubtful keys whose cursor lies above what the warehouse has loaded as final: they are still to come."""
    if resolved.cursor is None or not spec.cursor or not doubtful:
        return set()
    floors = _floors(warehouse, spec, resolved, target)
    found: set[tuple[str, ...]] = set()
    for start in range(0, len(doubtful), KEYS_ASKED_MOST):
        part = doubtful[start : start + KEYS_ASKED_MOST]
        values = source.cursor_values(spec.table, columns, key, resolved.cursor.name, part)
        found |= {k for k in part if k not in values or _is_pending(values[k], floors)}
    return found


Floor = tuple[Scalar | None, Scalar | None, Mark | None]


def _floors(warehouse: Warehouse, spec: TableSpec, resolved: Resolved, target: Target) -> list[Floor]:
    """(start, end, safe) of every partition that the warehouse has loaded."""
    assert resolved.cursor is not None
    floors: list[Floor] = []
    for mark in warehouse.watermarks(target):
        partition = spec.partitions.partition(mark.partition, resolved.cursor.kind)
        safe = decode(json.loads(mark.safe)[:1], resolved.order) if mark.safe else None
        floors.append((partition.start, partition.end, safe))
    return floors


def _is_pending(value: Scalar | None, floors: Sequence[Floor]) -> bool:
    if value is None:
        return False
    marks = [
        safe
        for start, end, safe in floors
        if (start is None or not is_below((value,), (start,))) and (end is None or is_below((value,), (end,)))
    ]
    return not marks or any(is_below(safe, (value,)) for safe in marks)
