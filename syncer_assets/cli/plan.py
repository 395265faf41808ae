"""`syncer plan`: what a run would do. Writes nothing."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, deployment_of, existing_lake, subcommand, table_title
from .screen import Column, Screen, mark

if TYPE_CHECKING:
    from ..assets.table import SyncedTable
    from ..sync.plan import PartitionPlan, TablePlan

COLUMNS = (
    Column("partition", breaks=True),
    Column("why", breaks=True),
    Column("above", breaks=True),
    Column("up to", breaks=True),
    Column("rows", "right"),
    Column("chunks", "right"),
    Column("files", "right"),
)
SHOWN = 6


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "plan",
        "say what a run would do; writes nothing",
        "Say what a run would do: windows, chunks, SQL, files, types and risks. Numbers are the server's estimates.",
    )
    parser.add_argument("--partition", metavar="KEY", help="only this partition")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Plan the selected tables. A table that cannot be planned fails the command, after the others."""
    from ..sync.plan import plan

    deployment, tables = deployment_of(arguments)
    lake = existing_lake(deployment)
    found: list[dict[str, object]] = []
    ok = True
    for table in tables:
        try:
            with deployment.source(table.spec.source).open() as source:
                planned = plan(source, lake, table.spec, arguments.partition)
        except SyncError as error:
            ok = False
            screen.problem(str(error))
            found.append({"table": table_title(table), "error": str(error)})
            continue
        _show(table, planned, screen, whole=arguments.verbose)
        found.append({"target": f"{table.target.warehouse}.{table.target.name}", **asdict(planned)})
    return Outcome(ok, {"tables": found})


def _show(table: "SyncedTable", planned: "TablePlan", screen: Screen, *, whole: bool) -> None:
    how = f"{planned.load} by {', '.join(planned.cursor)}" if planned.cursor else "read whole"
    screen.line(f"{table_title(table)} -> {table.target.warehouse} {table.target.name}: {how}", style="bold")
    key = ", ".join(planned.key) or "none"
    screen.line(f"  key {key}; late commits: {planned.proof}; about {max(0, planned.rows_estimate):,} rows in all")
    if not planned.partitions:
        screen.line("  nothing new to read")
    else:
        screen.table(COLUMNS, _rows(planned.partitions, whole=whole))
        first = planned.partitions[0]
        screen.line(f"  first query, by {first.access}:")
        screen.line(f"    {first.sql}", style="dim")
        screen.line(f"  {first.strategy}: {first.strategy_reason}")
        readers = f", {first.workers} readers" if first.workers > 1 else ""
        seconds = "" if first.seconds is None else f"; about {sum(p.seconds or 0 for p in planned.partitions):.0f} s"
        screen.line(f"  {first.size_class}{readers}: {first.size_reason}{seconds}")
    _show_types(planned, screen, whole=whole)
    for risk in planned.risks:
        screen.line(f"  ! {risk.text}", style="yellow")
    screen.line()


def _rows(partitions: "Sequence[PartitionPlan]", *, whole: bool) -> list[list[object]]:
    """Every partition, or the first and the last ones and the sum of all."""
    shown = list(partitions)
    if len(shown) > SHOWN and not whole:
        shown = [*shown[: SHOWN // 2], *shown[-SHOWN // 2 :]]
    rows: list[list[object]] = [
        [each.partition, each.reason, mark(each.low) or "start", mark(each.ceiling), each.rows, each.chunks, each.files]
        for each in shown
    ]
    if len(shown) < len(partitions):
        rows.insert(SHOWN // 2, [f"... {len(partitions) - len(shown)} more", "", "", "", None, None, None])
    if len(partitions) > 1:
        sums = [sum(getattr(each, name) for each in partitions) for name in ("rows", "chunks", "files")]
        rows.append([f"{len(partitions)} in all", "", "", "", *sums])
    return rows


def _show_types(planned: "TablePlan", screen: Screen, *, whole: bool) -> None:
    """The columns that do not travel as they are; with --verbose all."""
    for column in planned.columns:
        if column.note or whole:
            types = f"{column.source_type} -> {column.lake_type}" if column.lake_type else column.source_type
            screen.line(f"  {column.name}: {types}{f'  ({column.note})' if column.note else ''}")
