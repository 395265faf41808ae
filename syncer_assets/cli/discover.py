"""`syncer discover`: a live database as YAML."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ..model.errors import ConfigError
from .command import Commands, Outcome, UsageError, subcommand
from .completers import completed_by, sources
from .screen import Screen

if TYPE_CHECKING:
    from ..components.connections import Connections

HEAD = (
    "Written by `syncer discover {source}`: look through it, above all at the lines that begin with CHECK.",
    "A cursor such as updated_at must change with every update. Deletes are invisible to every cursor:",
    "`syncer reconcile` finds them. What is read whole (load: replace) sees updates and deletes alike.",
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "discover",
        "write the YAML for a live database",
        "Look at the tables of a source and propose how to sync each: key, cursor, partitions, and what to check.",
        "examples:\n  syncer discover shop\n  syncer discover shop --select 'sales.*' --write --defs ./defs",
        takes="SOURCE",
    )
    named = parser.add_argument(
        "source", metavar="SOURCE", help="a source of the connections; its DSN is in the environment"
    )
    completed_by(named, sources)
    parser.add_argument("--warehouse", metavar="W", help="the warehouse to load into (default: the only one)")
    parser.add_argument("--schema", metavar="S", help="the schema in the warehouse (default: the source's name)")
    parser.add_argument("--write", action="store_true", help="write <defs>/<source>/defs.yaml instead of printing it")
    parser.add_argument("--force", action="store_true", help="overwrite that file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Propose an entry for every table, and print or write them."""
    from ..components.deployment import load_connections
    from ..components.loading import defs_folder

    connections = load_connections(arguments.defs)
    warehouse = _warehouse(connections, arguments.warehouse)
    path = defs_folder(arguments.defs) / arguments.source / "defs.yaml"
    if arguments.write and path.exists() and not arguments.force:
        raise ConfigError(f"{path} is there already", fix="look at the output without --write, or add --force")
    text, tables = _discover(arguments, connections, warehouse)
    if arguments.write:
        _write(path, text)
        screen.line(f"{path}: {len(tables)} tables; `syncer plan` says what a run would do")
    else:
        screen.text(text)
    written = {"path": str(path)} if arguments.write else {"yaml": text}
    return Outcome(True, {"source": arguments.source, "tables": tables, **written})


def _discover(
    arguments: argparse.Namespace, connections: "Connections", warehouse: str
) -> tuple[str, list[dict[str, object]]]:
    from ..sync.discover import discover
    from ..sync.discover_yaml import to_yaml

    if arguments.source not in connections.sources:
        raise UsageError(
            f"there is no source {arguments.source!r}", fix=f"use one of {', '.join(connections.sources) or 'none'}"
        )
    with connections.source_resource(arguments.source).open() as source:
        proposals = discover(source, _selected(source.tables(), arguments.select))
    head = [line.format(source=arguments.source) for line in HEAD]
    text = to_yaml(arguments.source, warehouse, arguments.schema or arguments.source, proposals, head)
    tables: list[dict[str, object]] = [
        {
            "table": proposal.spec.table,
            "rows": proposal.rows,
            "key": proposal.spec.key,
            "cursor": proposal.spec.cursor,
            "load": proposal.spec.load,
            "warnings": [asdict(risk) for risk in proposal.warnings],
            **({"refused": proposal.refused} if proposal.refused else {}),
        }
        for proposal in proposals
    ]
    return text, tables


def _selected(tables: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The tables that one of the patterns fits: `orders`, `public.orders`, `sales.*`. Raises UsageError."""
    if not patterns:
        return list(tables)
    for pattern in patterns:
        if not any(_fits(table, pattern) for table in tables):
            raise UsageError(f"no table of the source is called {pattern!r}", fix="leave --select out to see them all")
    return [table for table in tables if any(_fits(table, pattern) for pattern in patterns)]


def _fits(table: str, pattern: str) -> bool:
    return fnmatchcase(table, pattern) or fnmatchcase(table.partition(".")[2], pattern)


def _warehouse(connections: "Connections", wanted: str | None) -> str:
    known = list(connections.warehouses)
    if wanted is not None and wanted not in known:
        raise UsageError(f"there is no warehouse {wanted!r}", fix=f"use one of {', '.join(known)}")
    if wanted is None and len(known) != 1:
        raise UsageError(f"there are {len(known)} warehouses", fix=f"name one with --warehouse: {', '.join(known)}")
    return wanted or known[0]


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror})", fix="give the user write permission"
        ) from None
