"""Declared storage parameters: fillfactor and autovacuum of one table."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from .relations import Leaf


def set_storage(
    connection: psycopg.Connection, tables: list[Leaf], declared: Sequence[tuple[str, str]]
) -> tuple[list[str], list[str]]:
    """Set what is not as declared (a lock that neither readers nor writers feel); fillfactor counts for new pages.

    What was set, as `name: then -> now`, and what is set without being declared, which stays."""
    wanted = dict(declared)
    changed: list[str] = []
    undeclared: list[str] = []
    for table in tables:
        there = _parameters(connection, table)
        differing = {name: value for name, value in wanted.items() if there.get(name) != value}
        if differing:
            pairs = (
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in differing.items()
            )
            connection.execute(sql.SQL("ALTER TABLE {} SET ({})").format(table.identifier, sql.SQL(", ").join(pairs)))
        changed += [f"{name}: {there.get(name, 'unset')} -> {value}" for name, value in differing.items()]
        if wanted:
            undeclared += [f"{name} = {value}" for name, value in there.items() if name not in wanted]
    return list(dict.fromkeys(changed)), list(dict.fromkeys(undeclared))


def _parameters(connection: psycopg.Connection, table: Leaf) -> dict[str, str]:
    row = connection.execute("SELECT coalesce(reloptions, '{}') FROM pg_class WHERE oid = $1", (table.oid,)).fetchone()
    return dict(option.split("=", 1) for option in row[0]) if row else {}
