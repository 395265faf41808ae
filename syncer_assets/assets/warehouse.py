"""The table in the warehouse: every manifest not yet loaded, in one transaction a partition."""

import dagster as dg

from ..resources.lookup import lake_of, warehouse_of
from .automation import AFTER_LAKE
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .inline_checks import check_results, warehouse_check_specs
from .kinds import database_kind
from .metadata import load_metadata
from .orphan import end_with_parent
from .partitions import partition_of, partitions_def
from .table import SyncedTable


def build_warehouse_asset(table: SyncedTable) -> dg.AssetsDefinition:
    """The asset. It follows its lake asset by automation, or in the same run."""
    kind = database_kind(table.warehouse_type)

    @dg.asset(
        key=table.warehouse_key,
        deps=[table.lake_key],
        partitions_def=partitions_def(table),
        check_specs=warehouse_check_specs(table),
        required_resource_keys=table.resource_keys,
        group_name=table.group,
        owners=list(table.owners),
        kinds={kind, "warehouse"},
        description=f"{table.target.name} in {table.target.warehouse}, loaded from the lake ({table.spec.load}).",
        code_version=table.code_version,
        metadata={"dagster/table_name": table.target.name, "dagster/storage_kind": kind},
        automation_condition=AFTER_LAKE,
        pool=table.load_pool,
        retry_policy=RETRY_POLICY,
    )
    def warehouse(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return load_partition(context, table)

    return warehouse


def load_partition(context: dg.AssetExecutionContext, table: SyncedTable) -> dg.MaterializeResult:
    """What a step does: load the partition's pending manifests, and report it."""
    from ..sync.load import load

    end_with_parent()
    resource = warehouse_of(context, table.target.warehouse)
    with engine_errors(), resource.open() as warehouse:
        report = load(
            lake_of(context).open(),
            warehouse,
            table.spec,
            table.target,
            partition_of(context, table),
            run_id=context.run.run_id,
            emit=log_emitter(context.log),
            backoff=resource.backoff,
        )
        return dg.MaterializeResult(
            asset_key=table.warehouse_key,
            metadata=load_metadata(report, table),
            check_results=check_results(warehouse_check_specs(table), report.checks, nothing_new=report.nothing_new),
        )
