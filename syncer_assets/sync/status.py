"""How each table is: how far its partitions are in the lake and in a warehouse, and in what shape it is there."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..model.errors import SyncError
from ..model.manifest import Manifest
from ..model.marks import show
from ..model.table import TableSpec, Target
from ..warehouses.base import LedgerRow, PartitionLoads, TableActivity, Warehouse
from .lake import Lake, Place

Wanted = tuple[TableSpec, Target]
OpenWarehouse = Callable[[str], AbstractContextManager[Warehouse]]
TABLES_AT_ONCE = 8


@dataclass(frozen=True)
class PartitionStatus:
    """One partition. `lag_seconds` is the age of what is proven final, where the cursor is a time.

    `rows` counts what the ledger inserted less what it deleted; None without a warehouse.
    """

    table: str
    partition: str
    seq: int
    low: str | None
    safe: str | None
    high: str | None
    proof: str
    closed: bool
    captured_at: datetime
    lag_seconds: float | None
    loaded_seq: int | None
    pending_manifests: int | None
    rows: int | None
    last_loaded_at: datetime | None
    last_rows: int | None = None
    last_seconds: float | None = None


@dataclass(frozen=True)
class TableStatus:
    """A table: no partition means that it was never synced. `error` says what could not be asked, and is no secret."""

    spec: TableSpec
    target: Target
    partitions: tuple[PartitionStatus, ...] = ()
    activity: TableActivity = field(default_factory=TableActivity)
    error: str | None = None

    @property
    def rows(self) -> int | None:
        """What the ledger counts; where nothing is known of a partition, None."""
        known = [part.rows for part in self.partitions if part.rows is not None]
        return sum(known) if known and len(known) == len(self.partitions) else None

    @property
    def lag_seconds(self) -> float | None:
        """Of the newest partition that has one: those before it are closed, or as old as their rows."""
        return next((part.lag_seconds for part in reversed(self.partitions) if part.lag_seconds is not None), None)

    @property
    def pending_manifests(self) -> int | None:
        known = [part.pending_manifests for part in self.partitions if part.pending_manifests is not None]
        return sum(known) if known else None

    @property
    def proofs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.proof for part in self.partitions))

    @property
    def last_load(self) -> PartitionStatus | None:
        """The partition that was loaded last."""
        loaded = {part.last_loaded_at: part for part in self.partitions if part.last_loaded_at is not None}
        return loaded[max(loaded)] if loaded else None

    @property
    def rows_per_minute(self) -> float | None:
        """Of the last load."""
        last = self.last_load
        return round(60 * (last.last_rows or 0) / last.last_seconds, 1) if last and last.last_seconds else None

    @property
    def bloat_percent(self) -> float | None:
        """What a rebuild would give back of the whole, by the cheap estimate."""
        wasted, size = self.activity.wasted_bytes, self.activity.bytes
        return None if wasted is None or not size else round(100 * wasted / size, 1)


def statuses(lake: Lake | None, tables: Iterable[Wanted], open_warehouse: OpenWarehouse) -> list[TableStatus]:
    """Of these tables in their order: one session and one question a warehouse, however many tables it has.

    What a warehouse or the lake cannot tell is left out, and the table's `error` says why. No source is asked.
    """
    wanted = list(tables)
    if lake is None:
        return [TableStatus(spec, target) for spec, target in wanted]
    known: dict[Target, tuple[TableActivity, list[PartitionLoads]] | str] = {}
    for name in dict.fromkeys(target.warehouse for _, target in wanted):
        targets = list(dict.fromkeys(target for _, target in wanted if target.warehouse == name))
        try:
            with open_warehouse(name) as warehouse:
                known |= _activities(warehouse, targets)
        except SyncError as error:
            known |= dict.fromkeys(targets, str(error))
    with ThreadPoolExecutor(TABLES_AT_ONCE) as pool:
        return list(pool.map(lambda each: _table(lake, each[0], each[1], known[each[1]]), wanted))


def status(lake: Lake, spec: TableSpec, loads: Sequence[PartitionLoads] | None = None) -> list[PartitionStatus]:
    """The partitions of a table that the lake knows, in the order of their keys; `loads` are those of its warehouse."""
    by_key = None if loads is None else {each.partition: each for each in loads}
    found = []
    for key in lake.partitions(spec.source, spec.table):
        head = lake.head(Place(spec.source, spec.table, key))
        if head is not None:
            found.append(_status(head, by_key))
    return found


def _activities(
    warehouse: Warehouse, targets: Sequence[Target]
) -> dict[Target, tuple[TableActivity, list[PartitionLoads]]]:
    """What the warehouse tells; where it keeps no sum of the ledger, the ledger is asked table by table."""
    found = zip(targets, warehouse.activity(targets), strict=True)
    return {
        target: (told, _summed(warehouse.ledger(target)) if told.loads is None else list(told.loads))
        for target, told in found
    }


def _summed(ledger: Sequence[LedgerRow]) -> list[PartitionLoads]:
    by_key: dict[str, list[LedgerRow]] = {}
    for row in ledger:
        by_key.setdefault(row.partition, []).append(row)
    found = []
    for key, rows in by_key.items():
        last = max(row.loaded_at for row in rows)
        latest = [row for row in rows if row.loaded_at == last]
        found.append(
            PartitionLoads(
                partition=key,
                seq=max(row.seq for row in rows),
                rows=_rows(rows),
                last_loaded_at=last,
                last_rows=sum(row.rows_in for row in latest),
                last_seconds=max((row.seconds for row in latest if row.seconds is not None), default=None),
            )
        )
    return found


def _rows(ledger: Sequence[LedgerRow]) -> int:
    """What a partition's ledger counts, as `PartitionLoads` says."""
    begun = min(row.loaded_at for row in ledger)
    first = [row for row in ledger if row.loaded_at == begun]
    stood = any(row.rows_unchanged for row in first)
    rows = sum(row.rows_inserted - row.rows_deleted for row in ledger)
    return rows + sum(row.rows_unchanged + row.rows_updated + row.rows_deleted for row in first if stood)


def _table(
    lake: Lake, spec: TableSpec, target: Target, told: tuple[TableActivity, list[PartitionLoads]] | str
) -> TableStatus:
    try:
        if isinstance(told, str):
            return TableStatus(spec, target, tuple(status(lake, spec)), error=told)
        activity, loads = told
        return TableStatus(spec, target, tuple(status(lake, spec, loads)), activity)
    except SyncError as error:
        return TableStatus(spec, target, error=str(error))


def _status(head: Manifest, loads: dict[str, PartitionLoads] | None) -> PartitionStatus:
    load = loads.get(head.partition) if loads else None
    loaded = None if loads is None else load.seq if load else 0
    return PartitionStatus(
        table=head.table,
        partition=head.partition,
        seq=head.seq,
        low=show(head.low),
        safe=show(head.safe),
        high=show(head.high),
        proof=head.proof,
        closed=head.closed,
        captured_at=head.captured_at,
        lag_seconds=_lag(head),
        loaded_seq=loaded,
        pending_manifests=None if loaded is None else max(0, head.seq - loaded),  # a new lake begins anew
        rows=None if loads is None else load.rows if load else 0,
        last_loaded_at=load.last_loaded_at if load else None,
        last_rows=load.last_rows if load else None,
        last_seconds=load.last_seconds if load else None,
    )


def _lag(head: Manifest) -> float | None:
    """Seconds between now and `safe`, while the partition is open and the cursor a time with a zone.

    Where all that was there is final, it counts from the time when that was found: a quiet table does not lag.
    """
    first = head.safe[0] if head.safe else None
    if head.closed or not isinstance(first, datetime) or first.tzinfo is None:
        return None
    proven = head.captured_at if head.safe == head.high else first
    return round((datetime.now(UTC) - proven).total_seconds(), 1)
