"""The report as Markdown."""

from collections.abc import Iterable, Iterator

from .report import Report
from .sections import Section, details, file_details, headline, overview


def markdown(report: Report) -> str:
    """The whole report."""
    lines = ["# Sync report", "", headline(report), ""]
    for section in overview(report):
        lines += _table(section, 2)
    for table in report.tables:
        lines += _part(table.table, f"Without the warehouse: {table.error}" if table.error else "", details(table))
    for entity in report.files:
        lines += _part(entity.entity, entity.error or "", file_details(entity))
    return "\n".join(lines).rstrip() + "\n"


def _part(title: str, error: str, sections: Iterable[Section]) -> Iterator[str]:
    found = [line for section in sections for line in _table(section, 3)]
    if found or error:
        yield from (f"## {_cell(title)}", "")
    if error:
        yield from (_cell(error), "")
    yield from found


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
