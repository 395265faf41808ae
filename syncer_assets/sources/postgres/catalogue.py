"""What PostgreSQL's catalogue says of a table."""

from difflib import get_close_matches
from importlib.resources import files

import psycopg
from psycopg import sql

from ...model.errors import ConfigError
from ..base import SourceColumn, TableFacts
from .types import CatalogueType, source_column

_COLUMNS = sql.SQL(files(__package__).joinpath("catalogue.sql").read_text())  # type: ignore[arg-type]  # our own file

_TABLE = """
SELECT c.oid, c.relkind, c.reltuples, pg_total_relation_size(c.oid), obj_description(c.oid, 'pg_class'),
       has_table_privilege(c.oid, 'SELECT')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

_INDEXES = """
SELECT i.indisprimary, i.indisunique AND i.indpred IS NULL AND i.indimmediate, i.indpred IS NOT NULL,
       x.names, x.nullable
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
  CROSS JOIN LATERAL (
       SELECT array_agg(a.attname::text ORDER BY k.n) AS names, bool_or(NOT a.attnotnull) AS nullable,
              count(*) AS plain
         FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.n <= i.indnkeyatts) AS x
 WHERE i.indrelid = %s AND i.indisvalid AND x.plain = i.indnkeyatts
 ORDER BY i.indisprimary DESC, i.indexrelid
"""

_TABLES = """
SELECT n.nspname || '.' || c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_syncer') AND n.nspname NOT LIKE 'pg\\_t%%'
 ORDER BY 1
"""


def split(table: str) -> tuple[str, str]:
    """(schema, name) of a table as the YAML writes it; `public` where there is no schema."""
    schema, dot, name = table.partition(".")
    return (schema, name) if dot else ("public", table)


def tables(connection: psycopg.Connection) -> list[str]:
    """Every ordinary table, as `schema.name`."""
    return [row[0] for row in connection.execute(_TABLES)]


def describe(connection: psycopg.Connection, table: str) -> TableFacts:
    """The facts of a table. Raises ConfigError with near misses where there is none."""
    schema, name = split(table)
    row = connection.execute(_TABLE, (schema, name)).fetchone()
    if row is None:
        known = tables(connection)
        names = get_close_matches(name, {split(each)[1] for each in known}, 3, 0.5)
        near = [each for each in known if split(each)[1] in names]
        raise ConfigError(
            "there is no such table in the source, or the role may not see it",
            table=table,
            fix=f"did you mean {' or '.join(near)}?" if near else "check `table` in the YAML, and the role's USAGE",
        )
    oid, _, rows, size, comment, can_select = row
    columns = [_column(fields) for fields in connection.execute(_COLUMNS, (oid,))]
    primary: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = []
    indexes: list[tuple[str, ...]] = []
    for is_primary, is_unique, is_partial, names, nullable in connection.execute(_INDEXES, (oid,)):
        if is_primary:
            primary = tuple(names)
        elif is_unique and not nullable:
            unique.append(tuple(names))
        if not is_partial:
            indexes.append(tuple(names))
    return TableFacts(
        table=table,
        columns=tuple(column for column, _ in columns),
        primary_key=primary,
        unique_keys=tuple(unique),
        rows_estimate=int(rows),
        bytes_estimate=int(size or 0),
        indexes=tuple(indexes),
        can_select=can_select or all(allowed for _, allowed in columns),
        unreadable=tuple(column.column.name for column, allowed in columns if not (can_select or allowed)),
        comment=comment,
    )


def _column(row: tuple) -> tuple[SourceColumn, bool]:
    name, typname, formatted, is_enum, portable, nullable, collation, can_select = row
    kind = CatalogueType(typname, formatted, is_enum, portable)
    return source_column(name, kind, collation, nullable=nullable), can_select
