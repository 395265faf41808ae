"""The table in its database: an external asset, observed whenever the table is read.

The UI shows the columns of an external asset only where they were materialised: columns that are new are reported so.
"""

from typing import TYPE_CHECKING

import dagster as dg

from ..model.table import TableSpec
from .kinds import database_kind
from .metadata import table_schema
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sources.base import Source, TableFacts

COLUMNS = "dagster/column_schema"


def build_source_table(table: SyncedTable) -> dg.AssetSpec:
    """The external asset."""
    kind = database_kind(table.source_type)
    return dg.AssetSpec(
        table.source_key,
        description=f"{table.spec.table} in the source {table.spec.source}.",
        group_name=table.group,
        owners=list(table.owners),
        kinds={kind, "source"},
        metadata={"dagster/table_name": table.spec.table, "dagster/storage_kind": kind},
    )


def observe_source_table(context: dg.AssetExecutionContext, source: "Source", table: SyncedTable) -> None:
    """Record what the source's catalogue says of the table: columns, size, and whether an index serves the cursor."""
    facts = source.describe(table.spec.table)
    schema = table_schema((found.column for found in facts.columns), of_database=True)
    metadata: dict[str, dg.MetadataValue | int | str] = {
        COLUMNS: dg.MetadataValue.table_schema(schema),
        "primary_key": ", ".join(facts.primary_key) or "none",
        "cursor_index": cursor_index(table.spec, facts),
    }
    if facts.rows_estimate >= 0:
        metadata |= {"rows_estimate": facts.rows_estimate, "bytes_estimate": facts.bytes_estimate}
    context.log_event(dg.AssetObservation(asset_key=table.source_key, metadata=metadata))
    if _shown(context.instance, table) != schema:
        context.instance.report_runless_asset_event(dg.AssetMaterialization(table.source_key, metadata=metadata))


def _shown(instance: dg.DagsterInstance, table: SyncedTable) -> dg.TableSchema | None:
    """The columns that the UI shows."""
    event = instance.get_latest_materialization_event(table.source_key)
    found = event.asset_materialization.metadata.get(COLUMNS) if event and event.asset_materialization else None
    return found.value if isinstance(found, dg.TableSchemaMetadataValue) else None


def cursor_index(spec: TableSpec, facts: "TableFacts") -> str:
    """The index that serves the cursor, in words."""
    if not spec.cursor:
        return "no cursor: the table is read whole"
    for columns in facts.indexes:
        if columns[: len(spec.cursor)] == spec.cursor:
            return f"({', '.join(columns)})"
    return "none: each chunk sorts the table; create one on the cursor"
