"""Which partitions have something to read: one question for the maximum of each table (DESIGN 4 and 5, rule 7)."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from ..model.errors import DbError, SyncError
from ..model.marks import CursorColumn, Mark, encode, is_below
from ..model.partition import Partition
from ..model.table import TableSpec
from ..sources.base import Source
from .heads import Head, head_of
from .lake import Lake, Place
from .rules import resolve

HEADS_AT_ONCE = 16
FACTS_SECONDS = 600.0
CURSORS_MOST = 20_000


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
    found, errors = pending_and_errors(source, lake, specs)
    if errors:
        raise errors[0]
    return found


def pending_of(source: Source, lake: Lake, spec: TableSpec) -> list[Pending]:
    """The pending partitions of one table with a cursor."""
    assert spec.cursor, f"{spec.table} has no cursor"
    return pending(source, lake, [spec])


def pending_and_errors(source: Source, lake: Lake, specs: Sequence[TableSpec]) -> tuple[list[Pending], list[SyncError]]:
    """The same, and the errors of the tables that could not be looked at. Raises DbError if the source is not there.

    The lake answers for one table while the source is asked for the next ones.
    """
    known: list[tuple[TableSpec, CursorColumn, TableKeys, list[Future[Head | None]]]] = []
    errors: list[SyncError] = []
    found: list[Pending] = []
    tick = _Tick(source)
    with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
        for spec in specs:
            if not spec.cursor:
                continue
            try:
                cursor = tick.cursor(spec)
                keys = table_keys(source, spec, cursor, tick.clock)
            except SyncError as error:
                if isinstance(error, DbError) and error.phase == "connect":
                    raise
                errors.append(error)
                continue
            heads = [pool.submit(head_of, lake, Place(spec.source, spec.table, key)) for key in keys.keys]
            known.append((spec, cursor, keys, heads))
        for spec, cursor, keys, heads in known:
            try:
                found += _pending(spec, cursor, keys, [head.result() for head in heads])
            except SyncError as error:
                errors.append(error)
    return found, errors


def table_keys(
    source: Source, spec: TableSpec, cursor: CursorColumn | None, clock: Callable[[str], datetime] | None = None
) -> TableKeys:
    """The partitions of a table and its maximum. `clock` stands for the source's."""
    value = source.maximum(spec.table, cursor) if cursor else None
    scheme = spec.partitions
    if scheme.by == "prefix" and not scheme.prefixes and scheme.column and scheme.length:
        found = source.distinct_prefixes(spec.table, scheme.column, scheme.length)
        keys = [prefix for prefix in found if prefix]  # rows without a text are outside: see `outside`
    else:
        keys = scheme.keys(value, (clock or source.clock)(spec.table) if scheme.by == "time" else datetime.now(UTC))
    return TableKeys(tuple(keys), None if value is None else (value,))


def _pending(
    spec: TableSpec, cursor: CursorColumn, known: TableKeys, heads: Sequence[Head | None]
) -> Iterator[Pending]:
    maximum = ",".join(encode(known.maximum) or ())
    for key, head in zip(known.keys, heads, strict=True):
        if head is not None and head.high is not None and head.cursor not in (None, cursor):
            reason = "another cursor"  # which the sync refuses, and says the way out
        else:
            reason = _reason(head, known.maximum, spec.partitions.partition(key, cursor.kind))
        if reason:
            yield Pending(spec, key, reason, maximum, head.seq if head else 0)


class _Tick:
    """What one look at many tables asks a source once, and what it need not ask again for a while.

    A column that becomes another one at the source is noticed by the sync itself at once, here after `FACTS_SECONDS`.
    """

    def __init__(self, source: Source):
        self._source = source
        self._now: datetime | None = None

    def clock(self, table: str) -> datetime:
        """The source's time, that of the first table."""
        self._now = self._now or self._source.clock(table)
        return self._now

    def cursor(self, spec: TableSpec) -> CursorColumn:
        """The first cursor column of a table. Raises ConfigError where the table is not as `spec` needs it."""
        key, now = (self._database, spec), time.monotonic()
        asked, cursor = _cursors.get(key, (float("-inf"), None))
        if cursor is None or now - asked > FACTS_SECONDS:
            cursor = _cursor(self._source, spec)
            assert cursor is not None
            if len(_cursors) >= CURSORS_MOST:
                _cursors.clear()
            _cursors[key] = (now, cursor)
        return cursor

    @cached_property
    def _database(self) -> str:
        return self._source.identity().database


_cursors: dict[tuple[str, TableSpec], tuple[float, CursorColumn]] = {}
"""By database and table: when it was asked for, by the clock of this process, and the cursor."""


def _cursor(source: Source, spec: TableSpec) -> CursorColumn | None:
    return resolve(spec, source.describe(spec.table)).cursor if spec.cursor else None


def _reason(head: Head | None, maximum: Mark | None, partition: Partition) -> str | None:
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
