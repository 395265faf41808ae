"""The asset `report`: what syncing brought and cost lately, as Markdown, plotted numbers, and a page in the lake."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pydantic

from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, warehouse_of
from ..resources.warehouse import warehouse_resource
from .failures import engine_errors
from .metadata import Metadata
from .orphan import end_with_parent
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sync.lake import Lake
    from ..sync.report import Report

REPORT_KEY = dg.AssetKey("report")
FOLDER = "_reports"
_NUMBERS = (
    *("rows", "bytes", "files", "queries", "seconds", "rows_per_second", "peak_memory_mb", "queries_saved", "loads"),
    *("rows_loaded", "copies", "load_seconds", "load_rows_per_second", "wal_bytes"),
)


class ReportConfig(dg.Config):
    """What this run reports on."""

    days: float = pydantic.Field(default=7, gt=0, description="How many days back; what was done earlier is left out.")


def build_report_asset(tables: Sequence[SyncedTable]) -> dg.AssetsDefinition:
    """One asset for a deployment. It depends on no other and has no condition: only a person or a schedule asks for it.

    It reads the lake's manifests and the ledgers, which know of every sync, also of those that Dagster did not run.
    Where all tables are of one group it is in that too: of several groups the UI's graph shows no asset at first.
    """
    warehouses = {warehouse_resource(table.target.warehouse) for table in tables}
    groups = {table.group for table in tables}

    @dg.asset(
        key=REPORT_KEY,
        required_resource_keys={LAKE_RESOURCE, *warehouses},
        group_name=groups.pop() if len(groups) == 1 else "report",
        kinds={"markdown", "html"},
        description="What was read and loaded lately, how fast, and what it took. Only a person asks for it.",
    )
    def report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult:
        return report_on(context, config, tables)

    return report


def report_on(
    context: dg.AssetExecutionContext, config: ReportConfig, tables: Sequence[SyncedTable]
) -> dg.MaterializeResult:
    """What a step does: report on all tables, and put the page into the lake."""
    from ..sync.report import markdown, page, report

    end_with_parent()
    with engine_errors():
        lake = lake_of(context).open()
        found = report(
            lake,
            [(table.spec, table.target) for table in tables],
            lambda name: warehouse_of(context, name).open(),
            since=datetime.now(UTC) - timedelta(days=config.days),
        )
        path = f"{FOLDER}/{found.made_at:%Y%m%dT%H%M%S}-{context.run.run_id[:8]}.html"
        lake.put_if_absent(path, page(found).encode())
        for error in {table.error for table in found.tables if table.error}:
            context.log.error(error)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.md(markdown(found)),
                "page": _place(lake, path),
                "dagster/uri": f"{lake.url}/{path}",
                **_numbers(found),
            }
        )


def _place(lake: "Lake", path: str) -> dg.MetadataValue:
    """A file can be opened where the UI runs; an object has an address."""
    return dg.MetadataValue.path(str(lake.root / path)) if lake.root else dg.MetadataValue.text(f"{lake.url}/{path}")


def _numbers(report: "Report") -> Metadata:
    """The sum of all tables; what was not measured is left out."""
    values = {name: getattr(report.total, name) for name in _NUMBERS}
    return {"tables": len(report.tables)} | {name: value for name, value in values.items() if value is not None}
