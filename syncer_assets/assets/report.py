"""The asset `report`: what syncing brought and cost lately, as Markdown, plotted numbers, and a page in the lake."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pydantic

from .. import __version__
from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, warehouse_of
from ..resources.warehouse import warehouse_resource
from .api import ApiList
from .failures import engine_errors
from .file_table import FileTable
from .keyed_update import KeyedUpdateAsset
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


@dataclass(frozen=True)
class Reported:
    """What a deployment has to report on."""

    tables: Sequence[SyncedTable] = ()
    files: Sequence[FileTable] = ()
    lists: Sequence[ApiList] = ()
    updates: Sequence[KeyedUpdateAsset] = ()

    @property
    def warehouses(self) -> set[str]:
        """The names of those whose ledgers are asked."""
        return {each.spec.target.warehouse for each in (*self.files, *self.updates)} | {
            table.target.warehouse for table in self.tables
        }

    @property
    def groups(self) -> set[str]:
        """Those of the tables, or else of what there is; empty where there is nothing."""
        others = (*self.files, *self.lists, *self.updates)
        return {table.group for table in self.tables} or {each.group for each in others}

    @property
    def owners(self) -> list[str]:
        """Of all that there is."""
        everything = (*self.tables, *self.files, *self.lists, *self.updates)
        return sorted({owner for each in everything for owner in each.owners})


def build_report_asset(reported: Reported) -> dg.AssetsDefinition:
    """One asset for a deployment. It depends on no other and has no condition: only a person or a schedule asks for it.

    It reads manifests and the ledgers, which know of every sync, also of those that Dagster did not run.
    Where all tables are of one group it is in that too: of several groups the UI's graph shows no asset at first.
    """
    groups = reported.groups

    @dg.asset(
        key=REPORT_KEY,
        required_resource_keys={LAKE_RESOURCE, *(warehouse_resource(name) for name in reported.warehouses)},
        group_name=groups.pop() if len(groups) == 1 else "report",
        kinds={"markdown", "html"},
        owners=reported.owners,
        code_version=__version__,
        description="What was read and loaded lately, how fast, and what it took. Only a person asks for it.",
    )
    def report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult:
        return report_on(context, config, reported)

    return report


def report_on(context: dg.AssetExecutionContext, config: ReportConfig, reported: Reported) -> dg.MaterializeResult:
    """What a step does: report on all that there is, and put the page into the lake."""
    from ..sync.report import ListFiles, markdown, page, report, with_files, with_updates

    end_with_parent()
    with engine_errors():
        lake = lake_of(context).open()
        found = report(
            lake,
            [(table.spec, table.target) for table in reported.tables],
            lambda name: warehouse_of(context, name).open(),
            since=datetime.now(UTC) - timedelta(days=config.days),
        )
        found = with_files(
            found,
            [table.spec for table in reported.files],
            lambda name: warehouse_of(context, name).open_files(),
            [
                ListFiles(each.key.to_user_string(), each.api.name, each.endpoint, each.existing_files)
                for each in reported.lists
            ],
        )
        specs = [update.spec for update in reported.updates]
        found = with_updates(found, specs, lambda name: warehouse_of(context, name).open())
        path = f"{FOLDER}/{found.made_at:%Y%m%dT%H%M%S}-{context.run.run_id[:8]}.html"
        lake.put_if_absent(path, page(found).encode())
        for error in found.errors:
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
    """The sum of all tables, files, lists and keyed updates; what was not measured, or is not there, is left out."""
    numbers: dict[str, float | None] = {}
    if report.tables:
        numbers |= {"tables": len(report.tables), **{name: getattr(report.total, name) for name in _NUMBERS}}
    if report.files:
        totals = [each.total for each in report.files]
        numbers |= {"entities": len(totals), "files_loaded": sum(each.files for each in totals)}
        numbers |= {"documents": sum(each.lines for each in totals), "rejected": sum(each.rejected for each in totals)}
    if report.lists:
        numbers |= {"lists": len(report.lists), "list_reads": sum(each.reads for each in report.lists)}
        numbers["records"] = sum(each.records for each in report.lists)
    if report.updates:
        numbers |= {"keyed_updates": len(report.updates), "keyed_rows": sum(each.rows for each in report.updates)}
        numbers["keyed_rows_updated"] = sum(each.rows_updated for each in report.updates)
    return {name: value for name, value in numbers.items() if value is not None}
