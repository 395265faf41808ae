"""Keyed updates in `syncer plan`: windows, batches, the statement that fetches one. No prefix, and no key."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import ConfigError, SyncError
from .screen import Column, Screen, shortened

if TYPE_CHECKING:
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..components.deployment import Deployment
    from ..sync.keyed_look import UpdatePlan

COLUMNS = (
    Column("partition", breaks=True),
    Column("why", breaks=True),
    Column("batches", "right"),
    Column("rows", "right"),
    Column("largest", "right"),
    Column("changes from", breaks=True, optional=True),
)


def show_update_plans(
    deployment: "Deployment",
    updates: "Sequence[KeyedUpdateAsset]",
    partition: str | None,
    screen: Screen,
    *,
    whole: bool,
) -> list[dict[str, object]]:
    """Each update's plan; as JSON too, with `error` where source or warehouse do not answer. One without such a
    partition is left out."""
    found: list[dict[str, object]] = []
    for update in updates:
        try:
            if partition is not None:
                update.check_partition(partition)
        except ConfigError:
            continue
        try:
            planned = _planned(deployment, update, partition)
        except SyncError as error:
            screen.problem(str(error))
            found.append({"update": update.title, "error": str(error)})
            continue
        _show(update, planned, screen, whole=whole)
        found.append({"update": update.title, **asdict(planned)})
    return found


def _planned(deployment: "Deployment", update: "KeyedUpdateAsset", partition: str | None) -> "UpdatePlan":
    from ..sync.keyed_look import plan_update

    spec = update.spec
    with (
        deployment.source(spec.source).open() as source,
        deployment.warehouse(spec.target.warehouse).open() as warehouse,
    ):
        return plan_update(source, warehouse, spec, partition)


def _show(update: "KeyedUpdateAsset", planned: "UpdatePlan", screen: Screen, *, whole: bool) -> None:
    spec = update.spec
    what = spec.table or "a query"
    screen.line(f"{update.title}: {spec.source} {what} -> {spec.target.warehouse} {planned.target}", style="bold")
    window = f"; window from {planned.since} to {planned.until or 'open'}" if planned.since else ""
    screen.line(f"  key {', '.join(planned.key)}; {len(planned.columns) - len(planned.key)} columns{window}")
    rows: list[list[object]] = [
        [each.partition, each.reason, each.batches, each.rows, each.rows_of_largest, each.changed_after]
        for each in planned.partitions
    ]
    screen.table(COLUMNS, rows if whole else shortened(rows))
    if planned.sql:
        screen.line("  a batch's query:")
        screen.line(f"    {planned.sql}", style="dim")
    if whole:
        for target, source, kind in planned.columns:
            screen.line(f"  {target}: {source} ({kind})")
    if planned.rows_without_prefix:
        screen.line(f"  ! {planned.rows_without_prefix:,} rows lie in no batch", style="yellow")
    if not (planned.key_indexed or spec.indexes):
        screen.line("  ! no index begins with a key column: each batch scans the table", style="yellow")
    screen.line()
