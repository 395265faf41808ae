"""The loop ends, asks no more queries than it must, and pages whatever order there is (DESIGN 5)."""

import threading
from dataclasses import replace
from math import ceil
from random import Random
from typing import Any

import pytest

from syncer_assets.model.table import ChunkSettings
from syncer_assets.sync.chunks import SMALLEST_CHUNK_ROWS, ChunkSizer
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of

BY_ID = spec_of(cursor=["id"])


def test_the_loop_ends_though_each_chunk_brings_more_rows_than_it_held(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 1000)")

    def insert(event: str, fields: dict[str, Any]) -> None:
        if event in ("window opened", "chunk read"):
            rig.database.execute("INSERT INTO orders (status) SELECT 'y' FROM generate_series(1, 200)")

    report = rig.sync(replace(BY_ID, chunk=ChunkSettings(rows=100)), on=insert)
    assert (report.rows, report.ceiling) == (1000, "1000")


def test_it_ends_beside_a_thread_that_never_stops_inserting(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    spec = replace(BY_ID, chunk=ChunkSettings(rows=20))
    stop = threading.Event()

    def insert() -> None:
        with rig.database.connect() as connection:
            while not stop.wait(0.001):
                connection.execute("INSERT INTO orders (status) VALUES ('x')")

    writer = threading.Thread(target=insert)
    writer.start()
    try:
        poll(lambda: rig.database.scalar("SELECT count(*) > 50 FROM orders"), 60)
        for _ in range(5):
            rig.sync(spec)
    finally:
        stop.set()
        writer.join()
    for _ in range(2):
        rig.sync(spec)
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")


def test_sparse_ids_are_one_query_and_one_file(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text)")
    rig.database.execute("INSERT INTO orders SELECT g * 400, 'x' FROM generate_series(1, 5000) g")
    report = rig.sync(BY_ID)
    assert [fields["rows_found"] for fields in rig.told("chunk read")] == [5000]
    assert (report.queries, report.files, report.rows) == (2, 1, 5000), "one for the ceiling, one for the rows"
    [sparse] = rig.told("Sparse ID sequence detected")
    assert sparse["efficiency_percent"] == pytest.approx(0.25)
    assert report.queries_saved == 7, "fixed ranges of 250,000 ids would have been 8"


def test_no_query_more_than_a_full_chunk_each_and_one_for_the_ceiling(rig: Rig) -> None:
    random = Random("queries")
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    for trial in range(12):
        rows, chunk, step = random.randint(1, 60), random.randint(1, 20), random.randint(1, 9)
        rig.database.execute("TRUNCATE orders")
        rig.database.execute("INSERT INTO orders SELECT g * %s FROM generate_series(1, %s) g", [step, rows])
        report = rig.sync(replace(BY_ID, source=f"shop-{trial}", chunk=ChunkSettings(rows=chunk)))
        assert report.rows == rows
        assert report.queries <= ceil(rows / chunk) + 1, (rows, chunk)


def test_rows_of_one_time_are_read_whole_across_the_edges_of_chunks(rig: Rig) -> None:
    """A bulk update stamps them all alike: paging goes by (time, key)."""
    rig.database.execute(ORDERS)
    rig.database.execute(
        "INSERT INTO orders (status, updated_at) SELECT 'x', '2024-01-01' FROM generate_series(1, 20000)"
    )
    report = rig.sync(spec_of(chunk=ChunkSettings(rows=999)))
    assert report.rows == 20_000 and len(rig.told("chunk read")) > 19
    assert rig.in_lake(spec_of(), "id") == rig.in_source(spec_of(), "id")


def test_the_window_is_cut_by_the_cursor_alone(rig: Rig) -> None:
    """Rows of the ceiling's own time that come later have any key: they lie in the window that is still open."""
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (id, updated_at) VALUES (50, '2024-01-01')")

    def insert(event: str, fields: dict[str, Any]) -> None:
        if event == "ceiling captured":
            rig.database.execute("INSERT INTO orders (id, updated_at) VALUES (60, '2024-01-01'), (40, '2024-01-01')")

    rig.sync(spec_of(), on=insert)
    assert rig.in_lake(spec_of(), "id") == {(40,): 1, (50,): 1, (60,): 1}


@pytest.mark.parametrize("load", ["upsert", "append"])
def test_a_composite_cursor(rig: Rig, load: Any) -> None:
    spec = spec_of(cursor=["updated_at", "id"], load=load, chunk=ChunkSettings(rows=4))
    rig.database.execute(ORDERS)
    for _ in range(3):
        rig.database.execute(
            "INSERT INTO orders (status, updated_at) SELECT 'x', date_trunc('second', now()) FROM generate_series(1, 9)"
        )
        rig.sync(spec)
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")
    assert len(rig.head(spec).high or ()) == 2


WORDS = [
    "a",
    "B",
    "c",
    "Ä",
    "z",
    "Z",
    "é",
    "E",
    "_x",
    "1",
    "10",
    "2",
    "ß",
    "ss",
    "it's",
    'quo"te',
    "back\\slash",
    "%",
    "",
]
KEYS: dict[str, list[object]] = {
    "text": [*WORDS],
    "citext": [word for word in WORDS if word not in ("Z", "E")],
    "mood": ["sad", "ok", "happy", "Angry"],
    "char(6)": ["a", "b c", "B", "zz"],
    "uuid": [f"{n:08x}-0000-4000-8000-00000000000{n}" for n in (9, 1, 5, 3)],
    "numeric": ["-1.5", "10.00", "9", "1e30", "NaN", "0.1"],
    "float8": [-1.5, 0.1, 1e300, 3.0],
    "bytea": [b"\\", b"\x00'", b"\xff", b"a%s"],
    "interval": ["1 mon", "29 days", "31 days", "-1 h"],
    "inet": ["10.0.0.9", "10.0.0.10", "::1", "9.0.0.0/8"],
    "boolean": [True, False],
    "time": ["23:59:59.999999", "00:00", "12:00"],
    "jsonb": ['{"a": 1}', "[]", '"x"', "null"],
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_any_type_pages_in_the_order_of_the_database(rig: Rig, key: str) -> None:
    """Python would sort otherwise, and must not be asked."""
    rig.database.execute("CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'Angry')")
    rig.database.execute(f"CREATE TABLE orders (code {key} PRIMARY KEY, updated_at timestamptz NOT NULL)")
    with rig.database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO orders VALUES (%s, '2024-01-01')", [[value] for value in KEYS[key]])
    assert rig.sync(spec_of(chunk=ChunkSettings(rows=1))).rows == len(KEYS[key])
    rig.load(spec_of())
    texts = "SELECT code::text FROM {} ORDER BY 1"
    there, here = (rig.database.execute(texts.format("orders")), rig.warehouse_db.execute(texts.format("shop.orders")))
    assert there == here


@pytest.mark.parametrize("cursor", ["updated_at", "id"])
def test_a_table_without_a_key_is_read_with_its_ties(rig: Rig, cursor: str) -> None:
    """Paging by the cursor alone must not cut a group of equal values in two, nor drop equal rows."""
    rig.database.execute("CREATE TABLE orders (id bigint NOT NULL, updated_at timestamptz NOT NULL)")
    rig.database.execute(
        "INSERT INTO orders SELECT g / 5, '2024-01-01'::timestamptz + g / 50 * interval '1 s'"
        " FROM generate_series(0, 199) g, generate_series(1, 2)"
    )
    spec = spec_of(cursor=[cursor], load="append", chunk=ChunkSettings(rows=17))
    assert rig.sync(spec).rows == 400
    rig.load(spec)
    assert rig.in_lake(spec, "id") == rig.in_warehouse("id") == rig.in_source(spec, "id")


def test_chunks_shrink_where_queries_are_slow_and_every_row_is_there(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 20000)")
    spec = replace(BY_ID, chunk=ChunkSettings(rows=8000, target_seconds=1e-6))
    rig.sync(spec)
    asked = [fields["chunk_size_requested"] for fields in rig.told("chunk read")]
    assert asked[:2] == [8000, SMALLEST_CHUNK_ROWS] and set(asked[1:]) == {SMALLEST_CHUNK_ROWS}
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")


def test_chunks_shrink_where_rows_are_wide(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT repeat('x', 2000) FROM generate_series(1, 6000)")
    rig.sync(replace(BY_ID, memory_mb=4, chunk=ChunkSettings(rows=3000)))
    asked = [fields["chunk_size_requested"] for fields in rig.told("chunk read")]
    assert asked[0] == 3000 and asked[1] == pytest.approx(1024 * 1024 * 2 / 2010, rel=0.05)


def test_a_chunk_grows_again_but_never_above_its_setting() -> None:
    sizer = ChunkSizer(ChunkSettings(rows=10_000, target_seconds=1), bytes_most=10**9)
    sizer.note(10_000, seconds=5, bytes_read=1)
    assert sizer.rows == 2_000
    for expected in (4_000, 8_000, 10_000, 10_000):
        sizer.note(sizer.rows, seconds=0.01, bytes_read=1)
        assert sizer.rows == expected
