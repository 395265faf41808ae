"""Source against warehouse, and the repair of what differs. What it finds is the check `checksum` of the table."""

from typing import TYPE_CHECKING

import dagster as dg
import pydantic

from ..resources.lookup import lake_of, source_of, warehouse_of
from .automation import runs_at
from .checksum import CHECKSUM, comparison_metadata
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .kinds import database_kind
from .metadata import plain_metadata
from .orphan import end_with_parent
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sync.reconcile import Reconciliation

RECONCILED = "reconciled"


class ReconcileConfig(dg.Config):
    """What this run does."""

    repair: bool | None = pydantic.Field(
        default=None,
        description=(
            "true: re-read the rows that differ, and do what `deletes` says to those that are gone at the source; "
            "false: compare only. Left empty: as the table's `reconcile` says, or false."
        ),
    )


def build_reconcile_asset(table: SyncedTable) -> dg.AssetsDefinition:
    """The asset. It has no partitions: a comparison scans the whole table, and repairs each partition by itself."""

    @dg.asset(
        key=table.reconcile_key,
        deps=[table.warehouse_key],
        check_specs=reconcile_check_specs(table),
        required_resource_keys=table.resource_keys,
        group_name=table.group,
        owners=list(table.owners),
        kinds={database_kind(table.warehouse_type), "reconcile"},
        description=f"{table.spec.table} of {table.spec.source} against {table.target.name}: what differs, repaired.",
        code_version=table.code_version,
        metadata={
            "dagster/table_name": table.target.name,
            "dagster/storage_kind": database_kind(table.warehouse_type),
        },
        automation_condition=runs_at(table.reconcile.cron if table.reconcile else None),
        pool=table.load_pool,
        retry_policy=RETRY_POLICY,
    )
    def reconcile(context: dg.AssetExecutionContext, config: ReconcileConfig) -> dg.MaterializeResult:
        return reconcile_table(context, table, config)

    return reconcile


def reconcile_check_specs(table: SyncedTable) -> list[dg.AssetCheckSpec]:
    """The check of the run itself; `checksum` of the warehouse's table has the same result."""
    description = "Nothing differs any more between the source and the warehouse but what is still to come."
    return [dg.AssetCheckSpec(RECONCILED, asset=table.reconcile_key, description=description)]


def reconcile_table(
    context: dg.AssetExecutionContext, table: SyncedTable, config: ReconcileConfig
) -> dg.MaterializeResult:
    """What a step does: compare, repair if it is to, and tell the check `checksum` how the table is then."""
    from ..sync.reconcile import reconcile

    end_with_parent()
    declared = table.reconcile is not None and table.reconcile.repair
    read_from, compared = source_of(context, table.spec.source), warehouse_of(context, table.target.warehouse)
    with engine_errors(), read_from.open() as source, compared.open() as warehouse:
        done = reconcile(
            source,
            warehouse,
            table.spec,
            table.target,
            lake=lake_of(context).open() if (declared if config.repair is None else config.repair) else None,
            run_id=context.run.run_id,
            emit=log_emitter(context.log),
            backoff=read_from.backoff.or_longer(compared.backoff),
        )
    context.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=table.warehouse_key,
            check_name=CHECKSUM,
            passed=done.equal,
            description=done.description,
            metadata=comparison_metadata(done.result),
        )
    )
    check = dg.AssetCheckResult(check_name=RECONCILED, passed=done.equal, description=done.description)
    return dg.MaterializeResult(asset_key=table.reconcile_key, metadata=_metadata(done), check_results=[check])


def _metadata(done: "Reconciliation") -> dict[str, dg.MetadataValue | int | float | str]:
    return {
        **comparison_metadata(done.before),
        **plain_metadata(
            {
                "rows_repaired": done.rows_repaired,
                "rows_deleted": done.rows_deleted,
                "manifests": done.manifests,
                "rows_per_second": done.before.rows_per_second,
                "seconds": done.seconds,
                "equal": done.equal,
                "left": "; ".join(done.left),
            }
        ),
    }
