"""What information_schema says of a table."""

from dataclasses import replace
from difflib import get_close_matches

import pymysql

from ...drivers import mysql
from ...model.errors import ConfigError
from ..base import SourceColumn, TableFacts
from .query import relation
from .types import CatalogueType, source_column

SYSTEM = ("mysql", "information_schema", "performance_schema", "sys", "_syncer")

DENIED = (1142, 1143)

_TABLE = """
SELECT TABLE_TYPE, ENGINE, TABLE_ROWS, COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0), TABLE_COMMENT
  FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
"""

_COLUMNS = """
SELECT COLUMN_NAME, LOWER(DATA_TYPE), COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE = 'YES', PRIVILEGES LIKE '%%select%%',
       EXTRA LIKE '%%on update current_timestamp%%'
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION
"""

_JSON_CHECKS = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
 WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s AND LOWER(CHECK_CLAUSE) LIKE 'json_valid(%%'
"""

_INDEXES = """
SELECT INDEX_NAME, COLUMN_NAME, NON_UNIQUE, NULLABLE = 'YES', SUB_PART IS NOT NULL, INDEX_TYPE, COLLATION = 'D'
  FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
 ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX
"""

_TABLES = """
SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
 WHERE TABLE_TYPE = 'BASE TABLE' AND (TABLE_SCHEMA = DATABASE() OR DATABASE() IS NULL)
   AND TABLE_SCHEMA NOT IN %s ORDER BY 1, 2
"""


def split(connection: mysql.Connection, table: str) -> tuple[str, str]:
    """(database, name) of a table as the YAML writes it; the DSN's database where there is none."""
    database, dot, name = table.partition(".")
    if dot:
        return database, name
    chosen = connection.db
    if not chosen:
        raise ConfigError(
            "the table has no database, and the DSN names none", table=table, fix=f"write `table: database.{table}`"
        )
    return chosen.decode() if isinstance(chosen, bytes) else chosen, table


def tables(connection: mysql.Connection) -> list[str]:
    """Every ordinary table of the DSN's database (of all, where it names none), as `database.table`."""
    return [f"{database}.{name}" for database, name in mysql.rows(connection, _TABLES, (SYSTEM,))]


def describe(connection: mysql.Connection, table: str) -> TableFacts:
    """The facts of a table. Raises ConfigError with near misses where there is none.

    Columns on which the role has no right at all are hidden by the server: nobody can name them, and none is read.
    """
    place = split(connection, table)
    found = mysql.rows(connection, _TABLE, place)
    if not found:
        raise _unknown(connection, table, place)
    _, _, rows, size, comment = found[0]
    columns = _columns(connection, place)
    primary, unique, indexes = _indexes(connection, place)
    unreadable = tuple(column.column.name for column, allowed in columns if not allowed)
    return TableFacts(
        table=table,
        columns=tuple(column for column, _ in columns),
        primary_key=primary,
        unique_keys=unique,
        rows_estimate=-1 if rows is None else int(rows),
        bytes_estimate=int(size or 0),
        indexes=indexes,
        can_select=not unreadable and _may_select_all(connection, table),
        unreadable=unreadable,
        comment=comment or None,
        engine="mysql",
    )


def engine(connection: mysql.Connection, table: str) -> str | None:
    """The storage engine, such as InnoDB; None of a view."""
    found = mysql.rows(connection, _TABLE, split(connection, table))
    return found[0][1] if found else None


def _may_select_all(connection: mysql.Connection, table: str) -> bool:
    try:
        mysql.rows(connection, f"SELECT * FROM {relation(table)} LIMIT 0")
    except pymysql.MySQLError as error:
        if error.args[0] in DENIED:
            return False
        raise
    return True


def _unknown(connection: mysql.Connection, table: str, place: tuple[str, str]) -> ConfigError:
    known = mysql.rows(connection, _TABLES.replace("DATABASE()", "%s"), (place[0], place[0], SYSTEM))
    names = get_close_matches(place[1], [name for _, name in known], 3, 0.5)
    near = [f"{database}.{name}" for database, name in known if name in names]
    return ConfigError(
        "there is no such table in the source, or the role may not see it",
        table=table,
        fix=f"did you mean {' or '.join(near)}?" if near else "check `table` in the YAML, and the role's grants",
    )


def _columns(connection: mysql.Connection, place: tuple[str, str]) -> list[tuple[SourceColumn, bool]]:
    checks = mysql.rows(connection, _JSON_CHECKS, place) if mysql.is_mariadb(connection) else []
    json_columns = {clause[len("json_valid(") :].rstrip(")").strip("`").replace("``", "`") for (clause,) in checks}
    found = []
    for name, kind, formatted, collation, nullable, allowed, touched in mysql.rows(connection, _COLUMNS, place):
        catalogued = CatalogueType(kind, formatted, collation, kind == "json" or name in json_columns)
        column = source_column(name, catalogued, nullable=bool(nullable))
        found.append((replace(column, touched=bool(touched)), bool(allowed)))
    return found


def _indexes(
    connection: mysql.Connection, place: tuple[str, str]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """(primary key, unique keys that cannot be NULL, B-tree indexes over whole columns, ascending)."""
    parts: dict[str, list[tuple]] = {}
    for name, *part in mysql.rows(connection, _INDEXES, place):
        parts.setdefault(name, []).append(tuple(part))
    primary: tuple[str, ...] = ()
    unique, indexes = [], []
    for name, found in parts.items():
        columns = tuple(part[0] for part in found)
        if None in columns or any(cut for _, _, _, cut, _, _ in found):
            continue
        if name == "PRIMARY":
            primary = columns
        elif not found[0][1] and not any(nullable for _, _, nullable, *_ in found):
            unique.append(columns)
        if found[0][4] == "BTREE" and not any(descending for *_, descending in found):
            indexes.append(columns)
    return primary, tuple(unique), tuple(indexes)
