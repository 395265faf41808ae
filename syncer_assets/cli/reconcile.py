"""`syncer reconcile`: compare source and warehouse by key bucket, say what differs, and repair it if asked."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, deployment_of, positive, subcommand, table_title
from .screen import Column, Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment
    from ..sync.lake import Lake
    from ..sync.reconcile import Reconciliation

COMPARED = (
    Column("table"),
    Column("source", "right"),
    Column("warehouse", "right"),
    Column("missing", "right"),
    Column("changed", "right"),
    Column("extra", "right"),
    Column("to come", "right"),
)
REPAIRED = (Column("repaired", "right"), Column("deleted", "right"))
ENDED = (Column("seconds", "right", optional=True), Column("equal"))


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "reconcile",
        "compare source and warehouse, and repair what differs",
        "Compare source and warehouse by counts and checksums of key buckets, one scan a side, and find deletes and\n"
        "changes that no cursor sees. Without --repair it changes nothing. Exit code 1 if a table differs at the end.",
        "examples:\n  syncer reconcile\n  syncer reconcile --select orders --keys 10      which rows differ\n"
        "  syncer reconcile --select orders --repair",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="re-read the rows that differ, and do what `deletes` says to those that are gone at the source",
    )
    parser.add_argument(
        "--keys", type=positive, default=0, metavar="N", help="name N keys of each kind of difference (may be personal)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Compare the selected tables, and repair them if asked."""
    deployment, tables = deployment_of(arguments)
    lake = deployment.lake.open() if arguments.repair else None
    found, errors = reconcile_tables(deployment, tables, lake, arguments.keys)
    show_reconciliations(found, screen, repaired=arguments.repair)
    for error in errors:
        screen.problem(error)
    body = [body_of(title, each) for title, each in found.items()]
    return Outcome(not errors and all(each.equal for each in found.values()), {"tables": body, "errors": errors})


def reconcile_tables(
    deployment: "Deployment", tables: "Sequence[SyncedTable]", lake: "Lake | None" = None, keys: int = 0
) -> "tuple[dict[str, Reconciliation], list[str]]":
    """What was found of each table by its title, and the errors of those that could not be compared or repaired."""
    from ..sync.reconcile import reconcile

    found: dict[str, Reconciliation] = {}
    errors: list[str] = []
    for table in tables:
        try:
            read_from, compared = deployment.source(table.spec.source), deployment.warehouse(table.target.warehouse)
            backoff = read_from.backoff.or_longer(compared.backoff)
            with read_from.open() as source, compared.open() as warehouse:
                found[table_title(table)] = reconcile(
                    source, warehouse, table.spec, table.target, lake=lake, keys=keys, backoff=backoff
                )
        except SyncError as error:
            errors.append(str(error))
    return found, errors


def show_reconciliations(found: "dict[str, Reconciliation]", screen: Screen, *, repaired: bool = False) -> None:
    """What was found as a table, and below it what was left and why."""
    rows = []
    for title, each in found.items():
        before = each.before
        done = [each.rows_repaired, each.rows_deleted] if repaired else []
        counts = [before.rows_missing, before.rows_changed, before.rows_extra, before.rows_pending]
        ended = [each.seconds, "✓" if each.equal else "✗"]
        rows.append([title, before.rows_source, before.rows_target, *counts, *done, *ended])
    screen.table((*COMPARED, *(REPAIRED if repaired else ()), *ENDED), rows)
    for title, each in found.items():
        for reason in each.left:
            screen.line(f"{title}: {reason}")
        for verdict, keys in each.keys.items():
            for key in keys:
                screen.line(f"{title}: {verdict} {', '.join(map(str, key))}")
        if hidden := each.before.columns_left_out:
            screen.line(f"{title}: hashed on the way, or without a text to compare: {', '.join(hidden)}", style="dim")


def body_of(title: str, each: "Reconciliation") -> dict[str, object]:
    """The JSON of a table: the comparison's numbers, and what became of them."""
    return {
        **asdict(each.before),
        "table": title,
        "equal": each.equal,
        "rows_repaired": each.rows_repaired,
        "rows_deleted": each.rows_deleted,
        "manifests": each.manifests,
        "seconds": each.seconds,
        "rows_per_second": each.before.rows_per_second,
        "after": None if each.after is None else asdict(each.after),
        "left": each.left,
        "keys": each.keys,
    }
