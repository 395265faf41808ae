"""A progress bar a table on a terminal; one line a table, when it ends, in a file or pipe."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .outcomes import TableOutcome
from .screen import Screen, seconds

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STEPS = {
    "partition": "waiting for the source",
    "ceiling captured": "settling",
    "window opened": "reading",
    "pages read": "reading",
    "load planned": "loading",
    "files found": "reading files",
    "files staged": "merging",
    "core": "core table",
    "maintenance": "maintenance",
}
"""What a table does after each of these events."""


@dataclass
class _Bar:
    """Where a table is: partitions done, of how many, and the share of the current one."""

    task: "TaskID"
    number: int = 0
    total: int = 1
    rows: int = 0


@dataclass
class ProgressBars(AbstractContextManager["ProgressBars"]):
    """`hear` takes the events of a run, `end` a table's outcome."""

    screen: Screen
    titles: Sequence[str]
    _bars: dict[str, _Bar] = field(default_factory=dict)
    _progress: "Progress | None" = None

    def __enter__(self) -> "ProgressBars":
        if self.screen.errors.is_terminal:
            self._progress = _progress(self.screen)
            self._progress.start()
            for title in self.titles:
                task = self._progress.add_task(title, total=1.0, start=False, rows="", step="")
                self._bars[title] = _Bar(task)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def hear(self, title: str, event: str, fields: dict[str, object]) -> None:
        """An event of a table."""
        bar = self._bars.get(title)
        if self._progress is None or bar is None:
            return
        share = 0.0
        if event == "partition":
            bar.number, bar.total = _int(fields["number"]), _int(fields["total"])
            self._progress.start_task(bar.task)
        elif event == "chunk read":
            bar.rows += _int(fields.get("rows_found"))
            share = 0.5
        elif event == "pages read":
            bar.rows = _int(fields.get("rows"))
        elif event == "Reading" and isinstance(fields.get("share"), float):
            share = float(str(fields["share"])) / 2
        elif event == "load planned":
            share = 0.5
        elif event == "maintenance":
            share = 0.9
        elif event not in STEPS:
            return
        step = STEPS.get(event)
        if step is not None and bar.total > 1 and event != "maintenance":
            step = f"{step} {bar.number + 1}/{bar.total}"
        if step is not None:
            self._progress.update(bar.task, step=step)
        rows = f"{bar.rows:,} rows" if bar.rows else ""
        self._progress.update(bar.task, completed=min(0.99, (bar.number + share) / bar.total), rows=rows)

    def end(self, outcome: TableOutcome) -> None:
        """A table is done, well or not."""
        number = outcome.read("rows")
        text = "failed" if not outcome.ok else "done" if number else "nothing new"
        rows = f"{number:,} rows"
        if self._progress is not None:
            bar = self._bars[outcome.table]
            self._progress.update(bar.task, completed=1.0 if outcome.ok else None, rows=rows, step=text)
            self._progress.stop_task(bar.task)
        else:
            self.screen.line(f"{outcome.table}: {text}, {rows} in {seconds(outcome.seconds)}")


def _progress(screen: Screen) -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[rows]}", justify="right", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[step]}", style="dim", markup=False),
        console=screen.errors,
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
