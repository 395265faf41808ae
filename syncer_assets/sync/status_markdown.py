"""The status of all tables as a Markdown table, for a page in the UI."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ..model.server import size
from .report.history import table_title
from .report.markdown import table_lines
from .status import TableStatus

HEADER = (
    *("table", "rows", "size", "complete to", "lag", "to load", "last load", "rows/min", "dead rows", "bloat", "proof"),
    "red checks",
)


def status_markdown(tables: Sequence[TableStatus], red: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """A line a table; `red` has each table's red checks by partition. What cannot be told is left out."""
    lines = table_lines(HEADER, [_row(each, checks) for each, checks in zip(tables, red, strict=True)])
    errors = dict.fromkeys(each.error for each in tables if each.error)
    return "\n".join([*lines, *(f"\nNot asked: {' '.join(error.split())}" for error in errors)]) + "\n"


def _row(table: TableStatus, red: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    last, bloat = table.last_load, table.bloat_percent
    return (
        table_title(table.spec),
        _number(table.rows) if table.partitions or table.error else "never synced",
        "" if table.activity.bytes is None else size(table.activity.bytes),
        (table.partitions[-1].safe or "").partition(".")[0] if table.partitions else "",
        _duration(table.lag_seconds),
        _number(table.pending_manifests),
        _duration((datetime.now(UTC) - last.last_loaded_at).total_seconds() if last and last.last_loaded_at else None),
        _number(table.rows_per_minute),
        _number(table.activity.dead_rows),
        "" if bloat is None else f"{bloat:.0f} %",
        ", ".join(table.proofs),
        ", ".join(f"{name} ({partition})" for partition, names in red.items() for name in names),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for each, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * each:
            return f"{seconds / each:,.0f} {unit}"
    return f"{seconds:,.0f} s"
