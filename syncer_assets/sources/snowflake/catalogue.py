"""What Snowflake's catalogue says of a table. Its keys are declarations: nothing enforces them."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ...drivers import snowflake
from ...model.errors import ConfigError
from ..base import SourceColumn, TableFacts
from .query import relation, split
from .types import CatalogueType, source_column

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

_TABLE = """
SELECT TABLE_SCHEMA, ROW_COUNT, BYTES, COMMENT, CLUSTERING_KEY
  FROM {database}INFORMATION_SCHEMA.TABLES
 WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), CURRENT_SCHEMA()) AND TABLE_NAME = ?
"""

_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_MAXIMUM_LENGTH, DATETIME_PRECISION,
       COLLATION_NAME, IS_NULLABLE
  FROM {database}INFORMATION_SCHEMA.COLUMNS
 WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?
 ORDER BY ORDINAL_POSITION
"""

_TABLES = """
SELECT TABLE_SCHEMA || '.' || TABLE_NAME
  FROM INFORMATION_SCHEMA.TABLES
 WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('INFORMATION_SCHEMA', '_SYNCER')
 ORDER BY 1
"""


def tables(connection: "SnowflakeConnection") -> list[str]:
    """Every ordinary table of the DSN's database, as `SCHEMA.NAME`."""
    return [row[0] for row in snowflake.rows(connection, _TABLES)]


def describe(connection: "SnowflakeConnection", table: str) -> TableFacts:
    """The facts of a table. Raises ConfigError with near misses where there is none."""
    database, schema, name = split(table)
    prefix = f"{snowflake.name(database)}." if database else ""
    found = snowflake.rows(connection, _TABLE.format(database=prefix), (schema, name))
    if not found:
        raise _missing(connection, table, name)
    schema, rows, size, comment, clustering = found[0]
    columns = _columns(connection, prefix, schema, name)
    return TableFacts(
        table=table,
        columns=tuple(columns),
        primary_key=_primary_key(connection, table),
        unique_keys=(),
        rows_estimate=-1 if rows is None else int(rows),
        bytes_estimate=int(size or 0),
        indexes=_clustered_by(clustering, [column.column.name for column in columns]),
        comment=comment,
        engine="snowflake",
    )


def row_count(connection: "SnowflakeConnection", table: str) -> int:
    """How many rows the table has, by the catalogue; 0 of a view."""
    database, schema, name = split(table)
    prefix = f"{snowflake.name(database)}." if database else ""
    found = snowflake.rows(connection, _TABLE.format(database=prefix), (schema, name))
    return int(found[0][1] or 0) if found else 0


def _columns(connection: "SnowflakeConnection", database: str, schema: str, name: str) -> list[SourceColumn]:
    statement = _COLUMNS.format(database=database)
    return [
        source_column(
            column, CatalogueType(kind, precision, scale, length, digits), collation, nullable=nullable != "NO"
        )
        for column, kind, precision, scale, length, digits, collation, nullable in snowflake.rows(
            connection, statement, (schema, name)
        )
    ]


def _primary_key(connection: "SnowflakeConnection", table: str) -> tuple[str, ...]:
    rows = snowflake.named_rows(connection, f"SHOW PRIMARY KEYS IN TABLE {relation(table)}")
    return tuple(str(row["column_name"]) for row in sorted(rows, key=lambda row: int(str(row["key_sequence"]))))


def _clustered_by(clustering: str | None, columns: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The clustering key's leading columns, as `LINEAR(A, B)` names them: what serves ranges as an index would."""
    if not clustering:
        return ()
    inner = clustering.partition("(")[2].rpartition(")")[0] if "(" in clustering else clustering
    known, found = set(columns), []
    for part in inner.split(","):
        part = part.strip().strip('"')
        if part not in known:
            break
        found.append(part)
    return (tuple(found),) if found else ()


def _missing(connection: "SnowflakeConnection", table: str, name: str) -> ConfigError:
    known = tables(connection)
    by_name = {each.rpartition(".")[2].upper(): each for each in known}
    near = [by_name[each] for each in get_close_matches(name.upper(), by_name, 3, 0.5)]
    return ConfigError(
        "there is no such table in the source, or the role may not see it",
        table=table,
        fix=f"did you mean {' or '.join(near)}? Names are written in the case that Snowflake keeps"
        if near
        else "check `table` in the YAML, and the role's USAGE on database and schema",
    )
