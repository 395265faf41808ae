"""What a plan says of a table, and that it leaves no trace."""

from pathlib import Path

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ChunkSettings, ColumnRules, FileSettings
from syncer_assets.sync.plan import plan
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of


@pytest.fixture
def orders(rig: Rig) -> Rig:
    rig.database.execute(ORDERS)
    rig.database.execute(
        "INSERT INTO orders (updated_at) SELECT timestamptz '2024-01-15 00:00+00' + i * interval '1 hour'"
        " FROM generate_series(0, 1999) i"
    )
    rig.database.execute("CREATE INDEX by_time ON orders (updated_at, id); ANALYZE orders")
    return rig


def test_a_first_plan_reads_from_the_start_and_leaves_no_trace(orders: Rig, lake_dir: Path) -> None:
    found = plan(orders.source, orders.lake, spec_of(chunk=ChunkSettings(rows=500)))
    (part,) = found.partitions
    assert (part.low, part.rows, part.chunks, part.files) == (None, 2000, 4, 1)
    assert part.sql.endswith('ORDER BY t."updated_at", t."id" LIMIT 501')
    assert found.risks == ()
    assert list(lake_dir.iterdir()) == []


def test_an_index_that_serves_the_cursor_is_named(orders: Rig) -> None:
    orders.database.execute("INSERT INTO orders (status, updated_at) SELECT 'x', now() FROM generate_series(1, 20000)")
    orders.database.execute("ANALYZE orders")
    assert plan(orders.source, None, spec_of(chunk=ChunkSettings(rows=100))).partitions[0].access == "index by_time"


def test_a_cursor_without_an_index_is_a_risk(orders: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    orders.database.execute("DROP INDEX by_time")
    assert plan(orders.source, None, spec_of()).risks == (), "so few rows are sorted in a moment"
    monkeypatch.setattr("syncer_assets.sync.plan.SMALL_ROWS", 0)
    found = plan(orders.source, None, spec_of())
    assert found.partitions[0].access == "sequential scan"
    (risk,) = found.risks
    assert risk.name == "cursor_without_index"
    assert risk.text.endswith('CREATE INDEX CONCURRENTLY ON "public"."orders" ("updated_at", "id")')


def test_after_a_sync_only_what_is_new_is_planned(orders: Rig) -> None:
    spec = spec_of(cursor=("id",))
    orders.sync(spec)
    assert plan(orders.source, orders.lake, spec).partitions == ()
    orders.database.execute("INSERT INTO orders (status) VALUES ('new')")
    (part,) = plan(orders.source, orders.lake, spec).partitions
    assert (part.low, part.ceiling, part.reason) == ("2000", "2001", "new rows")


def test_partitions_have_windows_of_their_own(orders: Rig) -> None:
    spec = spec_of(cursor=("id",), partitions=PartitionScheme(by="id", size=800))
    found = plan(orders.source, None, spec)
    assert [part.ceiling for part in found.partitions] == ["800", "1600", "2000"]
    assert found.rows == pytest.approx(2000, abs=5)
    asked = plan(orders.source, None, spec, "000000000800-000000001599")
    assert [part.reason for part in asked.partitions] == ["asked for"]
    with pytest.raises(ConfigError, match="no id partition"):
        plan(orders.source, None, spec, "800")


def test_files_follow_size_and_rows(orders: Rig) -> None:
    spec = spec_of(files=FileSettings(target_mb=0.01, max_rows=None))
    assert plan(orders.source, None, spec).files > 1
    assert plan(orders.source, None, spec_of(files=FileSettings(max_rows=500))).files == 4


def test_types_say_what_travels_as_text_hashed_or_not_at_all(orders: Rig) -> None:
    orders.database.execute(
        "ALTER TABLE orders ADD tags text[], ADD email text, ADD secret text, ADD price numeric(9, 2)"
    )
    spec = spec_of(columns=ColumnRules(hash=("email",), exclude=("secret",)))
    notes = {column.name: (column.lake_type, column.note) for column in plan(orders.source, None, spec).columns}
    assert notes["id"] == ("int64", "")
    assert notes["tags"] == ("string", "as the server's own text")
    assert notes["email"][1].startswith("keyed hash (key in SYNCER_HASH_KEY)")
    assert notes["secret"] == ("", "left out")
    assert notes["price"] == ("decimal128(9, 2)", "refused: NaN, which a Parquet decimal cannot hold")


def test_an_id_cursor_and_unprotected_ids_are_risks(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, v text); ANALYZE orders")
    risks = plan(rig.source, None, spec_of(cursor=("id",))).risks
    assert [risk.name for risk in risks] == ["ids_from_elsewhere", "inserts_only"]


def test_ids_of_a_sequence_that_hands_out_blocks_are_a_risk(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigserial PRIMARY KEY); ALTER SEQUENCE orders_id_seq CACHE 5")
    names = [risk.name for risk in plan(rig.source, None, spec_of(cursor=("id",))).risks]
    assert names == ["ids_in_blocks", "inserts_only", "no_statistics"]


def test_a_table_without_a_key_is_a_risk(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (v text); ANALYZE orders")
    assert [risk.name for risk in plan(rig.source, None, spec_of(cursor=(), load="replace")).risks] == ["no_key"]


def test_a_cursor_that_may_be_null_is_a_risk(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz); ANALYZE orders")
    assert "cursor_nullable" in [risk.name for risk in plan(rig.source, None, spec_of()).risks]


def test_a_table_without_a_cursor_is_read_whole(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id int PRIMARY KEY); ANALYZE orders")
    found = plan(rig.source, None, spec_of(cursor=(), load="replace"))
    assert [(part.reason, part.chunks) for part in found.partitions] == [("read whole each time", 1)]
    assert found.proof == "snapshot"
