"""The check `checksum`: source against warehouse, by key buckets, in SQL on both sides.

It reads whole tables, so it runs by hand or at a declared time. Its own automation condition keeps it from riding along
with every run of its asset.
"""

from typing import TYPE_CHECKING

import dagster as dg

from ..resources.lookup import source_of, warehouse_of
from .automation import runs_at
from .events import log_emitter
from .failures import engine_errors
from .metadata import Metadata
from .orphan import end_with_parent
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sync.checksum import Comparison

CHECKSUM = "checksum"


def build_checksum_check(table: SyncedTable) -> dg.AssetChecksDefinition:
    """The check of one table."""

    @dg.asset_check(
        asset=table.warehouse_key,
        name=CHECKSUM,
        description="Every key bucket has the same rows and checksum in the source and in the warehouse.",
        required_resource_keys=table.resource_keys,
        automation_condition=runs_at(table.checksum),
        pool=table.load_pool,
    )
    def checksum(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return compare_table(context, table)

    return checksum


def compare_table(context: dg.AssetCheckExecutionContext, table: SyncedTable) -> dg.AssetCheckResult:
    """What a step does."""
    from ..sync.checksum import compare
    from ..sync.retry import retrying

    end_with_parent()
    read_from, compared = source_of(context, table.spec.source), warehouse_of(context, table.target.warehouse)
    with engine_errors(), read_from.open() as source, compared.open() as warehouse:
        found = retrying(
            lambda: compare(source, warehouse, table.spec, table.target),
            read_from.backoff.or_longer(compared.backoff),
            log_emitter(context.log),
        )
    return comparison_result(found)


def comparison_result(found: "Comparison") -> dg.AssetCheckResult:
    """The check's result. It names the columns that were not compared."""
    left_out = f"; not compared: {', '.join(found.columns_left_out)}" if found.columns_left_out else ""
    return dg.AssetCheckResult(
        passed=found.equal, description=f"{found.description}{left_out}", metadata=comparison_metadata(found)
    )


def comparison_metadata(found: "Comparison") -> Metadata:
    """The numbers of a comparison, and the columns that it leaves out."""
    left_out = ", ".join(found.columns_left_out)
    return {
        **({"columns_left_out": left_out} if left_out else {}),
        "rows_source": found.rows_source,
        "rows_target": found.rows_target,
        "rows_missing": found.rows_missing,
        "rows_changed": found.rows_changed,
        "rows_extra": found.rows_extra,
        "rows_pending": found.rows_pending,
        "buckets": found.buckets,
        "buckets_different": found.buckets_different,
        "rows_per_second": found.rows_per_second,
        "seconds": found.seconds,
    }
