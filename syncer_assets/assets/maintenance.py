"""What keeps the warehouse's table in shape after loads: statistics, declared indexes."""

import dagster as dg

from ..resources.lookup import warehouse_of
from ..resources.warehouse import warehouse_resource
from .automation import AFTER_LOADS
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .kinds import database_kind
from .metadata import plain_metadata
from .orphan import end_with_parent
from .table import SyncedTable


def build_maintenance_asset(table: SyncedTable) -> dg.AssetsDefinition:
    """The asset. It has no partitions: in a run of one it is materialised along, in a backfill once at the end."""

    @dg.asset(
        key=table.maintenance_key,
        deps=[table.warehouse_key],
        required_resource_keys={warehouse_resource(table.target.warehouse)},
        group_name=table.group,
        owners=list(table.owners),
        kinds={database_kind(table.warehouse_type), "maintenance"},
        description=f"ANALYZE and the declared indexes of {table.target.name} in {table.target.warehouse}.",
        code_version=table.code_version,
        automation_condition=AFTER_LOADS,
        pool=table.pool,
        retry_policy=RETRY_POLICY,
    )
    def maintenance(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return maintain(context, table)

    return maintenance


def maintain(context: dg.AssetExecutionContext, table: SyncedTable) -> dg.MaterializeResult:
    """What a step does: create the declared indexes that are missing, then let the warehouse look after the table."""
    end_with_parent()
    emit = log_emitter(context.log)
    with engine_errors(), warehouse_of(context, table.target.warehouse).open() as warehouse:
        created = warehouse.create_indexes(table.target, table.spec.indexes, emit=emit)
        found = warehouse.maintain(table.target, emit=emit)
    return dg.MaterializeResult(
        asset_key=table.maintenance_key,
        metadata={**plain_metadata(found), "indexes_created": len(created), "indexes": ", ".join(created) or "no new"},
    )
