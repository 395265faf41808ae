"""`syncer status`: how each table is: rows, lag, what waits to be loaded, and which checks are red."""

import argparse
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .command import Commands, Outcome, subcommand
from .marks import TableMarks, marks_of
from .screen import Column, Screen, mark, seconds

if TYPE_CHECKING:
    from ..sync.status import PartitionStatus

COLUMNS = (
    Column("table"),
    Column("partition", breaks=True),
    Column("rows", "right"),
    Column("safe", breaks=True),
    Column("lag", "right", optional=True),
    Column("to load", "right"),
    Column("loaded", "right", optional=True),
    Column("checks", breaks=True),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "status",
        "show how each table is",
        "Show for each table the rows in the warehouse, how far it is complete (safe), the lag, what waits to be\n"
        "loaded, and the red checks of each partition, where DAGSTER_HOME is set. Asks no source.",
    )
    parser.add_argument("--partitions", action="store_true", help="a line for every partition")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Show the state of the selected tables. Looking is no failure, whatever is seen."""
    from .red_checks import red_checks

    tables = marks_of(arguments, screen)
    red = red_checks([marks.table for marks in tables])
    rows: list[list[object]] = []
    body: list[dict[str, object]] = []
    for marks in tables:
        failing = red.get(marks.title, {})
        rows += _rows(marks, failing, each=arguments.partitions)
        for each in marks.partitions:
            checks = failing.get(each.partition, [])
            body.append({**asdict(each), "table": marks.title, "red_checks": checks})
        if not marks.partitions:
            body.append({"table": marks.title, "partition": None, "never_synced": True})
    screen.table(COLUMNS, rows)
    return Outcome(all(marks.error is None for marks in tables), {"partitions": body})


def _rows(marks: TableMarks, red: dict[str, list[str]], *, each: bool) -> list[list[object]]:
    """One row a partition, or one a table with a further one for each partition that has a red check."""
    if not marks.partitions:
        return [[marks.title, "never synced", *[None] * 6]]
    if each or len(marks.partitions) == 1:
        return [_row(marks.title, part, part.partition, red.get(part.partition, [])) for part in marks.partitions]
    rows = [_sum(marks, red)]
    for part in marks.partitions:
        if part.partition in red:
            rows.append(_row("", part, part.partition, red[part.partition]))
    return rows


def _row(title: str, part: "PartitionStatus", name: str, red: list[str]) -> list[object]:
    return [
        title,
        name,
        part.rows,
        mark(part.safe),
        seconds(part.lag_seconds),
        part.pending_manifests,
        _ago(part.last_loaded_at),
        f"✗ {', '.join(red)}" if red else "",
    ]


def _sum(marks: TableMarks, red: dict[str, list[str]]) -> list[object]:
    parts = marks.partitions
    known = [part.rows for part in parts if part.rows is not None]
    waiting = [part.pending_manifests for part in parts if part.pending_manifests is not None]
    lags = [part.lag_seconds for part in parts if part.lag_seconds is not None]
    return [
        marks.title,
        f"{len(parts)} partitions",
        sum(known) if known else None,
        mark(parts[-1].safe),
        seconds(lags[-1] if lags else None),
        sum(waiting) if waiting else None,
        _ago(max((part.last_loaded_at for part in parts if part.last_loaded_at), default=None)),
        f"✗ {len(red)} partitions" if red else "",
    ]


def _ago(moment: datetime | None) -> str:
    return f"{seconds((datetime.now(UTC) - moment).total_seconds())} ago" if moment else ""
