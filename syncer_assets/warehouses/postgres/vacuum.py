"""ANALYZE and VACUUM, each verified: for a role that may not, the server only warns and reports success."""

import time
from typing import Literal

import psycopg
from psycopg import sql

from ...model.errors import DbError
from ...model.table import Target
from .relations import Leaf

CHANGED_SHARE = 0.05
"""An ANALYZE is due when a larger share of the rows changed since the last one."""
STATISTICS_SECONDS = 10.0
"""How long the statistics may take to tell of it: before PostgreSQL 15 another process keeps them."""

CHANGES_SQL = """
SELECT sum(pg_stat_get_mod_since_analyze(o))::bigint, sum(pg_stat_get_live_tuples(o))::bigint,
    bool_and(pg_stat_get_analyze_count(o) + pg_stat_get_autoanalyze_count(o) > 0)
FROM unnest($1::oid[]) o
"""
COUNTS_SQL = """
SELECT CASE $2 WHEN 'VACUUM' THEN pg_stat_get_vacuum_count(o) ELSE pg_stat_get_analyze_count(o) END
FROM unnest($1::oid[]) WITH ORDINALITY AS t(o, n) ORDER BY n
"""
MAY_SQL = """
SELECT bool_and(pg_has_role(c.relowner, 'USAGE') OR CASE
    WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN')
    ELSE FALSE
END)
FROM pg_class c WHERE c.oid = ANY ($1::oid[])
"""
"""Owners may, and from PostgreSQL 17 on roles with MAINTAIN."""


def reason_to_skip_analyze(connection: psycopg.Connection, tables: list[Leaf]) -> str | None:
    """Why an ANALYZE is not due; None where it is."""
    row = connection.execute(CHANGES_SQL, ([table.oid for table in tables],)).fetchone()
    if row is None or not row[2]:
        return None
    changed, live, _ = row
    if changed > CHANGED_SHARE * live:
        return None
    percent = 100 * changed / live if live else 0.0
    return (
        f"ANALYZE: {percent:.1f} % of the rows changed since the last one, and {100 * CHANGED_SHARE:.0f} % are needed"
    )


def analyze(connection: psycopg.Connection, target: Target, table: sql.Identifier, tables: list[Leaf]) -> None:
    """ANALYZE the table and its partitions. Raises DbError where the server passed over one of them."""
    _verified("ANALYZE", connection, target, table, tables)


def vacuum(connection: psycopg.Connection, target: Target, table: sql.Identifier, tables: list[Leaf]) -> None:
    """VACUUM, over a session in autocommit mode. Raises DbError where the server passed over a table."""
    _verified("VACUUM", connection, target, table, tables)


def _verified(
    what: Literal["ANALYZE", "VACUUM"],
    connection: psycopg.Connection,
    target: Target,
    table: sql.Identifier,
    tables: list[Leaf],
) -> None:
    before = _counts(what, connection, tables)
    connection.execute(sql.SQL("{} {}").format(sql.SQL(what), table))
    deadline = time.monotonic() + STATISTICS_SECONDS
    while any(now <= then for now, then in zip(_counts(what, connection, tables), before, strict=True)):
        if not _may(connection, tables) or time.monotonic() > deadline:
            raise DbError(
                f"the server said that it did {what}, and its statistics say that it did not:"
                f" a role that does not own the table may not {what} it",
                code="42501",
                phase="load",
                table=target.name,
                fix="ALTER TABLE .. OWNER TO the warehouse role",
            )
        time.sleep(0.05)


def _counts(what: Literal["ANALYZE", "VACUUM"], connection: psycopg.Connection, tables: list[Leaf]) -> list[int]:
    return [row[0] for row in connection.execute(COUNTS_SQL, ([table.oid for table in tables], what))]


def _may(connection: psycopg.Connection, tables: list[Leaf]) -> bool:
    row = connection.execute(MAY_SQL, ([table.oid for table in tables],)).fetchone()
    return bool(row and row[0])
