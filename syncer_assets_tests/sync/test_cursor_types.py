"""Cursors of every kind that can be one: read whole, in chunks, with commits on the way, and read on from a mark."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets.model.table import ChunkSettings, FileSettings
from syncer_assets_tests.sync.tables import Rig, spec_of

NUMBERS = ["1", "2", "3", "7", "9", "10", "11", "20", "99", "100"]
KINDS: dict[str, list[str]] = {
    "smallint": NUMBERS,
    "integer": NUMBERS,
    "bigint": ["-9223372036854775808", "-5", "0", "9", "10", "4611686018427387904", "9223372036854775806"],
    "numeric(12,2)": ["-3", "0.5", "9", "9.5", "10", "10.01"],
    "numeric(38,0)": ["9", "10", "100", "1" + "0" * 37],
    "date": ["2024-01-09", "2024-01-10", "2024-02-01", "0001-01-01"],
    "timestamp": ["2024-01-09 10:00", "2024-01-10", "2024-02-01", "1969-12-31 23:59:59.999999"],
    "timestamp(0)": ["2024-01-09 10:00", "2024-01-10"],
    "timestamptz": ["2024-01-09 10:00+02", "2024-01-10Z", "2024-02-01Z", "0001-01-02Z"],
    'text COLLATE "C"': ["", " ", "10", "9", "B", "a", "Ä", "é", "'", "\\", "%s", "😀"],
    'varchar(5) COLLATE "C"': ["10", "9", "B", "a"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("small", [False, True], ids=["at once", "piece by piece"])
def test_a_cursor_of_each_kind(rig: Rig, kind: str, small: bool) -> None:
    values = KINDS[kind]
    rig.database.execute(f"CREATE TABLE orders (id bigint PRIMARY KEY, at {kind} NOT NULL)")
    pieces: dict[str, Any] = {"chunk": ChunkSettings(rows=1), "files": FileSettings(max_rows=1)} if small else {}
    spec = spec_of(cursor=["at"], cursor_zone="UTC", **pieces)
    with rig.database.connect() as connection:
        for number, value in enumerate(values):
            connection.execute("INSERT INTO orders VALUES (%s, %s)", [number, value])
    rig.sync(spec)
    rig.sync(spec)
    rig.load(spec)
    texts = "SELECT id, at::text FROM {} ORDER BY 1"
    assert rig.database.execute(texts.format("orders")) == rig.warehouse_db.execute(texts.format("shop.orders"))
    assert sum(file.rows for manifest in rig.manifests(spec) for file in manifest.files if not file.provisional) in (
        len(values),
        0,
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("float8", "1"),
        ("uuid", "a0000000-0000-4000-8000-000000000000"),
        ("text COLLATE pg_unicode_fast", "a"),
        ("jsonb", "1"),
        ("boolean", "t"),
        ("numeric", "1"),
        ("numeric(45,0)", "1"),
    ],
)
def test_a_cursor_whose_order_cannot_be_followed_is_refused(rig: Rig, kind: str, value: str) -> None:
    """Numbers that the lake carries as text, and text that the server does not compare byte by byte, among them."""
    rig.database.execute(f"CREATE TABLE orders (id bigint PRIMARY KEY, at {kind} NOT NULL)")
    rig.database.execute("INSERT INTO orders VALUES (1, %s)", [value])
    with pytest.raises(
        ConfigError, match=r"public\.orders: the cursor 'at' is of type .* whose order cannot be followed"
    ):
        rig.sync(spec_of(cursor=["at"]))


@pytest.mark.parametrize("value", ["'-infinity'", "'0044-03-15 BC'"])
def test_a_time_that_python_cannot_hold_stops_paging_by_name(rig: Rig, value: str) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, at timestamptz NOT NULL)")
    rig.database.execute(f"INSERT INTO orders VALUES (1, {value}), (2, {value}), (3, '2024-01-01')")
    spec = spec_of(cursor=["at"])
    rig.sync(spec)
    rig.load(spec)
    assert rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 3
    with pytest.raises(SyncError, match="a date outside the years 1 to 9999"):
        rig.sync(replace(spec, source="another", chunk=ChunkSettings(rows=1), files=FileSettings(max_rows=1)))


def test_a_cursor_that_is_no_number_stops_by_name(rig: Rig) -> None:
    """NaN is above every number in PostgreSQL: as a ceiling it would compare with nothing."""
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, at numeric(10,2) NOT NULL)")
    rig.database.execute("INSERT INTO orders VALUES (1, 1), (2, 'NaN')")
    with pytest.raises(SyncError, match=r"public\.orders: a row has NaN in at"):
        rig.sync(spec_of(cursor=["at"]))
