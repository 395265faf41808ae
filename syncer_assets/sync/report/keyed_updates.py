"""What keyed updates brought, from the ledger of batches: of each partition its last cycle. No prefix, and no key."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime

from ...model.errors import SyncError
from ...model.keyed_update import KeyedUpdateSpec
from ...warehouses.base import Warehouse
from ...warehouses.keyed import KeyedWarehouse
from .history import target_title

OpenWarehouse = Callable[[str], AbstractContextManager[Warehouse]]


@dataclass(frozen=True)
class UpdateReport:
    """The partitions of a keyed update whose last cycle has ended, in sum; `unfinished` are those that a run left.

    `seconds` are from the first batch of a cycle to its end, whatever lay between.
    """

    title: str
    target: str
    partitions: int = 0
    unfinished: int = 0
    batches: int = 0
    rows: int = 0
    rows_updated: int = 0
    rows_unmatched: int = 0
    seconds: float | None = None
    last_finished_at: datetime | None = None
    error: str | None = None

    @property
    def rows_per_second(self) -> float | None:
        return round(self.rows / self.seconds, 1) if self.seconds else None

    def to_json(self) -> dict[str, object]:
        at = self.last_finished_at.isoformat() if self.last_finished_at else None
        rate = self.rows_per_second
        return {**asdict(self), "update": self.title, "rows_per_second": rate, "last_finished_at": at}


def update_reports(
    specs: Iterable[KeyedUpdateSpec], open_warehouse: OpenWarehouse, *, since: datetime | None = None
) -> list[UpdateReport]:
    """The cycles of these keyed updates that ended `since` a time."""
    return [_update(spec, open_warehouse, since) for spec in specs]


def _update(spec: KeyedUpdateSpec, open_warehouse: OpenWarehouse, since: datetime | None) -> UpdateReport:
    title, target = f"{spec.target.warehouse}.{spec.name}", target_title(spec.target)
    try:
        with open_warehouse(spec.target.warehouse) as warehouse:
            known = warehouse.keyed_status(spec.target, spec.name) if isinstance(warehouse, KeyedWarehouse) else []
    except SyncError as error:
        return UpdateReport(title, target, error=str(error))
    spans = [
        (each, each.began_at, each.finished_at)
        for each in known
        if each.began_at and each.finished_at and (since is None or each.finished_at >= since)
    ]
    ended = [each for each, _, _ in spans]
    return UpdateReport(
        title,
        target,
        partitions=len(ended),
        unfinished=sum(each.is_open for each in known),
        batches=sum(each.batches for each in ended),
        rows=sum(each.rows for each in ended),
        rows_updated=sum(each.rows_updated for each in ended),
        rows_unmatched=sum(each.rows_unmatched for each in ended),
        seconds=round(sum((end - begin).total_seconds() for _, begin, end in spans), 3) if spans else None,
        last_finished_at=max((end for _, _, end in spans), default=None),
    )
