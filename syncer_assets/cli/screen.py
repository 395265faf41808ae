"""The terminal: tables and lines for people, errors on stderr, and the JSON object that ends `--json`."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_FILES = 120


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers stand to the right, `keep` is never wrapped."""

    title: str
    align: Literal["left", "right"] = "left"
    keep: bool = True


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
        """A line as it is: no markup is read from it."""
        self.console.print(text, style=style, markup=False, highlight=False)

    def text(self, text: str) -> None:
        """Text that is not wrapped, for files and pipes."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True, end="")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
        """A table. Cells that begin with a sign are coloured by it."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
        for column in columns:
            drawn.add_column(
                column.title, justify=column.align, no_wrap=column.keep, overflow="ellipsis" if column.keep else "fold"
            )
        for row in rows:
            drawn.add_row(*(Text(cell := show(value), style=_style(cell)) for value in row))
        self.console.print(drawn)

    def problem(self, text: str) -> None:
        """An error, as one line on stderr."""
        self.errors.print(
            f"error: {' '.join(text.split())}", style="red", markup=False, highlight=False, soft_wrap=True
        )

    def finish(self, result: Mapping[str, object]) -> None:
        """The JSON object, if it was asked for: the last line of stdout."""
        if self.as_json:
            sys.stderr.flush()
            sys.stdout.write(json.dumps(result, default=_plain, ensure_ascii=False) + "\n")
            sys.stdout.flush()


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
