"""The terminal: tables and lines for people, errors on stderr, and the JSON object that ends `--json`."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from textwrap import fill
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z?")

WIDTH_OF_FILES = 120
GAP = 2
SHOWN = 6
"""Rows of a table that is shortened."""


@dataclass(frozen=True)
class Column:
    """A column of a table. On a narrow terminal `optional` ones are left out, and those that break are folded."""

    title: str
    align: Literal["left", "right"] = "left"
    optional: bool = False
    breaks: bool = False


@dataclass
class Screen:
    """Where a command writes. With `as_json` stdout has one line, the JSON object; what people read is on stderr."""

    as_json: bool = False

    @cached_property
    def console(self) -> "Console":
        """For what people read."""
        return _console(sys.stderr if self.as_json else sys.stdout)

    @cached_property
    def errors(self) -> "Console":
        return _console(sys.stderr)

    def line(self, text: str = "", style: str | None = None) -> None:
        """A line as it is, no markup is read from it; on a terminal a long one goes on below its own beginning."""
        if self.console.is_terminal:
            margin = " " * (len(text) - len(text.lstrip(" ")) + 2)
            text = fill(text, self.console.width, subsequent_indent=margin, break_on_hyphens=False) or text
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def text(self, text: str) -> None:
        """Text that is not wrapped, for files and pipes."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True, end="")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
        """A table. Cells that begin with a sign are coloured by it."""
        from rich.table import Table
        from rich.text import Text

        cells = [[show(value) for value in row] for row in rows]
        chosen = _fitting(columns, cells, self.console.width)
        drawn = Table(box=None, header_style="dim", padding=(0, GAP, 0, 0), pad_edge=False)
        for number in chosen:
            column = columns[number]
            drawn.add_column(column.title, justify=column.align, no_wrap=not column.breaks, overflow="fold")
        for row in cells:
            drawn.add_row(*(Text(row[number], style=_style(row[number])) for number in chosen))
        self.console.print(drawn)
        self.console.print()

    def problem(self, text: str) -> None:
        """An error, as one line on stderr."""
        self.errors.print(
            f"error: {' '.join(text.split())}", style="red", markup=False, highlight=False, soft_wrap=True
        )

    def finish(self, result: Mapping[str, object]) -> None:
        """The JSON object, if it was asked for: the last line of stdout."""
        if self.as_json:
            sys.stderr.flush()
            unicode = (sys.stdout.encoding or "").lower().startswith("utf")
            sys.stdout.write(json.dumps(result, default=_plain, ensure_ascii=not unicode) + "\n")
            sys.stdout.flush()


def shortened(rows: list[list[object]]) -> list[list[object]]:
    """The first rows and the last ones, where there are many, and how many are between them."""
    if len(rows) <= SHOWN:
        return rows
    between = [f"... {len(rows) - SHOWN} more", *[None] * (len(rows[0]) - 1)]
    return [*rows[: SHOWN // 2], between, *rows[-SHOWN // 2 :]]


def show(value: object) -> str:
    """A cell: numbers with separators, times to the second in UTC, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def seconds(duration: float | None) -> str:
    """A duration for people: `12.3 s`, `5 min`, `3 h`, `2 d`."""
    if duration is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if duration >= 2 * size:
            return f"{duration / size:,.0f} {unit}"
    return f"{duration:,.1f} s"


def mark(text: str | None) -> str:
    """A mark for people: a time to the second in UTC, or its day alone at midnight; an id as it is."""
    if text is None:
        return ""
    return _TIME.sub(lambda found: " ".join(part for part in found.groups() if part and part != "00:00:00"), text)


def _fitting(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The numbers of the columns that are shown: optional ones are left out, the last first, until the rest fits."""
    needed = [
        max([len(column.title), *(len(row[number]) for row in cells)]) + GAP for number, column in enumerate(columns)
    ]
    chosen = list(range(len(columns)))
    for number in reversed(range(len(columns))):
        if sum(needed[each] for each in chosen) - GAP <= width:
            break
        if columns[number].optional:
            chosen.remove(number)
    return chosen


def _style(cell: str) -> str:
    return {"✓": "green", "✗": "bold red", "!": "yellow"}.get(cell[:1], "")


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)


def _console(file: object) -> "Console":
    from rich.console import Console

    terminal = getattr(file, "isatty", lambda: False)()
    width = None if terminal or "COLUMNS" in os.environ else WIDTH_OF_FILES
    return Console(file=file, width=width, soft_wrap=False)  # type: ignore[arg-type]  # sys.stdout or sys.stderr
