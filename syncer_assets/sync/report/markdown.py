"""The report as Markdown."""

from collections.abc import Iterable, Iterator

from .report import Report
from .sections import Section, details, headline, overview


def markdown(report: Report) -> str:
    """The whole report."""
    lines = ["# Sync report", "", headline(report), ""]
    for section in overview(report):
        lines += _table(section, 2)
    for table in report.tables:
        sections = list(details(table))
        if sections or table.error:
            lines += [f"## {_cell(table.table)}", ""]
        if table.error:
            lines += [f"Without the warehouse: {_cell(table.error)}", ""]
        for section in sections:
            lines += _table(section, 3)
    return "\n".join(lines).rstrip() + "\n"


def _table(section: Section, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {_cell(section.title)}", "")
    if section.note:
        yield from (_cell(section.note), "")
    yield from table_lines(section.header, section.rows)
    yield ""


def table_lines(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table whose numbers stand at the right; the first column is text."""
    yield _line(header)
    yield _line(("---", *("---:" for _ in header[1:])))
    yield from (_line(row) for row in rows)


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """A name of a table may hold anything: nothing of it may end a cell, begin a tag or a code."""
    text = " ".join(text.split())
    for sign in "\\|<`*":
        text = text.replace(sign, f"\\{sign}")
    return text
