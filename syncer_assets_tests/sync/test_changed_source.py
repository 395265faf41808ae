"""Marks that mean nothing any more stop the sync with the way out: never silence, never "already loaded" (DESIGN 6)."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from syncer_assets.model.errors import AttemptVoid, ConfigError, IdentityChanged, RefusedByGuard, SchemaChanged
from syncer_assets.model.table import Mode, TableSpec
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import table_note, widening
from syncer_assets.sync.pending import pending
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sync.tables import ORDERS, Rig, place_of, spec_of

BY_ID = spec_of(cursor=["id"], max_shrink=1.0)
BY_TIME = spec_of()
ROWS = "INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 10)"
PLAIN = "CREATE TABLE orders (id bigint PRIMARY KEY, status text, updated_at timestamptz NOT NULL DEFAULT now())"


@pytest.fixture
def other(database: Database, rig: Rig) -> Iterator[PostgresSource]:
    """Another database behind the same name."""
    database.execute(f"{ORDERS}; {ROWS}; {ROWS}")
    source = PostgresSource("shop", database.dsn)
    yield source
    source.close()


def loaded(rig: Rig, spec: TableSpec, table: str = ORDERS) -> None:
    rig.database.execute(f"{table}; INSERT INTO orders (id, status) SELECT g, 'x' FROM generate_series(1, 10) g")
    rig.database.execute("SELECT setval('orders_id_seq', 10)" if "serial" in table else "SELECT 1")
    rig.sync(spec)
    rig.load(spec)


def test_a_truncated_table_stops_with_the_way_out_and_full_is_one(rig: Rig) -> None:
    loaded(rig, BY_ID)
    rig.database.execute(
        "TRUNCATE orders RESTART IDENTITY; INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, 3)"
    )
    with pytest.raises(
        IdentityChanged, match=r"public\.orders \[all\]: .*\(3\) lies below .*\(10\).*syncer run --full"
    ):
        rig.sync(BY_ID)
    assert len(rig.manifests(BY_ID)) == 1
    rig.sync(BY_ID, mode="full")
    rig.load(BY_ID)
    assert rig.in_lake(BY_ID, "id", "status") == rig.in_source(BY_ID, "id", "status")
    rig.database.execute("INSERT INTO orders (status) VALUES ('later')")
    rig.sync(BY_ID)
    assert rig.in_lake(BY_ID, "id", "status") == rig.in_source(BY_ID, "id", "status")


def test_an_older_state_of_the_table_stops(rig: Rig) -> None:
    """Restored from a backup: times lie below what was final."""
    loaded(rig, BY_TIME)
    rig.database.execute("UPDATE orders SET updated_at = '2024-01-01'")
    with pytest.raises(IdentityChanged, match="lies below what was proven final"):
        rig.sync(BY_TIME)


def test_an_emptied_table_stops_with_the_way_out_and_full_is_one(rig: Rig) -> None:
    """The marks begin anew; the warehouse keeps its rows, which the checksum shows as extra."""
    loaded(rig, BY_ID, PLAIN)
    rig.database.execute("TRUNCATE orders")
    with pytest.raises(IdentityChanged, match=r"the table is empty.*syncer run --full"):
        rig.sync(BY_ID)
    assert (rig.sync(BY_ID, mode="full").rows, rig.head(BY_ID).mode) == (0, "replace")
    rig.load(BY_ID)
    assert rig.sync(BY_ID).nothing_new
    rig.database.execute("INSERT INTO orders (id, status) VALUES (3, 'new')")
    rig.sync(BY_ID)
    rig.load(BY_ID)
    assert rig.in_lake(BY_ID, "id", "status") == {(3, "new"): 1}
    assert rig.in_warehouse("status") == {("x",): 9, ("new",): 1}


def test_the_newest_rows_may_be_deleted_where_a_sequence_shows_it(rig: Rig) -> None:
    loaded(rig, BY_ID)
    rig.database.execute("DELETE FROM orders WHERE id > 7")
    assert rig.sync(BY_ID).nothing_new
    rig.database.execute("INSERT INTO orders (status) VALUES ('later')")
    rig.sync(BY_ID)
    assert rig.in_lake(BY_ID, "status") == {("x",): 10, ("later",): 1}


def test_the_newest_rows_may_not_be_deleted_where_nothing_shows_it(rig: Rig) -> None:
    loaded(rig, BY_ID, PLAIN)
    rig.database.execute("DELETE FROM orders WHERE id > 7")
    with pytest.raises(IdentityChanged, match=r"\(7\) lies below .*\(10\)"):
        rig.sync(BY_ID)
    rig.sync(BY_ID, mode="full")
    rig.load(BY_ID)
    assert rig.in_lake(BY_ID, "id") == rig.in_source(BY_ID, "id")
    assert len(rig.in_warehouse("id")) == 10, "rows above what was read are reconcile's"


def test_another_database_behind_the_same_name_stops(rig: Rig, other: PostgresSource) -> None:
    loaded(rig, BY_ID)
    with pytest.raises(IdentityChanged, match=r"the source is another database .*--full.*syncer adopt"):
        rig.sync(BY_ID, source=other)
    report = rig.sync(BY_ID, source=other, mode="full")
    assert (report.rows, report.mode) == (20, "replace")
    assert rig.sync(BY_ID, source=other).nothing_new
    with pytest.raises(IdentityChanged):
        rig.sync(BY_ID)


def test_a_person_may_say_that_it_is_the_same_data(rig: Rig, other: PostgresSource) -> None:
    loaded(rig, BY_ID)
    earlier = rig.head(BY_ID).source_identity
    table_note.adopt(rig.lake, place_of(BY_ID), BY_ID, other.identity().database, earlier)
    assert rig.sync(BY_ID, source=other).rows == 10, "it goes on behind the marks"


def test_a_table_that_changes_while_it_is_read_voids_the_attempt(rig: Rig) -> None:
    loaded(rig, BY_ID)
    rig.database.execute(ROWS)
    altered: list[int] = []

    def alter(event: str, fields: dict[str, object]) -> None:
        if event == "chunk read" and not altered:
            altered.append(1)
            rig.database.execute("ALTER TABLE orders ADD COLUMN note text DEFAULT 'noted'")

    rig.sync(BY_ID, on=alter)
    assert [fields["reason"] for fields in rig.told("attempt thrown away")] == ["attempt_void"]
    assert [column.name for column in rig.head(BY_ID).columns] == ["id", "status", "updated_at", "note"]
    rig.load(BY_ID)
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE note = 'noted'") == 10


def test_a_table_that_never_stops_changing_fails(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")

    def alter(event: str, fields: dict[str, object]) -> None:
        if event == "chunk read":
            rig.database.execute(f"ALTER TABLE orders ADD COLUMN c{len(rig.events)} int")

    with pytest.raises(AttemptVoid, match=r"public\.orders: its columns changed while it was read"):
        rig.sync(BY_ID, on=alter)
    assert rig.manifests(BY_ID) == []


def test_columns_that_come_and_go_between_syncs(rig: Rig) -> None:
    loaded(rig, BY_ID)
    rig.database.execute(
        "ALTER TABLE orders ADD COLUMN price numeric(8,2), DROP COLUMN updated_at;"
        "INSERT INTO orders (status, price) VALUES ('y', 1.50)"
    )
    rig.sync(BY_ID)
    rig.load(BY_ID)
    assert rig.warehouse_db.execute("SELECT id, price::text, updated_at FROM shop.orders WHERE id > 9 ORDER BY id") == [
        (10, None, rig.warehouse_db.scalar("SELECT updated_at FROM shop.orders WHERE id = 10")),
        (11, "1.50", None),
    ]


def test_two_syncs_with_other_columns_load_at_once(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(BY_ID)
    rig.database.execute("ALTER TABLE orders ADD COLUMN price int; INSERT INTO orders (status, price) VALUES ('y', 7)")
    rig.sync(BY_ID)
    rig.load(BY_ID)
    assert rig.in_warehouse("id", "status", "price") == rig.in_source(BY_ID, "id", "status", "price")


@pytest.mark.parametrize(
    ("was", "is_now", "using"),
    [
        ("text", "integer", "1"),
        ("numeric(9,4)", "numeric(9,2)", "status"),
        ("timestamp", "timestamptz", "status AT TIME ZONE 'Asia/Tokyo'"),
        ("timestamp", "text", "status"),
    ],
)
def test_rows_of_another_type_that_wait_are_not_read_as_what_the_column_became(
    rig: Rig, was: str, is_now: str, using: str
) -> None:
    """What the source made of them is not repeated here, and no value is told."""
    rig.database.execute(PLAIN.replace("status text", f"status {was}"))
    value = {"text": "secret", "numeric(9,4)": "123.4567"}.get(was, "2024-01-01")
    rig.database.execute(f"INSERT INTO orders VALUES (1, '{value}', now() - interval '1 h')")
    rig.sync(BY_TIME)
    rig.database.execute(f"ALTER TABLE orders ALTER status TYPE {is_now} USING {using}")
    rig.database.execute("INSERT INTO orders VALUES (2, NULL)")
    rig.sync(BY_TIME)
    with pytest.raises(SchemaChanged, match=r"'status' was .* in manifest 1.*syncer run --full") as raised:
        rig.load(BY_TIME)
    assert value not in str(raised.value)
    rig.sync(BY_TIME, mode="full")
    rig.load(BY_TIME)
    assert rig.in_warehouse("id", "status") == rig.in_source(BY_TIME, "id", "status")


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (pa.int64(), pa.int32(), True),
        (pa.int32(), pa.int64(), False),
        (pa.int32(), pa.uint16(), True),
        (pa.int32(), pa.uint32(), False),
        (pa.uint64(), pa.int32(), False),
        (pa.decimal128(12, 2), pa.int32(), True),
        (pa.decimal128(11, 2), pa.int32(), False),
        (pa.decimal128(12, 4), pa.decimal128(10, 2), True),
        (pa.decimal128(10, 4), pa.decimal128(10, 2), False),
        (pa.decimal128(10, 2), pa.decimal128(10, 4), False),
        (pa.float64(), pa.float32(), True),
        (pa.float32(), pa.float64(), False),
        (pa.float64(), pa.int64(), False),
        (pa.string(), pa.float64(), False),
        (pa.large_string(), pa.string(), True),
        (pa.binary(), pa.string(), False),
        (pa.timestamp("us", "UTC"), pa.timestamp("us"), False),
        (pa.timestamp("us"), pa.date32(), False),
    ],
)
def test_a_type_holds_another_where_no_value_becomes_another_one(
    wide: pa.DataType, narrow: pa.DataType, expected: bool
) -> None:
    assert widening.holds(wide, narrow) is expected


def test_an_emptied_table_without_a_cursor_is_refused_by_the_guard(rig: Rig) -> None:
    spec = replace(spec_of(cursor=[], load="replace"), key=("id",))
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(spec)
    rig.load(spec)
    rig.database.execute("DELETE FROM orders")
    rig.sync(spec)
    with pytest.raises(RefusedByGuard, match="allow_empty"):
        rig.load(spec)
    assert len(rig.in_warehouse("id")) == 10


VERSIONED = "CREATE TABLE orders (id bigserial PRIMARY KEY, version bigint NOT NULL DEFAULT 1, moved timestamp)"


def test_marks_of_another_cursor_stop_and_full_is_the_way_out(rig: Rig) -> None:
    """Both are integers: versions up to the highest id would pass for read."""
    by_version = spec_of(cursor=["version"])
    rig.database.execute(f"{VERSIONED}; INSERT INTO orders (version) SELECT 1 FROM generate_series(1, 9)")
    rig.sync(BY_ID)
    rig.database.execute("UPDATE orders SET version = 5 WHERE id < 4; UPDATE orders SET version = 25 WHERE id = 9")
    with pytest.raises(ConfigError, match=r"by the cursor id \(integer\), and is to be read by version .*--full"):
        rig.sync(by_version)
    assert len(rig.manifests(BY_ID)) == 1
    rig.sync(by_version, mode="full")
    rig.load(by_version)
    rig.database.execute("UPDATE orders SET version = 26 WHERE id = 1")
    rig.sync(by_version)
    rig.load(by_version)
    assert rig.in_lake(by_version, "id", "version") == rig.in_source(by_version, "id", "version")
    assert rig.in_warehouse("id", "version") == rig.in_source(by_version, "id", "version")


def test_a_cursor_of_another_type_stops_and_full_is_the_way_out(rig: Rig) -> None:
    naive, aware = spec_of(cursor=["moved"], cursor_zone="UTC"), spec_of(cursor=["moved"])
    rig.database.execute(f"{VERSIONED}; INSERT INTO orders (moved) VALUES ('2024-01-01')")
    rig.sync(naive)
    rig.database.execute("ALTER TABLE orders ALTER moved TYPE timestamptz; INSERT INTO orders (moved) VALUES (now())")
    with pytest.raises(ConfigError, match=r"moved \(timestamp\), and is to be read by moved \(timestamptz\)"):
        rig.sync(aware)
    assert [found.reason for found in pending(rig.source, rig.lake, [aware])] == ["another cursor"], "a run tells it"
    rig.sync(aware, mode="full")
    assert rig.in_lake(aware, "id") == rig.in_source(aware, "id")


def test_a_cursor_may_get_a_further_column(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(BY_TIME)
    rig.database.execute(ROWS)
    longer = spec_of(cursor=["updated_at", "id"])
    rig.sync(longer)
    assert rig.in_lake(longer, "id") == rig.in_source(longer, "id")


@pytest.mark.parametrize("mode", ["auto", "full"])
def test_a_lake_that_was_set_back_and_went_on_stops_the_load(rig: Rig, tmp_path: Path, mode: Mode) -> None:
    """Manifest 3 that was loaded ends below manifest 3 that is there: what lies between would never be loaded."""
    loaded(rig, BY_ID)
    rig.database.execute(ROWS)
    rig.sync(BY_ID)
    assert rig.lake.root is not None
    shutil.copytree(rig.lake.root, tmp_path / "backup")
    rig.database.execute(ROWS)
    rig.sync(BY_ID)
    rig.load(BY_ID)
    shutil.rmtree(rig.lake.root)
    shutil.copytree(tmp_path / "backup", rig.lake.root)
    for each in ("auto", "auto", mode):
        rig.database.execute(ROWS)
        rig.sync(BY_ID, mode=each)
    if mode == "auto":
        with pytest.raises(IdentityChanged, match=r"another manifest 3 .*the lake was set back, and went on.*--full"):
            rig.load(BY_ID)
        rig.sync(BY_ID, mode="full")
    rig.load(BY_ID)
    assert rig.in_warehouse("id") == rig.in_source(BY_ID, "id")
