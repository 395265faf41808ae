"""Reports of the engine as Dagster metadata, with the names of DESIGN 4. Plain numbers, so that the UI plots them."""

from collections.abc import Iterable, Mapping

import dagster as dg

from ..model.columns import Column
from ..model.report import LoadReport, SyncReport
from .table import SyncedTable

Metadata = dict[str, "dg.MetadataValue | int | float | str"]

_SYNC_NUMBERS = (
    *("rows", "bytes", "files", "queries", "queries_saved", "chunk_efficiency_percent", "seconds", "rows_per_second"),
    *("peak_memory_mb", "longest_query_seconds", "lag_seconds", "manifests", "last_seq", "rows_per_query", "workers"),
    *("sparse_detections", "seconds_saved", "files_consolidated"),
)
_LOAD_NUMBERS = (
    *("rows", "bytes", "files", "copies", "seconds", "rows_per_second", "peak_memory_mb", "wal_bytes"),
    *("rows_inserted", "rows_updated", "rows_unchanged", "rows_stale", "rows_deduplicated", "rows_deleted"),
    *("manifests", "seq"),
)


def sync_metadata(report: SyncReport, table: SyncedTable, picture: str | None = None) -> Metadata:
    """What a materialisation of the lake's asset shows; `picture` is Markdown of how it was read."""
    metadata = _numbers(report, _SYNC_NUMBERS)
    if picture:
        metadata["reading"] = dg.MetadataValue.md(picture)
    metadata |= {"mode": report.mode, "proof": report.proof, "partition_closed": str(report.closed).lower()}
    chosen = {"strategy": report.strategy, "strategy_reason": report.strategy_reason, "size_class": report.size_class}
    metadata |= {name: text for name, text in chosen.items() if text}
    if report.queries_saved or report.files_consolidated:
        metadata["savings_basis"] = (
            f"estimates against a loop over fixed ranges of {report.chunk_rows} ids that writes a file for each"
        )
    for name, mark in (("ceiling", report.ceiling), ("safe", report.safe)):
        if mark is not None:
            metadata[name] = _mark(mark)
    if report.closed:
        metadata.pop("lag_seconds", None)  # nothing waits in a closed partition, however old it is
    if report.uri:
        metadata["dagster/uri"] = report.uri
    if report.partition_row_count is not None:
        name = "dagster/partition_row_count" if table.is_partitioned else "dagster/row_count"
        metadata[name] = report.partition_row_count
    return metadata | _schema(report.columns, table.source_key, of_database=False)


def load_metadata(report: LoadReport, table: SyncedTable) -> Metadata:
    """What a materialisation of the warehouse's asset shows."""
    metadata = _numbers(report, _LOAD_NUMBERS)
    if report.how:
        metadata["how"] = report.how
    if report.refresh_reason:
        metadata["refresh_reason"] = report.refresh_reason
    metadata |= plain_metadata(report.facts)
    if report.target_rows_estimate is not None:
        name = "target_rows_estimate" if table.is_partitioned else "dagster/row_count"
        metadata[name] = report.target_rows_estimate
    return metadata | _schema(report.columns, table.lake_key, of_database=True)


def plain_metadata(values: Mapping[str, object]) -> Metadata:
    """Numbers and texts as they are; anything else as text; None and empty texts are left out."""
    return {name: _plain(value) for name, value in values.items() if value not in (None, "")}


def table_schema(columns: Iterable[Column], *, of_database: bool) -> dg.TableSchema:
    """The columns as the UI shows them, with the lake's types or those of the database that they come from."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.source_type if of_database else column.type,
                description=_hidden_by(column),
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in columns
        ]
    )


def _hidden_by(column: Column) -> str | None:
    rule, _, how = (column.transform or "").partition(":")
    return {
        "hash": "keyed HMAC-SHA256 of the source's value",
        "truncate": f"the first {how} characters of the source's value",
        "mask": "masked: not the source's value",
    }.get(rule)


def _numbers(report: SyncReport | LoadReport, names: Iterable[str]) -> Metadata:
    values = {name: getattr(report, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _schema(columns: Iterable[object], upstream: dg.AssetKey, *, of_database: bool) -> Metadata:
    """The columns, and that each of them is the upstream asset's of the same name."""
    known = [column for column in columns if isinstance(column, Column)]
    if not known:
        return {}
    lineage = {column.name: [dg.TableColumnDep(asset_key=upstream, column_name=column.name)] for column in known}
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(table_schema(known, of_database=of_database)),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(dg.TableColumnLineage(lineage)),
    }


def _mark(text: str) -> int | str:
    """Integer cursors plot; times do not."""
    return int(text) if text.lstrip("-").isdigit() else text


def _plain(value: object) -> int | float | str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float | str) else str(value)
