"""The asset `status`: how every table is now, as a Markdown table and numbers that the UI plots. Cheap; by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from .. import __version__
from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, warehouse_of
from ..resources.warehouse import warehouse_resource
from .failures import engine_errors
from .metadata import Metadata
from .orphan import end_with_parent
from .red_checks import red_checks_of
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sync.status import TableStatus

STATUS_KEY = dg.AssetKey("status")


def build_status_asset(tables: Sequence[SyncedTable]) -> dg.AssetsDefinition:
    """One asset for a deployment, beside `report`, in its group. It depends on no other and has no condition.

    It asks the lake for its last manifests and each warehouse one question; no source is asked."""
    warehouses = {warehouse_resource(table.target.warehouse) for table in tables}
    groups = {table.group for table in tables}

    @dg.asset(
        key=STATUS_KEY,
        required_resource_keys={LAKE_RESOURCE, *warehouses},
        group_name=groups.pop() if len(groups) == 1 else "report",
        kinds={"markdown"},
        owners=sorted({owner for table in tables for owner in table.owners}),
        code_version=__version__,
        description="How every table is now: rows, lag, what waits, bloat, red checks. Only a person asks for it.",
    )
    def status(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return status_of(context, tables)

    return status


def status_of(context: dg.AssetExecutionContext, tables: Sequence[SyncedTable]) -> dg.MaterializeResult:
    """What a step does. A warehouse that does not answer leaves its tables to the lake, and is named."""
    from ..sync.status import statuses
    from ..sync.status_markdown import status_markdown

    end_with_parent()
    with engine_errors():
        found = statuses(
            lake_of(context).open(),
            [(table.spec, table.target) for table in tables],
            lambda name: warehouse_of(context, name).open(),
        )
        red = red_checks_of(context.instance, tables)
        for error in {table.error for table in found if table.error}:
            context.log.error(error)
        checks = sum(len(names) for by_partition in red for names in by_partition.values())
        markdown = dg.MetadataValue.md(status_markdown(found, red))
        return dg.MaterializeResult(metadata={"status": markdown, **_numbers(found), "red_checks": checks})


def _numbers(found: "Sequence[TableStatus]") -> Metadata:
    """Sums of what is known, and the largest lag; what nobody can tell is left out."""
    lags = [table.lag_seconds for table in found if table.lag_seconds is not None]
    sums = {
        "rows": [table.rows for table in found],
        "bytes": [table.activity.bytes for table in found],
        "dead_rows": [table.activity.dead_rows for table in found],
        "wasted_bytes": [table.activity.wasted_bytes for table in found],
        "pending_manifests": [table.pending_manifests for table in found],
    }
    known = {name: [value for value in values if value is not None] for name, values in sums.items()}
    return {
        "tables": len(found),
        "never_synced": sum(not table.partitions and table.error is None for table in found),
        "not_asked": sum(table.error is not None for table in found),
        **{name: sum(values) for name, values in known.items() if values},
        **({"lag_seconds": max(lags)} if lags else {}),
    }
