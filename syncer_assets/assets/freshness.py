"""The check `freshness`: how long what is pending at the source has been waiting. A quiet source is fresh.

It runs by the clock, since a table that is no longer synced has no runs to ride along with; and in one step for all
tables of a component, since each step is a process.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from ..model.errors import SyncError
from ..resources.lookup import lake_of, source_of
from .automation import DAILY, HOURLY, runs_at
from .orphan import end_with_parent
from .table import DEFAULT_FRESHNESS, SyncedTable

if TYPE_CHECKING:
    from ..sources.base import Source
    from ..sync.lake import Lake
    from ..sync.status import PartitionStatus

FRESHNESS = "freshness"


def build_freshness_checks(name: str, tables: Sequence[SyncedTable]) -> dg.AssetChecksDefinition:
    """The checks of tables of one source. A table with a declared limit is judged hourly, others daily."""
    by_key = {dg.AssetCheckKey(table.warehouse_key, FRESHNESS): table for table in tables}

    @dg.multi_asset_check(
        name=name,
        specs=[
            dg.AssetCheckSpec(
                FRESHNESS,
                asset=table.warehouse_key,
                description="No row has waited at the source, unread or not final, for longer than `freshness:` says.",
                automation_condition=runs_at(DAILY if table.freshness is None else HOURLY),
            )
            for table in tables
        ],
        can_subset=True,
        required_resource_keys={key for table in tables for key in table.resource_keys},
    )
    def freshness(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield from judge_tables(context, [by_key[key] for key in context.selected_asset_check_keys])

    return freshness


def judge_tables(
    context: dg.AssetCheckExecutionContext, tables: Sequence[SyncedTable]
) -> Iterator[dg.AssetCheckResult]:
    """What a step does. A table that cannot be judged is not fresh, and the reason is told; the others are judged."""
    end_with_parent()
    for table in tables:
        try:
            with source_of(context, table.spec.source).open() as source:
                lag = lag_seconds(context.instance, source, lake_of(context).open(), table)
        except SyncError as error:
            yield _result(table, passed=False, description=str(error))
        else:
            yield judge(table, lag)


def judge(table: SyncedTable, lag: float | None) -> dg.AssetCheckResult:
    """The result for a lag in seconds; None means that something was never read."""
    limit = (table.freshness or DEFAULT_FRESHNESS).total_seconds()
    if lag is None:
        never = "partitions were never read" if table.is_partitioned else "the table was never read"
        return _result(table, passed=False, description=never)
    waited = "nothing waits" if lag == 0 else f"complete up to {lag:.0f} s ago"
    metadata = {"lag_seconds": lag, "limit_seconds": limit}
    return _result(table, passed=lag <= limit, description=f"{waited}; the limit is {limit:.0f} s", metadata=metadata)


def lag_seconds(instance: dg.DagsterInstance, source: "Source", lake: "Lake", table: SyncedTable) -> float | None:
    """The age of what is complete where something is pending; 0 where nothing is; None if something was never read."""
    from ..sync.pending import pending
    from ..sync.status import status

    found = {partition.partition: partition for partition in status(lake, table.spec)}
    if not table.spec.cursor:
        return _age_of_last_read(instance, table, list(found.values()))
    waiting = [item.partition for item in pending(source, lake, [table.spec])]
    lags = [_lag(found[key]) for key in waiting if key in found]
    for key in (unread := [key for key in waiting if key not in found]):
        lag = _lag_of_unread(table, key, list(found.values()), is_only_one=len(unread) == 1)
        if lag is None:
            return None
        lags.append(lag)
    return max(lags, default=0.0)


def _result(
    table: SyncedTable, *, passed: bool, description: str, metadata: dict[str, float] | None = None
) -> dg.AssetCheckResult:
    """A limit that nobody declared only warns."""
    return dg.AssetCheckResult(
        asset_key=table.warehouse_key,
        check_name=FRESHNESS,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN if table.freshness is None else dg.AssetCheckSeverity.ERROR,
        description=description,
        metadata=metadata,
    )


def _lag_of_unread(table: SyncedTable, key: str, found: list["PartitionStatus"], *, is_only_one: bool) -> float | None:
    """A time partition tells when it began; a single new one of another kind began after the last read."""
    start = table.spec.partitions.partition(key).start if table.spec.partitions.by == "time" else None
    if isinstance(start, datetime):
        return _age(start)
    if is_only_one and found and key > max(partition.partition for partition in found):
        return min(_age(partition.captured_at) for partition in found)
    return None


def _lag(partition: "PartitionStatus") -> float:
    """A time cursor tells the age of its mark; an id does not, so the age of the read stands for it."""
    return _age(partition.captured_at) if partition.lag_seconds is None else partition.lag_seconds


def _age_of_last_read(instance: dg.DagsterInstance, table: SyncedTable, found: list["PartitionStatus"]) -> float | None:
    """A table that is read whole gets no new manifest while it is the same, so Dagster's record of the run counts."""
    event = instance.get_latest_materialization_event(table.lake_key)
    if event is not None:
        return _age(datetime.fromtimestamp(event.timestamp, UTC))
    return min((_age(partition.captured_at) for partition in found), default=None)


def _age(moment: datetime) -> float:
    return round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 1)
