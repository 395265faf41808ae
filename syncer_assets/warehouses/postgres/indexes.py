"""Declared indexes: compared with those that are there, made when they are missing, known again by their definition."""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, DbError
from ...model.report import Emit
from ...model.table import IndexSpec, Target
from . import catalog, names
from .session import Sessions

LARGE_ROWS = 500_000
SESSIONS_MOST = 3
PROBE = "_syncer_probe"
OUR_NAME = re.compile(r"_[0-9a-f]{8}_sidx")

DEFINITIONS_SQL = """
SELECT c.relname::text, i.indisvalid, i.indisunique,
    EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid) OR i.indisreplident,
    m.amname::text, ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) n),
    (i.indclass::oid[])[0:i.indnkeyatts - 1], (i.indcollation::oid[])[0:i.indnkeyatts - 1],
    pg_get_expr(i.indpred, i.indrelid, true)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE i.indrelid = $1 ORDER BY 1
"""


@dataclass(frozen=True)
class Index:
    """An index as the catalogue describes it, in the server's own words."""

    name: str
    valid: bool
    unique: bool
    bound: bool
    method: str
    keys: list[str]
    classes: list[int]
    collations: list[int]
    predicate: str | None

    def serves(self, wanted: "Index") -> bool:
        """Whether it does what the other one would do. A unique index does what a plain one does."""
        return self.valid and (self.unique or not wanted.unique) and self._content() == wanted._content()

    def _content(self) -> tuple:
        return self.method, self.keys, self.classes, self.collations, self.predicate


@dataclass
class Drift:
    """How the table's indexes differ from the declared ones.

    `missing` have no valid index, `differing` are valid, bear our name and are defined otherwise, `undeclared` bear
    our name and are declared no longer; `invalid` are what failed attempts of ours left."""

    missing: list[IndexSpec] = field(default_factory=list)
    differing: list[IndexSpec] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)


def compare(connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec]) -> Drift:
    """The declared indexes against the table's. Raises ConfigError for a column that is not there, DbError for wrong
    SQL in a predicate or an expression."""
    oid = catalog.table_oid(connection, target)
    if oid is None:
        return Drift()
    there = {index.name: index for index in _definitions(connection, oid)}
    drift = Drift(invalid=[name for name, index in there.items() if not index.valid and _is_ours(name)])
    declared = {index_name(target, spec): spec for spec in specs}
    for name, wanted in _declared(connection, target, oid, declared).items():
        if any(index.serves(wanted) for index in there.values()):
            continue
        present = there.get(name)
        (drift.differing if present and present.valid else drift.missing).append(declared[name])
    drift.undeclared = [
        name
        for name, index in there.items()
        if name not in declared and index.valid and _is_ours(name) and not index.bound
    ]
    return drift


def create_in_transaction(connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec]) -> list[str]:
    """Make the indexes of a table that nobody else sees yet. The names of those created."""
    missing = compare(connection, target, specs).missing if specs else []
    return [_create(connection, target, spec, concurrently=False) for spec in missing]


def put_off(specs: Sequence[IndexSpec], rows: int) -> list[IndexSpec]:
    """The indexes of a new table that are made after its COMMIT, several at a time: plain ones of a large table.

    A unique one is made before, since duplicates must undo the load."""
    plain = [spec for spec in specs if not spec.unique]
    return plain if rows >= LARGE_ROWS and len(plain) > 1 else []


def create_by_sessions(sessions: Sessions, target: Target, specs: Sequence[IndexSpec], emit: Emit) -> None:
    """Make these indexes of a table that was just loaded. What cannot be made now is left to maintenance, and told."""

    def create(spec: IndexSpec) -> None:
        try:
            with sessions.errors("load", target.name), sessions.open() as connection:
                name = _create(connection, target, spec, concurrently=False)
        except DbError as error:
            emit("Index left to maintenance", table=target.name, index=index_name(target, spec), reason=str(error))
        else:
            emit("Created index", table=target.name, index=name)

    if not specs:
        return
    try:
        with sessions.errors("load", target.name), sessions.open() as connection:
            missing = compare(connection, target, specs).missing
    except DbError as error:
        emit("Indexes left to maintenance", table=target.name, reason=str(error))
        return
    with ThreadPoolExecutor(SESSIONS_MOST) as pool:
        list(pool.map(create, missing))


def create_concurrently(
    connection: psycopg.Connection, target: Target, specs: Sequence[IndexSpec], emit: Emit
) -> list[str]:
    """Make these indexes, which are missing, without blocking writers. Their names.

    Raises DbError, without a value, where rows share the key of a unique one."""
    created = []
    for spec in specs:
        name = index_name(target, spec)
        drop_invalid(connection, target, name)
        emit("Creating index", table=target.name, index=name)
        try:
            created.append(_create(connection, target, spec, concurrently=True))
        except psycopg.errors.LockNotAvailable:
            raise  # who holds the table would hold up the removal, too; the next run does it
        except (psycopg.Error, DbError):
            with suppress(psycopg.Error):  # what failed is told; the next run drops what stays
                drop_invalid(connection, target, name)
            raise
    return created


def drop_invalid(connection: psycopg.Connection, target: Target, name: str) -> bool:
    """Drop the index of that name if it is invalid; a valid one is never dropped. Whether it was dropped."""
    invalid = connection.execute(
        "SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2 AND NOT i.indisvalid",
        (target.schema, name),
    ).fetchone()
    if invalid is not None:
        drop(connection, target, name)
    return invalid is not None


def drop(connection: psycopg.Connection, target: Target, name: str) -> None:
    """Drop an index without blocking anybody."""
    connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(target.schema, name)))


def index_name(target: Target, spec: IndexSpec) -> str:
    """A name that the same declaration always gets, and another declaration never."""
    words = [target.name, *spec.columns, spec.where or "", str(spec.unique), *filter(None, [spec.expression])]
    digest = hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:8]
    called = spec.columns or re.findall(r"\w+", spec.expression or "")
    readable = "_".join([target.table, *called]).encode()[: names.LONGEST - 14].decode(errors="ignore")
    return f"{readable}_{digest}_sidx"


def _is_ours(name: str) -> bool:
    return OUR_NAME.fullmatch(name[-14:]) is not None


def _definitions(connection: psycopg.Connection, oid: int) -> list[Index]:
    return [Index(*row) for row in connection.execute(DEFINITIONS_SQL, (oid,))]


def _declared(
    connection: psycopg.Connection, target: Target, oid: int, specs: dict[str, IndexSpec]
) -> dict[str, Index]:
    """What the catalogue would say of the declared indexes: they are made on an empty copy, and rolled back."""
    known = {column.name for column in catalog.columns(connection, oid)}
    for spec in specs.values():
        for name in {names.cut(column) for column in spec.columns} - known:
            raise ConfigError(
                f"index column {name!r} is not in the warehouse table", table=target.name, fix="correct `indexes`"
            )
    if not specs:
        return {}
    probe = sql.Identifier("pg_temp", PROBE)
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {})").format(sql.Identifier(PROBE), names.table(target)))
        for name, spec in specs.items():
            connection.execute(_statement(spec, name, probe, concurrently=False), prepare=True)
        row = connection.execute("SELECT to_regclass($1)::oid", (f"pg_temp.{PROBE}",)).fetchone()
        assert row is not None
        return {index.name: index for index in _definitions(connection, row[0])}


def _create(connection: psycopg.Connection, target: Target, spec: IndexSpec, *, concurrently: bool) -> str:
    name = index_name(target, spec)
    try:
        connection.execute(_statement(spec, name, names.table(target), concurrently=concurrently), prepare=True)
    except psycopg.errors.UniqueViolation:
        raise DbError(
            f"the index {spec} cannot be made, since rows share its key",
            code="23505",
            phase="load",
            table=target.name,
            fix="remove the duplicates at the source, or drop `unique` from the YAML",
        ) from None
    return name


def _statement(spec: IndexSpec, name: str, table: sql.Identifier, *, concurrently: bool) -> sql.Composed:
    """Predicate and expression are the deployment owner's own SQL; `prepare` lets no second statement through."""
    content = (
        sql.SQL(f"({spec.expression})")  # type: ignore[arg-type]  # the owner's own SQL
        if spec.expression
        else names.columns(names.cut(column) for column in spec.columns)
    )
    return sql.SQL("CREATE {unique}INDEX {concurrently}{name} ON {table} ({content}){where}").format(
        unique=sql.SQL("UNIQUE " if spec.unique else ""),
        concurrently=sql.SQL("CONCURRENTLY " if concurrently else ""),
        name=sql.Identifier(name),
        table=table,
        content=content,
        where=sql.SQL(f" WHERE ({spec.where})" if spec.where else ""),  # type: ignore[arg-type]  # the owner's own SQL
    )
