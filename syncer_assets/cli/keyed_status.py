"""Keyed updates in `syncer status` and `syncer watermarks`: what the ledger of batches has. No prefix, and no key."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .screen import Column, Screen, seconds

if TYPE_CHECKING:
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..components.deployment import Deployment
    from ..model.keyed_update import KeyedStatus

COLUMNS = (
    Column("keyed update"),
    Column("partition", breaks=True),
    Column("batches", "right"),
    Column("rows", "right"),
    Column("updated", "right"),
    Column("unmatched", "right", optional=True),
    Column("window", breaks=True, optional=True),
    Column("changes from", breaks=True, optional=True),
    Column("finished"),
)


def show_updates(
    deployment: "Deployment", updates: "Sequence[KeyedUpdateAsset]", screen: Screen
) -> list[dict[str, object]]:
    """A line a partition; as JSON too, with `error` where the warehouse does not answer."""
    found: list[dict[str, object]] = []
    rows: list[list[object]] = []
    for update in updates:
        try:
            partitions = keyed_statuses(deployment, update)
        except SyncError as error:
            screen.problem(str(error))
            found.append({"update": update.title, "error": str(error)})
            continue
        rows += [_row(update.title, each) for each in partitions] or [[update.title, "never run", *[None] * 7]]
        found += [{"update": update.title, **_plain(each)} for each in partitions]
        found += [] if partitions else [{"update": update.title, "partition": None, "never_run": True}]
    if rows:
        screen.table(COLUMNS, rows)
    return found


def keyed_statuses(deployment: "Deployment", update: "KeyedUpdateAsset") -> "list[KeyedStatus]":
    """What the ledger has of each partition that was ever begun. Raises SyncError."""
    from ..warehouses.keyed import KeyedWarehouse

    with deployment.warehouse(update.spec.target.warehouse).open() as warehouse:
        if not isinstance(warehouse, KeyedWarehouse):
            return []
        return warehouse.keyed_status(update.spec.target, update.spec.name)


def _plain(status: "KeyedStatus") -> dict[str, object]:
    return {name: value for name, value in asdict(status).items() if name != "fingerprint"}


def _row(title: str, status: "KeyedStatus") -> list[object]:
    batches = f"{status.batches_done} of {status.batches}" if status.is_open else status.batches
    window = f"{status.since} to {status.until or ''}".strip() if status.since else ""
    finished = "unfinished" if status.is_open else ""
    if not status.is_open and status.finished_at:
        finished = f"{seconds((datetime.now(UTC) - status.finished_at).total_seconds())} ago"
    counts = [batches, status.rows, status.rows_updated, status.rows_unmatched]
    return [title, status.partition, *counts, window, status.mark, finished]
