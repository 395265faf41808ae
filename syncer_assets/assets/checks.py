"""Checks that a person, or a schedule, runs again by themselves: they look at whole tables, not at one run."""

import dagster as dg

from ..model.table import TableSpec
from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, source_of, warehouse_of
from .automation import compares_at
from .failures import engine_errors
from .orphan import end_with_parent
from .table import DEFAULT_FRESHNESS, SyncedTable

CHECKSUM = "checksum"
FRESHNESS = "freshness"


def build_checks(table: SyncedTable) -> list[dg.AssetChecksDefinition]:
    """The standalone checks of a table."""
    return [build_checksum_check(table), build_freshness_check(table)]


def build_checksum_check(table: SyncedTable) -> dg.AssetChecksDefinition:
    """Source against warehouse, by key buckets, in SQL on both sides."""

    @dg.asset_check(
        asset=table.warehouse_key,
        name=CHECKSUM,
        description="Every key bucket has the same rows and checksum in the source and in the warehouse.",
        required_resource_keys=table.resource_keys,
        automation_condition=compares_at(table.checksum),
        pool=table.pool,
    )
    def checksum(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return compare_table(context, table)

    return checksum


def build_freshness_check(table: SyncedTable) -> dg.AssetChecksDefinition:
    """How far the proven mark lies behind now. It reads the lake's manifests only."""

    @dg.asset_check(
        asset=table.warehouse_key,
        name=FRESHNESS,
        description="What is proven to be complete is no older than the limit (`freshness:`).",
        required_resource_keys={LAKE_RESOURCE},
    )
    def freshness(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return judge_freshness(context, table)

    return freshness


def compare_table(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> dg.AssetCheckResult:
    """What the `checksum` step does."""
    from ..sync.checksum import compare

    end_with_parent()
    with (
        engine_errors(),
        source_of(context, table.spec.source).open() as source,
        warehouse_of(context, table.target.warehouse).open() as warehouse,
    ):
        found = compare(source, warehouse, lake_of(context).open(), table.spec, table.target)
    return dg.AssetCheckResult(
        passed=found.equal,
        description=found.description,
        metadata={
            "rows_source": found.rows_source,
            "rows_target": found.rows_target,
            "rows_missing": found.rows_missing,
            "rows_changed": found.rows_changed,
            "rows_extra": found.rows_extra,
            "rows_pending": found.rows_pending,
            "buckets": found.buckets,
            "buckets_different": found.buckets_different,
            "seconds": found.seconds,
        },
    )


def judge_freshness(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> dg.AssetCheckResult:
    """What the `freshness` step does. A limit that nobody declared only warns."""
    limit = (table.freshness or DEFAULT_FRESHNESS).total_seconds()
    severity = dg.AssetCheckSeverity.WARN if table.freshness is None else dg.AssetCheckSeverity.ERROR
    lag = lag_seconds(context, table.spec)
    if lag is None:
        return dg.AssetCheckResult(passed=False, severity=severity, description="nothing is in the lake yet")
    return dg.AssetCheckResult(
        passed=lag <= limit,
        severity=severity,
        description=f"complete up to {lag:.0f} s ago, the limit is {limit:.0f} s",
        metadata={"lag_seconds": lag, "limit_seconds": limit},
    )


def lag_seconds(context: dg.AssetCheckExecutionContext, spec: TableSpec) -> float | None:
    """The lag of the partition that is closest to now; None if no partition has a mark."""
    from ..sync.status import status

    with engine_errors():
        lags = [found.lag_seconds for found in status(lake_of(context).open(), spec)]
    return min((lag for lag in lags if lag is not None), default=None)
