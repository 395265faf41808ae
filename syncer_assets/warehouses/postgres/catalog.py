"""What the warehouse's catalogue says of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.table import Target
from ..base import TargetColumn
from . import names

TABLE_SQL = """
SELECT c.oid, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2
"""

COLUMNS_SQL = """
SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull, atthasdef OR attidentity <> ''
FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

UNIQUE_SQL = """
SELECT EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
    AND ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) ORDER BY 1
    ) = ARRAY(SELECT unnest($2::text[]) ORDER BY 1) AND NOT 0 = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
), EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisprimary)
"""

SEEN_SQL = """
SELECT count(*) FROM pg_class c
WHERE c.oid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
    AND c.relfilenode <> coalesce(pg_relation_filenode(c.oid), 0)
"""
"""The function tells where the rows lie now, `pg_class` where they did when the transaction's snapshot was taken."""


@dataclass(frozen=True)
class CatalogColumn:
    """A column of an existing table."""

    name: str
    type: str
    nullable: bool
    has_default: bool


def table_oid(connection: psycopg.Connection, target: Target) -> int | None:
    """The OID of whatever bears the target's name."""
    row = connection.execute(TABLE_SQL, (target.schema, target.table)).fetchone()
    return row[0] if row else None


def is_as_seen(connection: psycopg.Connection, target: Target, oid: int) -> bool:
    """Whether the transaction's snapshot sees the table's rows, which then stay where they are until it ends.

    ALTER TABLE writes rows anew that every older snapshot takes for not there (the manual's "MVCC Caveats")."""
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names.table(target)))
    return connection.execute(SEEN_SQL, (oid,)).fetchone() == (0,)


def table_kind(connection: psycopg.Connection, target: Target) -> str | None:
    """`r` for a table, `p` for a partitioned one, `v` for a view .."""
    row = connection.execute(TABLE_SQL, (target.schema, target.table)).fetchone()
    return row[1] if row else None


def columns(connection: psycopg.Connection, oid: int) -> list[CatalogColumn]:
    """Every column of the table, ours included."""
    return [CatalogColumn(*row) for row in connection.execute(COLUMNS_SQL, (oid,))]


def target_columns(connection: psycopg.Connection, target: Target) -> list[TargetColumn]:
    """The columns without ours."""
    oid = table_oid(connection, target)
    found = columns(connection, oid) if oid else []
    return [TargetColumn(c.name, c.type, c.nullable) for c in found if c.name not in names.RESERVED]


def keys(connection: psycopg.Connection, oid: int, key: Sequence[str]) -> tuple[bool, bool]:
    """Whether a unique index on exactly these columns exists, and whether there is any primary key."""
    row = connection.execute(UNIQUE_SQL, (oid, list(key))).fetchone()
    return (bool(row[0]), bool(row[1])) if row else (False, False)


def spell(connection: psycopg.Connection, types: Sequence[str]) -> list[str]:
    """The types as the catalogue spells them. They must come from `types.py`, which lets no SQL through."""
    if not types:
        return []
    nulls = sql.SQL(", ").join(sql.SQL("NULL::" + name) for name in types)  # type: ignore[arg-type]  # checked spellings
    result = connection.execute(sql.SQL("SELECT {} LIMIT 0").format(nulls)).pgresult
    assert result is not None
    described = [(result.ftype(i), result.fmod(i)) for i in range(len(types))]
    rows = connection.execute(
        "SELECT format_type(o, m) FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS t(o, m, n) ORDER BY n",
        ([oid for oid, _ in described], [modifier for _, modifier in described]),
    )
    return [row[0] for row in rows]


def create_schema(connection: psycopg.Connection, schema: str) -> None:
    """CREATE SCHEMA needs a privilege on the database even where IF NOT EXISTS would do nothing: so look first."""
    if not has_schema(connection, schema):
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))


def has_schema(connection: psycopg.Connection, schema: str) -> bool:
    """Whether the schema exists."""
    return connection.execute("SELECT FROM pg_namespace WHERE nspname = $1", (schema,)).fetchone() is not None
