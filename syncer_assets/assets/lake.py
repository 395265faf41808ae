"""The table in the lake: one run of the chunk loop a partition."""

import dagster as dg

from ..resources.lookup import lake_of, source_of
from .events import log_emitter, report_progress
from .failures import RETRY_POLICY, engine_errors
from .inline_checks import check_results, lake_check_specs
from .kinds import database_kind, store_kind
from .metadata import sync_metadata
from .names import sensor_name
from .orphan import end_with_parent
from .partitions import dagster_partition, partition_of, partitions_def
from .reading_picture import ReadingPicture
from .run_config import LakeConfig, asked_by_person, lake_config_schema
from .source_table import observe_source_table
from .table import SyncedTable


def build_lake_asset(table: SyncedTable) -> dg.AssetsDefinition:
    """The asset. No BackfillPolicy: a backfill is one run a partition, so that each check names its partition."""

    @dg.asset(
        key=table.lake_key,
        deps=[table.source_key],
        partitions_def=partitions_def(table),
        check_specs=lake_check_specs(table),
        required_resource_keys=table.resource_keys,
        group_name=table.group,
        owners=list(table.owners),
        kinds={database_kind(table.source_type), "parquet", store_kind(table.lake_url)},
        description=_description(table),
        code_version=table.code_version,
        metadata={"dagster/table_name": f"{table.spec.source}.{table.spec.table}", "dagster/storage_kind": "parquet"},
        pool=table.pool,
        retry_policy=RETRY_POLICY,
        config_schema=lake_config_schema(),
    )
    def lake(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return sync_partition(context, LakeConfig(**context.op_execution_context.op_config), table)

    return lake


def sync_partition(context: dg.AssetExecutionContext, config: LakeConfig, table: SyncedTable) -> dg.MaterializeResult:
    """What a step does: read the partition into the lake, and report it."""
    from ..sync.extract import extract
    from ..sync.retry import retrying

    end_with_parent()
    partition = partition_of(context, table)
    resource = source_of(context, table.spec.source)
    with engine_errors(), resource.open() as source:
        lake, picture = lake_of(context).open(), ReadingPicture(log_emitter(context.log))
        retrying(lambda: observe_source_table(context, source, table), resource.backoff, log_emitter(context.log))
        report = extract(
            source,
            lake,
            config.applied_to(table.spec),
            partition,
            mode=config.mode,
            asked_by_person=asked_by_person(context.run.tags),
            run_id=context.run.run_id,
            emit=picture.hear,
            progress=report_progress(context, table.lake_key, dagster_partition(table, partition)),
            backoff=resource.backoff,
        )
        return dg.MaterializeResult(
            asset_key=table.lake_key,
            metadata=sync_metadata(report, table, picture.to_markdown()),
            check_results=check_results(lake_check_specs(table), report.checks, nothing_new=report.nothing_new),
        )


def _description(table: SyncedTable) -> str:
    spec = table.spec
    how = f"by {', '.join(spec.cursor)}" if spec.cursor else "whole"
    unseen = "" if spec.load == "replace" else " Hard deletes are invisible to a cursor: `syncer reconcile` finds them."
    about = f"{spec.table} of {spec.source}, read {how} into Parquet files that a manifest commits.{unseen}"
    return "\n\n".join(part for part in (table.description, f"{about} {_asked(table)}") if part)


def _asked(table: SyncedTable) -> str:
    """Dagster tells of automation conditions only, and the lake has none."""
    asks = [f"The sensor `{sensor_name(table.spec.source)}` asks for new rows."] if table.spec.cursor else []
    if table.schedule:
        asks.append(f"A schedule asks for it at `{table.schedule.expression}` ({table.schedule.timezone}).")
    return " ".join(asks) or "Only a person asks for it: it has no cursor and no schedule."
