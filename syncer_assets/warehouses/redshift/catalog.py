"""What the warehouse's catalogue says of a table."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.table import Target
from ..base import TargetColumn
from . import names

TABLE_SQL = """
SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = {schema} AND c.relname = {table}
"""

COLUMNS_SQL = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, a.atthasdef
FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


@dataclass(frozen=True)
class CatalogColumn:
    """A column of an existing table, its type as `format_type` spells it."""

    name: str
    type: str
    nullable: bool
    has_default: bool


def table_oid(connection: psycopg.Connection, target: Target) -> int | None:
    """The OID of whatever bears the target's name."""
    row = _table(connection, target)
    return int(row[0]) if row else None


def table_kind(connection: psycopg.Connection, target: Target) -> str | None:
    """`r` for a table, `v` for a view .."""
    row = _table(connection, target)
    return str(row[1]) if row else None


def columns(connection: psycopg.Connection, oid: int) -> list[CatalogColumn]:
    """Every column of the table, ours included."""
    query = sql.SQL(COLUMNS_SQL).format(oid=names.number(oid))
    return [CatalogColumn(*row) for row in connection.execute(query)]


def target_columns(connection: psycopg.Connection, target: Target) -> list[TargetColumn]:
    """The columns without ours."""
    oid = table_oid(connection, target)
    found = columns(connection, oid) if oid else []
    return [TargetColumn(c.name, c.type, c.nullable) for c in found if c.name not in names.RESERVED]


def create_schema(connection: psycopg.Connection, schema: str) -> None:
    """CREATE SCHEMA needs a privilege on the database even where IF NOT EXISTS would do nothing: so look first."""
    query = sql.SQL("SELECT 1 FROM pg_namespace WHERE nspname = {}").format(names.text(schema))
    if connection.execute(query).fetchone() is None:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))


def _table(connection: psycopg.Connection, target: Target) -> tuple | None:
    query = sql.SQL(TABLE_SQL).format(schema=names.text(target.schema), table=names.text(target.table))
    return connection.execute(query).fetchone()
