"""The rows of a core table in a temporary one: JSON paths as SQL, each value judged before it is cast."""

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from ....model.errors import ConfigError
from ....model.files import CoreColumn, CoreSpec, FileSpec
from .. import catalog, names, types
from .stage import at_path
from .tables import id_type

if TYPE_CHECKING:
    from .core import Core

__all__ = ["STAGE", "counts", "id_type", "reject", "stage"]

STAGE = sql.Identifier("pg_temp", "_syncer_core")
BAD = "_syncer_bad"
ANY_TEXT = ("text", "jsonb")
"""Types that every value at a path has."""

COLUMNS_SQL = """
CREATE TEMP TABLE _syncer_core ON COMMIT DROP AS
SELECT id, {values}, {bad} AS _syncer_bad FROM (
    SELECT id, {texts}, {values_} FROM (SELECT r.id, {paths} FROM {raw} r WHERE {window} OFFSET 0) t OFFSET 0
) v
"""
QUERY_SQL = """
CREATE TEMP TABLE _syncer_core ON COMMIT DROP AS
WITH raw AS (SELECT * FROM {raw} r WHERE {window}) SELECT q.*, false AS _syncer_bad FROM ({query}) q
"""
COUNT_SQL = "SELECT count(*), count(*) FILTER (WHERE _syncer_bad), count(DISTINCT id) FROM pg_temp._syncer_core"
REJECT_SQL = """
INSERT INTO {rejects} (id, column_name, reason, value)
SELECT s.id, b.name, b.reason, left(b.value, 1000)
FROM {stage} s JOIN {raw} r ON r.id = s.id CROSS JOIN LATERAL (VALUES {verdicts}) b (name, reason, value)
WHERE s._syncer_bad AND b.reason IS NOT NULL
"""


def stage(connection: psycopg.Connection, spec: FileSpec, core: CoreSpec, window: sql.Composable) -> dict[str, str]:
    """Fill the temporary table; its columns and their types, as the catalogue spells them."""
    raw = names.table(spec.target)
    if core.query is not None:
        query = sql.SQL(core.query.strip().rstrip(";"))  # type: ignore[arg-type]  # the deployment's own file
        connection.execute(sql.SQL(QUERY_SQL).format(raw=raw, window=window, query=query))
    else:
        connection.execute(_columns_sql(core, raw, window))
    oid = connection.execute("SELECT 'pg_temp._syncer_core'::regclass::oid").fetchone()
    assert oid is not None
    found = {column.name: column.type for column in catalog.columns(connection, oid[0])}
    found.pop(BAD)
    if "id" not in found or "_updated_at" in found or len(found) == 1:
        raise ConfigError(
            "the query must give the raw table's id, further columns, and none called _updated_at",
            table=core.target.name,
            fix="write it as SELECT id, .. FROM raw",
        )
    found.pop("id")
    connection.execute("ANALYZE pg_temp._syncer_core (id)")
    return found


def counts(connection: psycopg.Connection) -> tuple[int, int]:
    """Rows, and those among them that do not convert. Raises ConfigError where an id comes twice."""
    row = connection.execute(COUNT_SQL).fetchone()
    assert row is not None
    if row[0] != row[2]:
        raise ConfigError("the query gives an id twice, or none", fix="let each document of `raw` give one row at most")
    return row[0], row[1]


def reject(connection: psycopg.Connection, core: "Core", window: sql.Composable) -> int:
    """Write down which columns do not convert; how many documents that are."""
    verdicts = sql.SQL(", ").join(_verdict(column) for column in core.core.columns)
    connection.execute(core.sql(REJECT_SQL, verdicts=verdicts, window=window))
    row = connection.execute(
        core.sql("SELECT count(DISTINCT r.id) FROM {rejects} r JOIN {stage} s ON s.id = r.id")
    ).fetchone()
    assert row is not None
    return row[0]


def spelt(column: CoreColumn) -> str:
    """The column's type. Raises ConfigError for one that is none."""
    if types.parse(column.type) is None:
        raise ConfigError(f"{column.type!r} is no type of PostgreSQL", fix="write integer, numeric(12,2), text ..")
    return column.type


def _columns_sql(core: CoreSpec, raw: sql.Identifier, window: sql.Composable) -> sql.Composed:
    numbered = list(enumerate(core.columns))
    join = sql.SQL(", ").join
    return sql.SQL(COLUMNS_SQL).format(
        raw=raw,
        window=window,
        paths=join(sql.SQL("{} AS {}").format(_path(column), _name("t", n)) for n, column in numbered),
        texts=join(_name("t", n) for n, _ in numbered),
        values_=join(sql.SQL("{} AS {}").format(_value(column, n), _name("v", n)) for n, column in numbered),
        values=join(sql.SQL("{} AS {}").format(_name("v", n), names.column(c.name)) for n, c in numbered),
        bad=sql.SQL(" OR ").join([sql.SQL("false"), *(bad for n, column in numbered for bad in _bad(column, n))]),
    )


def _path(column: CoreColumn) -> sql.Composed:
    document = sql.SQL("r.raw_data")
    if column.type != "jsonb":
        return at_path(document, column.path)
    return sql.SQL("({} #> {}::text[])").format(document, sql.Literal(list(column.path)))


def _value(column: CoreColumn, number: int) -> sql.Composed:
    if column.type in ANY_TEXT:
        return sql.SQL("{}").format(_name("t", number))
    return sql.SQL("CASE WHEN pg_input_is_valid({0}, {1}) THEN {0}::{2} END").format(
        _name("t", number),
        sql.Literal(spelt(column)),
        sql.SQL(spelt(column)),  # type: ignore[arg-type]  # a checked spelling
    )


def _bad(column: CoreColumn, number: int) -> list[sql.Composed]:
    """When a value did not convert, or is missing; never for what any value is."""
    if column.required:
        return [sql.SQL("{} IS NULL").format(_name("v", number))]
    if column.type in ANY_TEXT:
        return []
    return [sql.SQL("({} IS NULL AND {} IS NOT NULL)").format(_name("v", number), _name("t", number))]


def _verdict(column: CoreColumn) -> sql.Composed:
    path, reasons = _path(column), []
    if column.type not in ANY_TEXT:
        bad = "WHEN NOT pg_input_is_valid({path}, {type}) THEN {said}"
        said = sql.Literal(f"no {column.type}")
        reasons.append(sql.SQL(bad).format(path=path, type=sql.Literal(column.type), said=said))
    if column.required:
        reasons.append(sql.SQL("WHEN {} IS NULL THEN 'missing'").format(path))
    case = sql.SQL("CASE {} END").format(sql.SQL(" ").join(reasons)) if reasons else sql.SQL("NULL")
    return sql.SQL("({}, {}, {})").format(sql.Literal(column.name), case, sql.SQL("({})::text").format(path))


def _name(letter: str, number: int) -> sql.Identifier:
    """Names of the inner query that no column of anybody's has."""
    return sql.Identifier(f"_syncer_{letter}{number}")
