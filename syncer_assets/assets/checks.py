"""Checks that a person, or a clock, runs by themselves: they look at whole tables, not at one run.

Each has an automation condition of its own, so that it does not ride along with every run of a backfill.
"""

import dagster as dg

from ..resources.lookup import source_of, warehouse_of
from .automation import DAILY, HOURLY, runs_at
from .failures import engine_errors
from .freshness import judge_freshness
from .orphan import end_with_parent
from .table import SyncedTable

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
        automation_condition=runs_at(table.checksum),
        pool=table.pool,
    )
    def checksum(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return compare_table(context, table)

    return checksum


def build_freshness_check(table: SyncedTable) -> dg.AssetChecksDefinition:
    """How long rows have been waiting at the source."""

    @dg.asset_check(
        asset=table.warehouse_key,
        name=FRESHNESS,
        description="No row has waited at the source, unread or not proven final, for longer than `freshness:` says.",
        required_resource_keys=table.resource_keys,
        automation_condition=runs_at(DAILY if table.freshness is None else HOURLY),
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
        found = compare(source, warehouse, table.spec, table.target)
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
