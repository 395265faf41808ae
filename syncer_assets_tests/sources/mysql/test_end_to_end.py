"""MariaDB into a lake and a PostgreSQL: every way to read a table, then nothing more to read, then what changed."""

from datetime import UTC

import pytest

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ChunkSettings, TableSpec
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sync.tables import check, spec_of

TABLE = """
CREATE TABLE orders (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, v int, updated_at timestamp(6) NOT NULL,
                     KEY (updated_at));
INSERT INTO orders (v, updated_at) SELECT seq, '2024-01-01' + INTERVAL seq DIV 10 SECOND FROM seq_1_to_2000
"""
CHUNK = ChunkSettings(rows=300)
COLUMNS = ("id", "v", "updated_at")


def green(rig: MariaRig, spec: TableSpec, *partitions: str) -> int:
    """Syncs and loads the partitions; every check passes. How many rows came."""
    rows = 0
    for partition in partitions or ("all",):
        report = rig.sync(spec, partition)
        assert [result.name for result in report.checks if not result.passed] == []
        load = rig.load(spec, partition)
        assert [result.name for result in load.checks if not result.passed] == []
        rows += report.rows
    return rows


def source_rows(rig: MariaRig) -> list[tuple]:
    return [(i, v, at.replace(tzinfo=UTC)) for i, v, at in rig.maria.execute("SELECT id, v, updated_at FROM orders")]


def assert_same(rig: MariaRig) -> None:
    assert sorted(rig.in_warehouse(*COLUMNS).elements()) == sorted(source_rows(rig))


@pytest.mark.parametrize("cursor", [("id",), ("updated_at",), ("updated_at", "id")])
def test_a_cursor_brings_every_row_once_and_then_what_is_new(maria_rig: MariaRig, cursor: tuple[str, ...]) -> None:
    maria_rig.maria.script(TABLE)
    spec = spec_of("orders", cursor, chunk=CHUNK)
    assert green(maria_rig, spec) == 2000
    assert_same(maria_rig)
    again = maria_rig.sync(spec)
    assert again.nothing_new and again.rows == 0
    maria_rig.maria.execute("INSERT INTO orders (v, updated_at) VALUES (-1, UTC_TIMESTAMP(6)), (-2, UTC_TIMESTAMP(6))")
    assert green(maria_rig, spec) == 2
    assert_same(maria_rig)


def test_an_update_comes_by_its_time(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    spec = spec_of("orders", ("updated_at",), chunk=CHUNK)
    green(maria_rig, spec)
    maria_rig.maria.execute("UPDATE orders SET v = 0, updated_at = UTC_TIMESTAMP(6) WHERE id <= 700")
    assert green(maria_rig, spec) == 700
    assert_same(maria_rig)


def test_a_table_without_a_cursor_is_read_in_one_snapshot(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    spec = spec_of("orders", (), load="replace")
    assert green(maria_rig, spec) == 2000
    assert_same(maria_rig)
    assert maria_rig.sync(spec).nothing_new
    maria_rig.maria.execute("DELETE FROM orders WHERE id > 1500")
    assert green(maria_rig, spec) == 1500
    assert_same(maria_rig)


def test_an_empty_table_is_read(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    maria_rig.maria.execute("DELETE FROM orders")
    assert maria_rig.sync(spec_of("orders", ("id",))).rows == 0
    assert maria_rig.sync(spec_of("orders", (), load="replace", allow_empty=True)).rows == 0


def test_a_table_without_a_key_keeps_its_groups_whole(maria_rig: MariaRig) -> None:
    maria_rig.maria.script("CREATE TABLE log (at timestamp(6) NOT NULL, v int, KEY (at))")
    maria_rig.maria.execute("INSERT INTO log SELECT '2024-01-01' + INTERVAL seq DIV 700 SECOND, seq FROM seq_1_to_3000")
    spec = spec_of("log", ("at",), load="append", chunk=CHUNK)
    assert green(maria_rig, spec) == 3000
    assert sorted(maria_rig.in_warehouse("v").elements()) == [(v,) for v in range(1, 3001)]


def test_partitions_by_id(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    spec = spec_of("orders", ("id",), partitions=PartitionScheme(by="id", size=1000), chunk=CHUNK)
    keys = [f"{low:012d}-{low + 999:012d}" for low in (0, 1000, 2000)]
    assert green(maria_rig, spec, *keys) == 2000
    assert_same(maria_rig)
    assert all(maria_rig.sync(spec, key).nothing_new for key in keys)


def test_partitions_by_time(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    maria_rig.maria.execute("UPDATE orders SET updated_at = '2024-02-10 00:00:00' WHERE id <= 100")
    scheme = PartitionScheme(by="time", every="month", start="2024-01-01")
    spec = spec_of("orders", ("updated_at",), partitions=scheme, chunk=CHUNK)
    assert green(maria_rig, spec, "2024-01-01", "2024-02-01") == 2000
    assert_same(maria_rig)


def test_partitions_by_prefix_are_told_apart_to_the_byte(maria_rig: MariaRig) -> None:
    """'a' and 'A' are equal to the database, and so are 'a' and 'a ': each row lies in one partition all the same."""
    maria_rig.maria.script("CREATE TABLE orders (id int PRIMARY KEY, region varchar(10))")
    maria_rig.maria.execute(
        "INSERT INTO orders VALUES (1, 'a1'), (2, 'A1'), (3, 'ä1'), (4, 'a1 '), (5, 'b1'), (6, 'B')"
    )
    scheme = PartitionScheme(by="prefix", column="region", length=2)
    assert maria_rig.source.distinct_prefixes("orders", "region", 2) == ["A1", "B", "a1", "b1", "ä1"]
    spec = spec_of("orders", ("id",), partitions=scheme)
    found = {key: maria_rig.sync(spec, key).rows for key in ("A1", "B", "a1", "b1", "ä1")}
    assert found == {"A1": 1, "B": 1, "a1": 2, "b1": 1, "ä1": 1}
    assert maria_rig.source.count_outside("orders", "region", ["a1", "A1"]) == 3


def test_the_report_says_what_was_asserted(maria_rig: MariaRig) -> None:
    maria_rig.maria.script(TABLE)
    report = maria_rig.sync(spec_of("orders", ("id",)))
    assert check(report, "row_count").metadata == {"rows": 2000, "rows_left_window": 0}
    assert report.proof == "writers_finished" and report.safe == "2000"
