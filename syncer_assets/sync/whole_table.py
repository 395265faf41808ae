"""Extraction of a table without a cursor: one snapshot, one manifest that replaces what was there."""

from ..model.errors import AssertionFailed
from ..model.manifest import Manifest
from ..model.report import CheckResult, Emit, SyncReport
from ..model.table import TableSpec
from ..sources.base import Read, Source
from .lake import Place
from .prefetch import Prefetch
from .rules import Resolved
from .strategy import SNAPSHOT
from .writer import WindowWriter


def extract_whole_table(
    source: Source,
    place: Place,
    spec: TableSpec,
    resolved: Resolved,
    head: Manifest | None,
    writer: WindowWriter,
    report: SyncReport,
    emit: Emit,
) -> None:
    """Read the whole table in one snapshot whose own count must be met. The same content again is not committed."""
    read = Read(table=spec.table, columns=resolved.read, order=resolved.order, where=resolved.where)
    snapshot = source.snapshot(read)
    try:
        emit("snapshot opened", rows=snapshot.rows)
        with Prefetch(snapshot.batches()) as batches:
            rows = 0
            for batch in batches:
                rows += batch.num_rows
                writer.add_whole(batch)
        if rows != snapshot.rows:
            raise AssertionFailed(
                f"the snapshot has {snapshot.rows} rows, {rows} were read",
                table=spec.table,
                partition=place.partition,
                fix="this is a defect of the reader: report it; nothing was committed",
            )
    finally:
        snapshot.close()
    report.queries += 2
    report.strategy, report.strategy_reason = SNAPSHOT, "no cursor: read whole"
    if not writer.finish_unless_same(head):
        report.nothing_new = True
        emit("nothing new to read", rows=rows)
    report.partition_row_count = rows
    report.checks = [
        CheckResult("row_count", True, description="rows of the snapshot = rows written", metadata={"rows": rows}),
        CheckResult("reached_ceiling", True, description="read in one snapshot"),
        CheckResult("rows_outside_partitions", True, description="the table has one partition"),
        CheckResult("cursor_protected", True, description="a snapshot has no late commits"),
    ]
