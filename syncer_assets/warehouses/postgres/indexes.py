"""Declared indexes: made when they are missing, known again by their definition."""

import hashlib
from collections.abc import Sequence

import psycopg
from psycopg import sql

from ...model.errors import ConfigError
from ...model.report import Emit
from ...model.table import IndexSpec, Target
from . import catalog, names

EXISTING_SQL = """
SELECT i.indexrelid::regclass::text, c.relname::text, i.indisvalid, i.indisunique, i.indpred IS NOT NULL, ARRAY(
    SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(attnum, n)
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY n
) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1
"""


def create_in_transaction(connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec]) -> list[str]:
    """Make the indexes of a table that nobody else sees yet. The names of those created."""
    return [_create(connection, target, spec, concurrently=False) for spec in _missing(connection, target, specs)]


def create_concurrently(
    connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec], emit: Emit
) -> list[str]:
    """Make the missing indexes without blocking writers; an invalid one that a failed attempt left goes first."""
    created = []
    for spec in _missing(connection, target, specs):
        name = index_name(target, spec)
        connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(target.schema, name)))
        emit("Creating index", table=target.name, index=name)
        created.append(_create(connection, target, spec, concurrently=True))
    return created


def index_name(target: Target, spec: IndexSpec) -> str:
    """A name that the same declaration always gets, and another declaration never."""
    text = "\x1f".join([target.name, *spec.columns, spec.where or "", str(spec.unique)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    readable = "_".join([target.table, *spec.columns]).encode()[: names.LONGEST - 13].decode(errors="ignore")
    return f"{readable}_{digest}_sidx"[: names.LONGEST]


def _missing(connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec]) -> list[IndexSpec]:
    oid = catalog.table_oid(connection, target)
    if oid is None:
        return []
    known = {column.name for column in catalog.columns(connection, oid)}
    existing = connection.execute(EXISTING_SQL, (oid,)).fetchall()
    missing = []
    for spec in specs:
        columns = [names.cut(name) for name in spec.columns]
        for name in set(columns) - known:
            raise ConfigError(
                f"index column {name!r} is not in the warehouse table", table=target.name, fix="correct `indexes`"
            )
        if not any(_is(row, target, spec, columns) for row in existing):
            missing.append(spec)
    return missing


def _is(row: tuple, target: Target, spec: IndexSpec, columns: list[str]) -> bool:
    """A predicate comes back in the server's own words, so a partial index is known by our name alone."""
    _, name, valid, unique, partial, index_columns = row
    if not valid:
        return False
    if name == index_name(target, spec):
        return True
    return spec.where is None and not partial and index_columns == columns and (unique or not spec.unique)


def _create(connection: psycopg.Connection, target: Target, spec: IndexSpec, *, concurrently: bool) -> str:
    """The predicate is SQL that the deployment's owner wrote; `prepare` lets no second statement through."""
    name = index_name(target, spec)
    statement = sql.SQL("CREATE {unique}INDEX {concurrently}{name} ON {table} ({columns}){where}").format(
        unique=sql.SQL("UNIQUE " if spec.unique else ""),
        concurrently=sql.SQL("CONCURRENTLY " if concurrently else ""),
        name=sql.Identifier(name),
        table=names.table(target),
        columns=names.columns(names.cut(column) for column in spec.columns),
        where=sql.SQL(f" WHERE ({spec.where})" if spec.where else ""),  # type: ignore[arg-type]  # the owner's own SQL
    )
    connection.execute(statement, prepare=True)
    return name
