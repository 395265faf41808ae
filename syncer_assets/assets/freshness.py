"""How fresh a table is: how long what is pending at the source has been waiting. A quiet source is fresh."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from ..resources.lookup import lake_of, source_of
from .failures import engine_errors
from .table import DEFAULT_FRESHNESS, SyncedTable

if TYPE_CHECKING:
    from ..sync.status import PartitionStatus


def judge_freshness(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> dg.AssetCheckResult:
    """The result of the check `freshness`. A limit that nobody declared only warns."""
    limit = (table.freshness or DEFAULT_FRESHNESS).total_seconds()
    severity = dg.AssetCheckSeverity.WARN if table.freshness is None else dg.AssetCheckSeverity.ERROR
    with engine_errors():
        lag = lag_seconds(context, table)
    if lag is None:
        never = "partitions were never read" if table.is_partitioned else "the table was never read"
        return dg.AssetCheckResult(passed=False, severity=severity, description=never)
    return dg.AssetCheckResult(
        passed=lag <= limit,
        severity=severity,
        description=f"{'nothing waits' if lag == 0 else f'complete up to {lag:.0f} s ago'}; the limit is {limit:.0f} s",
        metadata={"lag_seconds": lag, "limit_seconds": limit},
    )


def lag_seconds(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> float | None:
    """The age of what is complete where something is pending; 0 where nothing is; None if something was never read."""
    from ..sync.pending import pending
    from ..sync.status import status

    lake = lake_of(context).open()
    found = {partition.partition: partition for partition in status(lake, table.spec)}
    if not table.spec.cursor:
        return _age_of_last_read(context, table, list(found.values()))
    with source_of(context, table.spec.source).open() as source:
        waiting = [item.partition for item in pending(source, lake, [table.spec])]
    lags = [_lag(found[key]) for key in waiting if key in found]
    for key in (unread := [key for key in waiting if key not in found]):
        lag = _lag_of_unread(table, key, list(found.values()), is_only_one=len(unread) == 1)
        if lag is None:
            return None
        lags.append(lag)
    return max(lags, default=0.0)


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


def _age_of_last_read(
    context: dg.AssetCheckExecutionContext, table: SyncedTable, found: list["PartitionStatus"]
) -> float | None:
    """A table that is read whole gets no new manifest while it is the same, so Dagster's record of the run counts."""
    event = context.instance.get_latest_materialization_event(table.lake_key)
    if event is not None:
        return _age(datetime.fromtimestamp(event.timestamp, UTC))
    return min((_age(partition.captured_at) for partition in found), default=None)


def _age(moment: datetime) -> float:
    return round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 1)
