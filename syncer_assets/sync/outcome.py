"""What a sync says at its end: in its report, and as events."""

from collections.abc import Iterable
from datetime import datetime

from ..model.manifest import Manifest
from ..model.marks import Mark, show
from ..model.report import CheckResult, Emit, SyncReport
from ..model.table import TableSpec
from .loop import Loop
from .metrics import Metrics
from .window import Window
from .writer import WindowWriter


def tell(
    report: SyncReport,
    spec: TableSpec,
    window: Window,
    loop: Loop,
    writer: WindowWriter,
    metrics: Metrics,
    emit: Emit,
) -> None:
    """A window that was read: its marks, what it took and saved."""
    stats, choice, totals = loop.stats, loop.choice, metrics.totals()
    report.low, report.safe, report.ceiling = show(window.low), show(window.safe), show(window.high)
    report.proof = window.proof
    report.lag_seconds = metrics.lag_seconds
    report.queries += stats.queries
    if window.low is None and not window.carried:
        report.partition_row_count = report.rows  # read from the partition's very start
    report.longest_query_seconds = round(stats.longest_query_seconds, 3)
    report.chunk_efficiency_percent = metrics.efficiency_percent(stats.rows, stats.queries)
    report.strategy, report.strategy_reason = choice.strategy, choice.reason
    report.size_class, report.workers, report.chunk_rows = choice.size_class, choice.workers, spec.chunk.rows
    report.queries_saved, report.files_consolidated = int(totals["queries_saved"]), int(totals["files_consolidated"])
    report.seconds_saved, report.sparse_detections = round(totals["seconds_saved"], 3), metrics.sparse_detections
    efficiency = round(100 * stats.rows / metrics.ranges.span, 2) if metrics.ranges.span else None
    told = {"rows_found": stats.rows, "queries_saved": report.queries_saved}
    if metrics.is_sparse:
        emit(
            "Sparse ID sequence detected",
            efficiency_percent=efficiency,
            chunk_size_requested=spec.chunk.rows,
            optimization="keyset pages see no gaps" if choice.strategy == "keyset" else "ranges were scaled",
            **told,
        )
    emit(
        "Reached watermark ceiling - sync complete",
        watermark_ceiling=show(window.high),
        last_processed_id=show(writer.page),
        efficiency_percent=efficiency,
        protection="rows that came after the start wait for the next sync",
        **told,
    )


def tell_nothing_new(report: SyncReport, head: Manifest | None, standing: Iterable[CheckResult], emit: Emit) -> None:
    """Nothing was read: the marks are those of the last manifest; `standing` are the checks that hold all the same."""
    report.nothing_new = not report.manifests
    if head is not None:
        report.last_seq, report.closed, report.proof = head.seq, head.closed, head.proof
        report.low, report.safe, report.ceiling = show(head.low), show(head.safe), show(head.high)
    report.checks = [
        CheckResult("row_count", True, description="nothing new to read"),
        CheckResult("reached_ceiling", True, description="nothing new to read"),
        *standing,
    ]
    emit("nothing new to read", safe=report.safe, watermark_ceiling=report.ceiling)


def lag_seconds(safe: Mark | None, captured_at: datetime) -> float | None:
    """How far what is proven final lies behind the source's time; only times can tell."""
    if safe is None or not isinstance(safe[0], datetime) or safe[0].tzinfo is None:
        return None
    return round((captured_at - safe[0]).total_seconds(), 1)
