"""The core table of an entity: typed columns of its raw documents."""

from dataclasses import asdict
from typing import Literal

import dagster as dg
import pydantic

from ..model.files import CoreReport, CoreSpec
from ..resources.lookup import warehouse_of
from .automation import AFTER_LOADS
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .file_table import DOCUMENT, FileTable
from .inline_checks import check_results
from .metadata import Metadata, plain_metadata
from .orphan import end_with_parent

CHECKS = {
    "row_count": "Each raw document is a row of the core table or a reject; nothing is committed before they add up.",
    "rejects": "Every value converts to its column's type; documents of those that do not are in the table of rejects.",
}


class CoreConfig(dg.Config):
    """What this run takes over."""

    mode: Literal["auto", "full"] = pydantic.Field(
        default="auto", description="auto: as declared; full: every document is compared, whatever the mark."
    )


def build_core_asset(table: FileTable, core: CoreSpec) -> dg.AssetsDefinition:
    """The asset. It has no partitions: it takes over what is new in the raw table, of whichever partition."""

    @dg.asset(
        key=table.core_key,
        deps=[table.raw_key],
        check_specs=core_check_specs(table),
        required_resource_keys=table.resource_keys,
        group_name=table.group,
        owners=list(table.owners),
        kinds={"postgresql", "table"},
        description=f"{core.target.name}, made of {table.spec.target.name} ({core.load}).",
        code_version=table.code_version,
        metadata={
            "dagster/table_name": core.target.name,
            "dagster/storage_kind": "postgresql",
            **_columns(table, core),
        },
        automation_condition=AFTER_LOADS,
        pool=table.pool,
        retry_policy=RETRY_POLICY,
    )
    def core_table(context: dg.AssetExecutionContext, config: CoreConfig) -> dg.MaterializeResult:
        return load_core(context, config, table, core)

    return core_table


def load_core(
    context: dg.AssetExecutionContext, config: CoreConfig, table: FileTable, core: CoreSpec
) -> dg.MaterializeResult:
    """What a step does: bring the core table up to the raw one, and report it."""
    from ..sync.retry import retrying

    end_with_parent()
    emit, resource = log_emitter(context.log), warehouse_of(context, core.target.warehouse)
    with engine_errors(), resource.open_files() as warehouse:
        report = retrying(
            lambda: warehouse.load_core(
                table.spec,
                core,
                full=config.mode == "full",
                run_id=context.run.run_id,
                emit=emit,
            ),
            resource.backoff,
            emit,
        )
    return dg.MaterializeResult(
        asset_key=table.core_key,
        metadata=_metadata(report) | _columns(table, core),
        check_results=check_results(core_check_specs(table), report.checks, nothing_new=report.nothing_new),
    )


def core_check_specs(table: FileTable) -> list[dg.AssetCheckSpec]:
    """The checks of the asset."""
    return [
        dg.AssetCheckSpec(name, asset=table.core_key, description=description, blocking=name == "row_count")
        for name, description in CHECKS.items()
    ]


def _metadata(report: CoreReport) -> Metadata:
    numbers = {name: value for name, value in asdict(report).items() if isinstance(value, int | float)}
    metadata = plain_metadata({**numbers, "rows_per_second": report.rows_per_second, "reason": report.reason})
    if report.rows_in_core:
        metadata["dagster/row_count"] = report.rows_in_core
    return metadata


def _columns(table: FileTable, core: CoreSpec) -> Metadata:
    """The declared columns, and where in the raw documents they come from; those of a query are not known here."""
    if not core.columns:
        return {}
    key = dg.TableColumn("id", table.spec.id.type, "The document's.", dg.TableColumnConstraints(nullable=False))
    declared = [
        dg.TableColumn(
            column.name,
            column.type,
            f"`{'.'.join(column.path)}` of the document",
            dg.TableColumnConstraints(nullable=not column.required),
        )
        for column in core.columns
    ]
    documents = [dg.TableColumnDep(asset_key=table.raw_key, column_name=DOCUMENT)]
    lineage = {"id": [dg.TableColumnDep(asset_key=table.raw_key, column_name="id")]}
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema([key, *declared])),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(
            dg.TableColumnLineage(lineage | {column.name: documents for column in core.columns})
        ),
    }
