"""The one UPDATE of a batch: which rows it takes for different, and where it finds them again."""

from collections.abc import Iterator

import psycopg
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.table import Target
from syncer_assets.warehouses.keyed import UpdateColumns
from syncer_assets.warehouses.postgres.keyed_write import STAGE_SQL, UPDATE_SQL, Destination
from syncer_assets_tests.servers import Database

VALUES = {
    "integer": ("int32", "1", "2"),
    "bigint": ("int64", "1", "2"),
    "boolean": ("bool", "true", "false"),
    "date": ("date32[day]", "'2024-01-01'", "'infinity'"),
    "timestamp without time zone": ("timestamp[us]", "'2024-01-01'", "'2024-01-01 00:00:00.000001'"),
    "timestamp with time zone": ("timestamp[us, tz=UTC]", "'2024-01-01 00:00+00'", "'2024-01-01 00:00+01'"),
    "numeric(12,2)": ("decimal128(12, 2)", "1.00", "1.01"),
    "numeric": ("decimal128(38, 10)", "1.0", "1.00"),
    "double precision": ("double", "'0'", "'-0'"),
    "text": ("string", "'a'", "'a '"),
    "character varying(9)": ("string", "'a'", "'a '"),
    "bytea": ("binary", r"'\x00'", r"'\x0000'"),
}
"""By the column's type: its Arrow type, and two values that differ, though some of them are equal."""


@pytest.fixture(params=["one table", "partitioned"])
def visits(request: pytest.FixtureRequest, warehouse_db: Database) -> Iterator[tuple[psycopg.Connection, Destination]]:
    """A table with a row for each type, in which its column is to change, and a last one in which none is."""
    database = warehouse_db
    database.grant("SCHEMA public")
    columns = {f"c{number}": kind for number, kind in enumerate(VALUES)} | {"other": "text"}
    spelt = ", ".join(f"{name} {kind}" for name, kind in columns.items()) + ' COLLATE "POSIX"'
    parts = " PARTITION BY HASH (k)" if request.param == "partitioned" else ""
    database.execute(f"CREATE TABLE visits (k bigint, {spelt}){parts}")
    for number in range(3 if parts else 0):
        database.execute(f"CREATE TABLE p{number} PARTITION OF visits FOR VALUES WITH (MODULUS 3, REMAINDER {number})")
    before = ", ".join([*(first for _, first, _ in VALUES.values()), "'a'"])
    database.execute(f"INSERT INTO visits SELECT k, {before} FROM generate_series(0, {len(columns)}) k")
    types = {"k": "bigint", **columns}
    arrow = {"k": "int64", "other": "string"} | {
        f"c{number}": kind for number, (kind, _, _) in enumerate(VALUES.values())
    }
    found = UpdateColumns(("k",), tuple(columns), {name: Column(name, arrow[name], "") for name in types}, types)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        to = Destination(Target("w", "public", "visits"), 0, found, types, is_guarded=False)
        connection.execute(to.statements[STAGE_SQL])
        yield connection, to


def test_what_differs_in_any_way_is_updated_and_nothing_else(visits: tuple[psycopg.Connection, Destination]) -> None:
    connection, to = visits
    connection.execute("INSERT INTO _syncer_batch SELECT * FROM visits")
    new = {f"c{number}": second for number, (_, _, second) in enumerate(VALUES.values())} | {"other": "'A'"}
    for row, (name, value) in enumerate(new.items()):
        connection.execute(f"UPDATE _syncer_batch SET {name} = {value} WHERE k = {row}".encode())
    connection.execute("INSERT INTO _syncer_batch (k) VALUES (-1), (NULL)")
    places = "SELECT k, tableoid, ctid FROM visits"
    before = set(connection.execute(places))
    assert connection.execute(to.statements[UPDATE_SQL]).fetchone() == (len(new), len(new), len(new) + 1)
    assert {k for k, _, _ in before - set(connection.execute(places))} == set(range(len(new)))
    left = "SELECT count(*) FROM visits t JOIN _syncer_batch s USING (k) WHERE ROW(t.*)::text <> ROW(s.*)::text"
    assert connection.execute(left).fetchone() == (0,)
    assert connection.execute(to.statements[UPDATE_SQL]).fetchone() == (0, 0, len(new) + 1)


def test_null_is_a_value_like_others(visits: tuple[psycopg.Connection, Destination]) -> None:
    connection, to = visits
    rows = len(to.columns.data) + 1
    connection.execute("INSERT INTO _syncer_batch SELECT * FROM visits")
    for row, name in enumerate(to.columns.data):
        connection.execute(f"UPDATE _syncer_batch SET {name} = NULL WHERE k = {row}".encode())
    assert connection.execute(to.statements[UPDATE_SQL]).fetchone() == (rows - 1, rows - 1, rows)
    assert connection.execute(to.statements[UPDATE_SQL]).fetchone() == (0, 0, rows)


def test_texts_that_a_collation_takes_for_equal_differ(visits: tuple[psycopg.Connection, Destination]) -> None:
    """By their bytes. The tests' server knows no such collation (it is built without ICU): the statement shows it."""
    _, to = visits
    assert b'"s"."other" COLLATE "C" IS DISTINCT FROM "t"."other" COLLATE "C"' in to.statements[UPDATE_SQL]
