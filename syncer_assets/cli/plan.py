"""`syncer plan`: what a run would do. Writes nothing."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, existing_lake, subcommand, table_title
from .screen import Column, Screen, mark, shortened

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


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "plan",
        "say what a run would do; writes nothing",
        "Say what a run would do: windows, chunks, SQL, files, types and risks; the batches of keyed updates, the\n"
        "files that it would load, and the pages that it would ask an API for. Numbers of tables are the server's\n"
        "estimates; no API is asked.",
        "examples:\n  syncer plan\n  syncer plan --select orders --verbose      every partition, every column",
    )
    parser.add_argument("--partition", metavar="KEY", help="only this partition")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Plan what is selected. What cannot be planned fails the command, after the others."""
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from ..sync.plan import plan
    from .file_plan import show_file_plans
    from .keyed_plan import show_update_plans
    from .list_plan import show_list_plans
    from .work import selected

    deployment, works = selected(arguments)
    tables = [work for work in works if isinstance(work, SyncedTable)]
    lake = existing_lake(deployment) if tables else None
    found: list[dict[str, object]] = []
    for table in tables:
        try:
            with deployment.source(table.spec.source).open() as source:
                planned = plan(source, lake, table.spec, arguments.partition)
        except SyncError as error:
            if not any(each.get("error") == str(error) for each in found):  # a connection fails for all of its tables
                screen.problem(str(error))
            found.append({"table": table_title(table), "error": str(error)})
            continue
        _show(table, planned, screen, whole=arguments.verbose)
        found.append({"target": f"{table.target.warehouse}.{table.target.name}", **asdict(planned)})
    lists = [work for work in works if isinstance(work, ApiList)]
    entities = [work for work in works if isinstance(work, FileTable)]
    updates = [work for work in works if isinstance(work, KeyedUpdateAsset)]
    whole = arguments.verbose
    body = {
        "tables": found,
        "lists": show_list_plans(lists, arguments.partition, screen, whole=whole),
        "updates": show_update_plans(deployment, updates, arguments.partition, screen, whole=whole),
        "files": show_file_plans(deployment, entities, arguments.partition, screen, whole=whole),
    }
    return Outcome(not any("error" in each for plans in body.values() for each in plans), body)


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
    """Every partition, or the first and the last ones; and the sum of all."""
    rows: list[list[object]] = [
        [each.partition, each.reason, mark(each.low) or "start", mark(each.ceiling), each.rows, each.chunks, each.files]
        for each in partitions
    ]
    shown = rows if whole else shortened(rows)
    if len(partitions) > 1:
        sums = [sum(getattr(each, name) for each in partitions) for name in ("rows", "chunks", "files")]
        shown = [*shown, [f"{len(partitions)} in all", "", "", "", *sums]]
    return shown


def _show_types(planned: "TablePlan", screen: Screen, *, whole: bool) -> None:
    """The columns that do not travel as they are; with --verbose all."""
    for column in planned.columns:
        if column.note or whole:
            types = f"{column.source_type} -> {column.lake_type}" if column.lake_type else column.source_type
            screen.line(f"  {column.name}: {types}{f'  ({column.note})' if column.note else ''}")
