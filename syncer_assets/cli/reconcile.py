"""`syncer reconcile`: compare source and warehouse by key bucket, and say what differs."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, deployment_of, subcommand, table_title
from .screen import Column, Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment
    from ..sync.checksum import Comparison

COLUMNS = (
    Column("table"),
    Column("source", "right"),
    Column("warehouse", "right"),
    Column("missing", "right"),
    Column("changed", "right"),
    Column("extra", "right"),
    Column("to come", "right"),
    Column("seconds", "right", optional=True),
    Column("equal"),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "reconcile",
        "compare source and warehouse",
        "Compare source and warehouse by counts and checksums of key buckets, one scan a side, and find deletes and\n"
        "changes that no cursor sees. Changes nothing. Exit code 1 if a table differs.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Compare the selected tables."""
    deployment, tables = deployment_of(arguments)
    found, errors = compare_tables(deployment, tables)
    show_comparisons(found, screen)
    for error in errors:
        screen.problem(error)
    body = [{**asdict(each), "table": title, "equal": each.equal} for title, each in found.items()]
    return Outcome(not errors and all(each.equal for each in found.values()), {"tables": body, "errors": errors})


def compare_tables(
    deployment: "Deployment", tables: "Sequence[SyncedTable]"
) -> "tuple[dict[str, Comparison], list[str]]":
    """The comparison of each table by its title, and the errors of those that could not be compared."""
    from ..sync.checksum import compare

    found: dict[str, Comparison] = {}
    errors: list[str] = []
    for table in tables:
        try:
            with (
                deployment.source(table.spec.source).open() as source,
                deployment.warehouse(table.target.warehouse).open() as warehouse,
            ):
                found[table_title(table)] = compare(source, warehouse, table.spec, table.target)
        except SyncError as error:
            errors.append(str(error))
    return found, errors


def show_comparisons(found: "dict[str, Comparison]", screen: Screen) -> None:
    """The comparisons as a table."""
    rows = [
        [
            title,
            each.rows_source,
            each.rows_target,
            each.rows_missing,
            each.rows_changed,
            each.rows_extra,
            each.rows_pending,
            each.seconds,
            "✓" if each.equal else "✗",
        ]
        for title, each in found.items()
    ]
    screen.table(COLUMNS, rows)
    for title, each in found.items():
        if each.columns_left_out:
            screen.line(f"{title}: hashed on the way, so not compared: {', '.join(each.columns_left_out)}", style="dim")
