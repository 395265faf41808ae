"""`syncer run`: sync what is due through Dagster, and say what happened."""

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..model.errors import ConfigError
from ..model.table import WORKERS_MOST
from .command import Commands, Interrupted, Outcome, UsageError, positive, subcommand
from .outcomes import RunOutcome, TableOutcome
from .screen import Column, Screen

if TYPE_CHECKING:
    from ..components.deployment import Deployment
    from .execution import RunOptions
    from .work import Work

COLUMNS = (
    Column("table"),
    Column("parts", "right", optional=True),
    Column("rows", "right"),
    Column("files", "right"),
    Column("queries", "right"),
    Column("new", "right", optional=True),
    Column("changed", "right", optional=True),
    Column("seconds", "right"),
    Column("rows/s", "right"),
    Column("checks"),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "run",
        "sync what is new, through Dagster",
        "Sync each table from its source into the lake and the warehouse, with its checks, through Dagster's\n"
        "execution. Reads what is new. Runs, events and checks are kept where DAGSTER_HOME is set.",
        "examples:\n  syncer run\n  syncer run --select orders --partition 2024-05-01\n"
        "  syncer run --select customers --full",
    )
    parser.add_argument("--partition", metavar="KEY", help="only this partition; it is re-read whole if it is closed")
    parser.add_argument("--full", action="store_true", help="re-read whole, and replace what was read before")
    parser.add_argument("--chunk-rows", type=positive, metavar="N", help="the most rows that one query asks for")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="tables at once, each in a process")
    parser.add_argument("--readers", type=_readers, metavar="N", help="readers that share a large window of a table")
    parser.add_argument("--strategy", choices=("auto", "keyset", "range"), help="how windows are read")
    parser.add_argument("--profile", choices=("small",), help="little memory, small chunks and files")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Sync the selected tables and lists."""
    from .work import selected

    deployment, works = selected(arguments)
    from .execution import RunOptions

    if arguments.partition is not None:
        works = _with_partitions(works, arguments.partition, named=bool(arguments.select))
    given = {"workers": arguments.readers, "strategy": arguments.strategy, "profile": arguments.profile}
    reading = tuple((name, value) for name, value in given.items() if value is not None)
    options = RunOptions(arguments.partition, arguments.full, arguments.chunk_rows, arguments.verbose, reading)
    outcome = sync(deployment, works, options, arguments.workers, screen)
    report(outcome, screen)
    return Outcome(outcome.ok, outcome.to_json())


def sync(
    deployment: "Deployment", works: "Sequence[Work]", options: "RunOptions", workers: int, screen: Screen
) -> RunOutcome:
    """Sync these tables and lists, with a progress bar for each. What was done is told where it is interrupted."""
    from .pool import sync_all
    from .progress import ProgressBars
    from .work import stages, title_of

    started, outcomes = time.monotonic(), []
    try:
        with ProgressBars(screen, [title_of(work) for work in works]) as bars:
            for stage in stages(works):
                for outcome in sync_all(deployment, stage, options, workers, bars.hear):
                    bars.end(outcome)
                    outcomes.append(outcome)
    except KeyboardInterrupt:
        so_far = RunOutcome(outcomes, time.monotonic() - started)
        if outcomes:
            report(so_far, screen)
        raise Interrupted(so_far.to_json()) from None
    order = [title_of(work) for work in works]
    outcomes.sort(key=lambda outcome: order.index(outcome.table))
    return RunOutcome(outcomes, time.monotonic() - started)


def report(outcome: RunOutcome, screen: Screen) -> None:
    """What happened, as a table, and each problem as a line on stderr."""
    screen.table(COLUMNS, [_row(table) for table in outcome.tables])
    for table in outcome.tables:
        for check in table.checks:
            if not check.passed and not check.failed:
                screen.line(f"! {table.table}: {check.name}: {check.description}", style="yellow")
    for table in outcome.tables:
        for problem in table.problems:
            screen.problem(str(problem))


def _row(table: TableOutcome) -> list[object]:
    rows = table.read("rows")
    passed = sum(check.passed for check in table.checks)
    failed = not table.ok or any(check.failed for check in table.checks)
    sign = "✗" if failed else "✓" if passed == len(table.checks) else "!"
    return [
        table.table,
        table.partitions,
        rows,
        table.read("files"),
        table.read("queries") or table.read("requests"),
        table.loaded("rows_inserted"),
        table.loaded("rows_updated"),
        table.seconds,
        round(rows / table.seconds) if table.seconds else 0,
        f"{sign} {passed}/{len(table.checks)}",
    ]


def _readers(text: str) -> int:
    """1 to 16, for argparse."""
    number = positive(text)
    if number > WORKERS_MOST:
        raise argparse.ArgumentTypeError(f"{number} is too many: write a number from 1 to {WORKERS_MOST}")
    return number


def _with_partitions(works: "Sequence[Work]", partition: str, *, named: bool) -> "tuple[Work, ...]":
    """The tables and lists that have such a partition. Those named with --select have to. Raises UsageError."""
    from .work import check_partition, title_of

    fitting, errors = [], []
    for work in works:
        try:
            check_partition(work, partition)
        except ConfigError as error:
            errors.append(UsageError(error.message, table=title_of(work), fix=error.fix))
        else:
            fitting.append(work)
    if errors and named:
        raise errors[0]
    if not fitting:
        fixes = list(dict.fromkeys(error.fix for error in errors if error.fix))
        fix = fixes[0] if len(fixes) == 1 else "`syncer watermarks` shows those there are"
        raise UsageError(f"no table has a partition {partition!r}", fix=fix)
    return tuple(fitting)
