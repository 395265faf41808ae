"""`syncer adopt`: a person says that a source, the lake and a target belong together, though an identity changed."""

import argparse
from typing import TYPE_CHECKING

from ..model.errors import ConfigError
from .command import Commands, Outcome, UsageError, deployment_of, subcommand, table_title
from .completers import completed_by, tables
from .screen import Screen

if TYPE_CHECKING:
    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "adopt",
        "say that source, lake and target still belong together",
        "After a restore, a move or a re-created table a sync or load stops: its marks were made with another source,\n"
        "lake or target. If the data is the same nevertheless, this keeps the marks and goes on. If it is not, use\n"
        "`syncer run --full` instead: it reads everything anew.",
        "example:\n  syncer adopt orders",
        takes="TABLE",
    )
    named = parser.add_argument("table", metavar="TABLE", help="the table: orders, public.orders")
    completed_by(named, tables)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Adopt one table."""
    deployment, _ = deployment_of(arguments)
    try:
        table, *others = deployment.select([arguments.table])
    except ConfigError as error:
        raise UsageError(error.message, fix=error.fix) from None
    if others:
        known = ", ".join(table_title(each) for each in (table, *others))
        raise UsageError(f"{arguments.table!r} is the name of several tables", fix=f"use one of {known}")
    identity, earlier = adopt(deployment, table)
    title = table_title(table)
    screen.line(f"{title}: source {identity}, the lake and {table.target.name} belong together from now on")
    return Outcome(True, {"table": title, "source_identity": identity, "earlier_identities": earlier})


def adopt(deployment: "Deployment", table: "SyncedTable") -> tuple[str, list[str]]:
    """Note the source's identity in the lake, and the lake's in the warehouse. The identity, and those before it."""
    from ..sync import table_note
    from ..sync.lake import Place

    lake, spec = deployment.lake.open(), table.spec
    with deployment.source(spec.source).open() as source:
        identity = source.identity().database
    heads = [lake.head(Place(spec.source, spec.table, key)) for key in lake.partitions(spec.source, spec.table)]
    earlier = sorted({head.source_identity for head in heads if head} - {identity})
    place = Place(spec.source, spec.table, "")
    for each in earlier:
        table_note.adopt(lake, place, spec, identity, each)
    with deployment.warehouse(table.target.warehouse).open() as warehouse:
        warehouse.adopt(table.target, lake.generation)
    return identity, earlier
