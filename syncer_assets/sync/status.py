"""How far each partition of a table is: in the lake, and in a warehouse."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ..model.manifest import Manifest
from ..model.marks import show
from ..model.table import TableSpec, Target
from ..warehouses.base import LedgerRow, Warehouse
from .lake import Lake, Place


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


def status(
    lake: Lake, spec: TableSpec, warehouse: Warehouse | None = None, target: Target | None = None
) -> list[PartitionStatus]:
    """The partitions of a table that the lake knows, in the order of their keys."""
    found = []
    for key in lake.partitions(spec.source, spec.table):
        head = lake.head(Place(spec.source, spec.table, key))
        if head is not None:
            found.append(_status(head, warehouse, target))
    return found


def _status(head: Manifest, warehouse: Warehouse | None, target: Target | None) -> PartitionStatus:
    loaded = rows = last = None
    if warehouse is not None and target is not None:
        loaded = warehouse.watermark(target, head.partition).seq
        ledger = warehouse.ledger(target, head.partition)
        rows = _net_rows(ledger)
        last = max((row.loaded_at for row in ledger), default=None)
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
        pending_manifests=None if loaded is None else head.seq - loaded,
        rows=rows,
        last_loaded_at=last,
    )


def _net_rows(ledger: list[LedgerRow]) -> int:
    return sum(row.rows_inserted - row.rows_deleted for row in ledger)


def _lag(head: Manifest) -> float | None:
    """Seconds between now and `safe`, while the partition is open and the cursor a time with a zone.

    Where all that was there is final, it counts from the time when that was found: a quiet table does not lag.
    """
    first = head.safe[0] if head.safe else None
    if head.closed or not isinstance(first, datetime) or first.tzinfo is None:
        return None
    proven = head.captured_at if head.safe == head.high else first
    return round((datetime.now(UTC) - proven).total_seconds(), 1)
