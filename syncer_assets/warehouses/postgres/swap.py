"""A new table in the place of an old one: built beside it, and given its name and all that the catalogue says of it.

Readers keep the old table until one short transaction; what that changes in the catalogue is compared before COMMIT.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed, DbError
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from . import catalog, names
from .schema import Shape
from .session import Sessions
from .staging import STAGE

CARRY_SQL = (files("syncer_assets.warehouses.postgres") / "carry.sql").read_text(encoding="utf-8").encode()
CATALOGUE_SQL = (files("syncer_assets.warehouses.postgres") / "catalogue_of.sql").read_text(encoding="utf-8").encode()

INDEX_SESSIONS = 3
POLL_SECONDS = 0.05
LOCK_TIMEOUT = "500ms"
"""How long readers may queue behind the swap, which waits for those that were there before it."""

OPTIONS_SQL = """
SELECT c.relpersistence = 'u', array_cat(c.reloptions,
    ARRAY(SELECT 'toast.' || o FROM unnest((SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid)) AS o)),
    (SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace)
FROM pg_class c WHERE c.oid = $1
"""

INDEXES_SQL = """
SELECT i.indexrelid, i.indisunique, pg_get_indexdef(i.indexrelid),
    format('CREATE %sINDEX %I ON %I.%I', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname, n.nspname, t.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE i.indrelid = $1 AND NOT i.indisexclusion ORDER BY pg_relation_size(i.indexrelid) DESC
"""

CONSTRAINTS_SQL = """
SELECT CASE WHEN contype = 'x' THEN $2 || conindid ELSE conname END, pg_get_constraintdef(oid),
    contype = 'f', convalidated
FROM pg_constraint WHERE conrelid = $1 AND contype IN ('x', 'f')
"""

TOMBSTONES_SQL = """
INSERT INTO {shadow} ({columns}, {captured_at}, {deleted_at})
SELECT {kept}, t.{captured_at}, t.{deleted_at} FROM {table} t WHERE t.{deleted_at} IS NOT NULL AND {not_staged}
"""


LEFT_SQL = """
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND starts_with(c.relname, $2)
    AND $3 IN ('', substr(c.relname, length($2) + 1))
"""

OLDER_SQL = """
SELECT l.virtualxid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
    AND a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND a.usesysid IS NOT NULL
"""


class CannotSwap(Exception):
    """The new table must not take the old one's place. The text says why, by names of objects only."""


@dataclass(frozen=True)
class Shadow:
    """A complete table beside the target, with its indexes under names that begin with `prefix`."""

    oid: int
    name: str
    prefix: str
    rows: int


def build(sessions: Sessions, connection: psycopg.Connection, plan: LoadPlan, shape: Shape, epoch: int) -> Shadow:
    """Fill a new table from the staged rows, index and analyse it. Readers of the target notice nothing.

    Its name has the load's epoch: a load that another one has overtaken never touches the other's table."""
    assert shape.oid is not None
    plain, prefix = f"{_new(shape.oid)}{epoch}", f"_syncer_ix_{epoch}_"
    name = sql.Identifier(plan.target.schema, plain)
    with _no_search_path(connection):
        _create(connection, plan.target, name, shape.oid)
        rows = _fill(connection, plan, shape, name)
        _index(sessions, connection, plan.target, name, shape.oid, prefix)
        connection.execute(sql.SQL("ANALYZE {}").format(name))
    oid = catalog.table_oid(connection, Target(plan.target.warehouse, plan.target.schema, plain))
    assert oid is not None
    return Shadow(oid, plain, prefix, rows)


def outlive_older(connection: psycopg.Connection, deadline: float) -> None:
    """Wait for every transaction that began before the new table was filled: to its snapshot the table is empty.

    Raises CannotSwap at the deadline (of `time.monotonic`)."""
    older = {row[0] for row in connection.execute(OLDER_SQL)}
    while older:
        if time.monotonic() > deadline:
            raise CannotSwap("a transaction that began before is still open, and would have seen an empty table")
        time.sleep(POLL_SECONDS)
        older &= {row[0] for row in connection.execute(OLDER_SQL)}


def put_in_place(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, shadow: Shadow) -> None:
    """Within the transaction of the load. Raises LockNotAvailable where a reader would not let go, or CannotSwap."""
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    connection.execute("SET LOCAL search_path = ''")
    table, aside = names.table(plan.target), _aside(shape.oid or 0)
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
    before = catalogue_of(connection, shape.oid or 0)
    carried = connection.execute(CARRY_SQL, (shape.oid, shadow.oid, shadow.prefix)).fetchall()
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, sql.Identifier(aside)))
    connection.execute(
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(
            sql.Identifier(plan.target.schema, shadow.name), sql.Identifier(plan.target.table)
        )
    )
    _run(connection, [statement for place, statement in carried if place == 1])
    connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(plan.target.schema, aside)))
    _run(connection, [statement for place, statement in carried if place > 1])
    if different := before.items() ^ catalogue_of(connection, shadow.oid).items():
        raise CannotSwap(", ".join(sorted({f"{kind} {name}".strip() for (kind, name), _ in different})))


def drop(connection: psycopg.Connection, target: Target, oid: int, epoch: int | None = None) -> None:
    """Remove what loads that were killed have left beside the target, or what the load of this epoch has made."""
    rows = connection.execute(LEFT_SQL, (target.schema, _new(oid), "" if epoch is None else str(epoch))).fetchall()
    for (name,) in rows:
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(target.schema, name)))


def catalogue_of(connection: psycopg.Connection, oid: int) -> dict[tuple[str, str], str]:
    """What the catalogue says of a table, as (kind, name) -> definition. The search_path must be empty."""
    return {(kind, name): definition for kind, name, definition in connection.execute(CATALOGUE_SQL, (oid,))}


def _create(connection: psycopg.Connection, target: Target, name: sql.Identifier, oid: int) -> None:
    row = connection.execute(OPTIONS_SQL, (oid,)).fetchone()
    assert row is not None
    unlogged, options, tablespace = row
    connection.execute(
        sql.SQL("CREATE {}TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS){}{}").format(
            sql.SQL("UNLOGGED " if unlogged else ""),
            name,
            names.table(target),
            sql.SQL(f" WITH ({', '.join(options)})" if options else ""),  # type: ignore[arg-type]  # the catalogue's
            sql.SQL(" TABLESPACE {}").format(sql.Identifier(tablespace)) if tablespace else sql.SQL(""),
        )
    )


def _fill(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, name: sql.Identifier) -> int:
    own = names.column(CAPTURED_AT)
    rows = connection.execute(
        sql.SQL("INSERT INTO {} ({}, {}) SELECT {}, s.{} FROM {} s").format(
            name, names.columns(shape.names), own, names.columns(shape.names, "s"), own, STAGE
        )
    ).rowcount
    staged = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(STAGE)).fetchone()
    if staged is None or staged[0] != rows:
        raise AssertionFailed(f"{rows} rows are in the new table, which is not what was staged", table=plan.target.name)
    not_staged = sql.SQL("NOT EXISTS (SELECT FROM {} s WHERE {})").format(STAGE, names.equal(shape.key, "s", "t"))
    connection.execute(
        sql.SQL(TOMBSTONES_SQL).format(
            shadow=name,
            table=names.table(plan.target),
            columns=names.columns(shape.names),
            kept=names.columns(shape.names, "t"),
            captured_at=own,
            deleted_at=names.column(DELETED_AT),
            not_staged=not_staged if shape.key else sql.SQL("true"),
        )
    )
    return rows


def _index(
    sessions: Sessions, connection: psycopg.Connection, target: Target, name: sql.Identifier, oid: int, prefix: str
) -> None:
    """Indexes by several sessions; then the constraints that are no index, foreign keys checked afterwards."""
    statements = []
    for index, unique, definition, start in connection.execute(INDEXES_SQL, (oid,)).fetchall():
        if not definition.startswith(f"{start} USING "):
            raise CannotSwap(f"index {index}")
        statements.append(
            sql.SQL("CREATE {}INDEX {} ON {}{}").format(
                sql.SQL("UNIQUE " if unique else ""),
                sql.Identifier(f"{prefix}{index}"),
                name,
                sql.SQL(definition[len(start) :]),  # the catalogue's own words
            )
        )
    try:
        with ThreadPoolExecutor(INDEX_SESSIONS) as pool:
            list(pool.map(lambda statement: _alone(sessions, target, statement), statements))
    except DbError as error:
        if error.retryable:
            raise
        raise CannotSwap(f"an index of it cannot be built anew ({error.code})") from None
    for constraint, definition, foreign, valid in connection.execute(CONSTRAINTS_SQL, (oid, prefix)).fetchall():
        late = foreign and not definition.endswith("NOT VALID")
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}{}").format(
                name, sql.Identifier(constraint), sql.SQL(definition), sql.SQL(" NOT VALID" if late else "")
            )
        )
        if foreign and valid:
            connection.execute(
                sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(name, sql.Identifier(constraint))
            )


def _alone(sessions: Sessions, target: Target, statement: sql.Composed) -> None:
    with sessions.errors("load", target.name), sessions.open() as connection, _no_search_path(connection):
        connection.execute(statement)


def _run(connection: psycopg.Connection, statements: list[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())  # composed by the server's own format()


@contextmanager
def _no_search_path(connection: psycopg.Connection) -> Iterator[None]:
    """The server then qualifies every name that it tells."""
    connection.execute("SET search_path = ''")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("RESET search_path")


def _new(oid: int) -> str:
    return f"_syncer_new_{oid}_"


def _aside(oid: int) -> str:
    return f"_syncer_old_{oid}"
