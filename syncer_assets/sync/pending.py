"""Which partitions have something to read: one question for the maximum of each table (DESIGN 4 and 5, rule 7)."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..model.manifest import Manifest
from ..model.marks import CursorColumn, Mark, encode, is_below
from ..model.partition import Partition
from ..model.table import TableSpec
from ..sources.base import Source
from .lake import Lake, Place
from .rules import resolve

HEADS_AT_ONCE = 8


@dataclass(frozen=True)
class Pending:
    """A partition to read, why, and the state that asks for it: the same `fingerprint` means the same request."""

    spec: TableSpec
    partition: str
    reason: str
    maximum: str
    seq: int

    @property
    def fingerprint(self) -> str:
        return f"{self.spec.source}:{self.spec.table}:{self.partition}:{self.seq}:{self.maximum}"


@dataclass(frozen=True)
class TableKeys:
    """The partitions that a table has now, and its cursor's maximum."""

    keys: tuple[str, ...]
    maximum: Mark | None


def partition_keys(source: Source, spec: TableSpec) -> list[str]:
    """The keys that exist now: ids up to the maximum, times up to now, prefixes as listed or as the column has them."""
    return list(table_keys(source, spec, _cursor(source, spec)).keys)


def pending(source: Source, lake: Lake, specs: Sequence[TableSpec]) -> list[Pending]:
    """The partitions of these tables that have something to read. Tables without a cursor are left to schedules."""
    return [found for spec in specs if spec.cursor for found in pending_of(source, lake, spec)]


def pending_of(source: Source, lake: Lake, spec: TableSpec) -> list[Pending]:
    """The pending partitions of one table with a cursor."""
    cursor = _cursor(source, spec)
    assert cursor is not None
    known = table_keys(source, spec, cursor)
    with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
        heads = list(pool.map(lambda key: lake.head(Place(spec.source, spec.table, key)), known.keys))
    found = []
    for key, head in zip(known.keys, heads, strict=True):
        reason = _reason(head, known.maximum, spec.partitions.partition(key, cursor.kind))
        if reason:
            maximum = ",".join(encode(known.maximum) or ())
            found.append(Pending(spec, key, reason, maximum, head.seq if head else 0))
    return found


def table_keys(source: Source, spec: TableSpec, cursor: CursorColumn | None) -> TableKeys:
    """The partitions of a table and its maximum."""
    value = source.maximum(spec.table, cursor) if cursor else None
    scheme = spec.partitions
    if scheme.by == "prefix" and not scheme.prefixes and scheme.column and scheme.length:
        keys = source.distinct_prefixes(spec.table, scheme.column, scheme.length)
    else:
        keys = scheme.keys(value, source.clock(spec.table))
    return TableKeys(tuple(keys), None if value is None else (value,))


def _cursor(source: Source, spec: TableSpec) -> CursorColumn | None:
    return resolve(spec, source.describe(spec.table)).cursor if spec.cursor else None


def _reason(head: Manifest | None, maximum: Mark | None, partition: Partition) -> str | None:
    """Why a partition should be read, or None. A maximum beyond the end counts as the end."""
    if maximum is None or (partition.start is not None and is_below(maximum, (partition.start,))):
        return None
    if partition.end is not None and not is_below(maximum, (partition.end,)):
        maximum = (partition.end,)
    if head is None:
        return "never read"
    if head.closed:
        return None
    if is_below(head.high, maximum):
        return "new rows"
    return "rows not final yet" if is_below(head.safe, head.high) else None
