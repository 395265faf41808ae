"""A run moves a table's rows through lake and warehouse, and records what it did."""

from collections.abc import Mapping

import dagster as dg
import pytest

from syncer_assets.assets.inline_checks import LAKE_CHECKS
from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, NEXT_ITEMS, Shop
from syncer_assets_tests.assets.results import checks, everything_recorded, failure, materialized, metadata


@pytest.mark.parametrize(
    ("name", "partition", "rows"),
    [("orders", JANUARY, 40), ("items", NEXT_ITEMS, 51), ("prealerts", None, 30), ("countries", None, 2)],
)
def test_rows_arrive_and_every_check_passes(shop: Shop, name: str, partition: str | None, rows: int) -> None:
    table = shop.table(name)
    result = shop.run(name, partition, checks=True)
    assert result.success
    assert materialized(result) == {
        f"lake/shop/{name}": partition,
        f"analytics/shop/{name}": partition,
        f"maintenance/analytics/shop/{name}": None,
    }
    assert shop.warehouse.scalar(f"SELECT count(*) FROM shop.{name}") == rows
    assert checks(result, table.lake_key) == dict.fromkeys(LAKE_CHECKS, True)
    assert checks(result, table.warehouse_key)["row_count"]


def test_the_metadata_is_plain_numbers_and_the_columns(shop: Shop) -> None:
    table = shop.table("prealerts")
    result = shop.run("prealerts")
    lake, warehouse = metadata(result, table.lake_key), metadata(result, table.warehouse_key)
    for name in ("rows", "bytes", "files", "queries", "queries_saved", "chunk_efficiency_percent", "seconds"):
        assert isinstance(lake[name], int | float), name
    for name in ("rows_per_second", "peak_memory_mb", "longest_query_seconds", "ceiling", "safe"):
        assert isinstance(lake[name], int | float), name
    for name in ("rows_per_query", "workers", "sparse_detections", "seconds_saved", "files_consolidated"):
        assert isinstance(lake[name], int | float), name
    assert (lake["strategy"], lake["size_class"]) == ("keyset", "streaming")
    assert str(lake["strategy_reason"]).startswith("an index on id serves pages in order")
    for name in ("rows_inserted", "rows_updated", "rows_unchanged", "rows_stale", "rows_deduplicated", "wal_bytes"):
        assert isinstance(warehouse[name], int), name
    assert (lake["rows"], lake["files"], lake["ceiling"]) == (30, 1, 12000)
    assert warehouse["rows_inserted"] == 30
    assert str(lake["dagster/uri"]).endswith("lake/shop/public.prealerts/all")
    schema = lake["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns] == ["id", "tracking"]


def test_the_source_table_is_observed_with_its_columns_and_the_cursors_index(shop: Shop) -> None:
    result = shop.run("orders", JANUARY)
    observed = {str(event.asset_key): event for event in result.get_asset_observation_events()}
    data = observed[str(shop.table("orders").source_key)].asset_observation_data.asset_observation.metadata
    assert data["cursor_index"].value == "(updated_at, id)"
    assert data["primary_key"].value == "id"
    schema = data["dagster/column_schema"].value
    assert isinstance(schema, dg.TableSchema)
    assert [column.name for column in schema.columns] == ["id", "status", "notes", "updated_at"]


def test_a_closed_partition_is_read_again_when_a_person_asks_and_only_then(shop: Shop) -> None:
    table = shop.table("orders")
    assert metadata(shop.run("orders", JANUARY), table.lake_key)["partition_closed"] == "true"
    for tags in ({"syncer/asked_by_person": "false"}, {"dagster/sensor_name": "new_rows__shop"}):
        again = metadata(shop.run("orders", JANUARY, tags=tags), table.lake_key)
        assert (again["rows"], again["mode"]) == (0, "append")
    by_hand = metadata(shop.run("orders", JANUARY), table.lake_key)
    assert (by_hand["rows"], by_hand["mode"]) == (40, "replace")
    continued = metadata(shop.run("orders", JANUARY, config={"mode": "continue"}), table.lake_key)
    assert continued["rows"] == 0


def test_the_warehouse_follows_the_manifests_mode_and_leaves_equal_rows_alone(shop: Shop) -> None:
    table = shop.table("orders")
    shop.run("orders", JANUARY)
    shop.source.execute("UPDATE orders SET status = 'done' WHERE id <= 3")
    report = metadata(shop.run("orders", JANUARY, config={"mode": "full"}), table.warehouse_key)
    assert (report["rows_updated"], report["rows_unchanged"]) == (3, 37)


def test_chunk_rows_of_the_run_config_bound_each_query(shop: Shop) -> None:
    report = metadata(shop.run("prealerts", config={"chunk_rows": 10}), shop.table("prealerts").lake_key)
    assert isinstance(report["queries"], int)
    assert report["queries"] >= 3
    assert report["rows"] == 30


def test_how_a_run_reads_can_be_said_in_its_config(shop: Shop) -> None:
    """30 rows, each 400 ids from the next: fixed ranges of 1,100 ids are 11 queries."""
    table = shop.table("prealerts")

    def run(**sparse: object) -> Mapping[str, object]:
        config = {"mode": "full", "strategy": "range", "chunk_rows": 1100, "sparse": sparse}
        return metadata(shop.run("prealerts", config=config), table.lake_key)

    fixed, scaled, narrow = run(enabled=False), run(), run(max_chunk_size=2200)
    assert {each["rows"] for each in (fixed, scaled, narrow)} == {30}
    assert [each["queries"] for each in (fixed, scaled, narrow)] == [2 + 11, 2 + 2, 2 + 6]
    assert (fixed["sparse_detections"], fixed["queries_saved"], scaled["queries_saved"]) == (0, 0, 8)
    assert scaled["sparse_detections"] == 2 and "fixed ranges of 1100 ids" in str(scaled["savings_basis"])


def test_partitions_of_one_table_go_their_own_ways(shop: Shop) -> None:
    for partition, rows in ((NEXT_ITEMS, 51), (FIRST_ITEMS, 150)):
        assert shop.run("items", partition).success
        assert shop.warehouse.scalar("SELECT count(*) FROM shop.items") == rows


def test_a_missing_table_fails_once_naming_table_and_fix_and_nothing_follows(shop: Shop) -> None:
    shop.source.execute("ALTER TABLE orders RENAME TO order_s")
    result = shop.run("orders", JANUARY)
    assert not result.success
    message = failure(result, "lake__shop__orders")
    assert message.startswith("public.orders")
    assert "Fix: " in message
    assert materialized(result) == {}
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert {event.step_key for event in result.all_events if event.is_step_start} == {"lake__shop__orders"}


def test_a_variable_that_is_not_set_is_named_with_its_connection(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_SHOP_DSN")
    message = failure(shop.run("prealerts"), "lake__shop__prealerts")
    assert message == (
        "the environment variable TEST_SHOP_DSN is not set, which source 'shop' needs."
        " Fix: set TEST_SHOP_DSN where Dagster's code and runs start"
    )
    monkeypatch.setenv("TEST_SHOP_DSN", shop.source.dsn)
    monkeypatch.delenv("TEST_ANALYTICS_DSN")
    result = shop.run("prealerts")
    assert "lake/shop/prealerts" in materialized(result)
    assert "warehouse 'analytics'" in failure(result, "analytics__shop__prealerts")


def test_no_secret_and_no_hidden_column_reaches_the_event_log(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    password = "canary pass%/@:word"
    shop.source.execute(f"CREATE ROLE canary_reader LOGIN PASSWORD '{password}'")
    shop.source.execute(f"GRANT CONNECT ON DATABASE {shop.source.name} TO canary_reader")
    try:
        monkeypatch.setenv("TEST_SHOP_DSN", shop.source.dsn_as("canary_reader", password))
        assert not shop.run("orders", JANUARY).success, "the role has no SELECT"
        monkeypatch.setenv("TEST_SHOP_DSN", f"postgresql://x:{password}@localhost:1/nowhere")
        assert not shop.run("orders", JANUARY).success
        monkeypatch.setenv("TEST_SHOP_DSN", shop.source.dsn)
        assert shop.run("orders", JANUARY).success
    finally:
        shop.source.execute("DROP OWNED BY canary_reader; DROP ROLE canary_reader")
    recorded = everything_recorded(shop.instance, shop.runs)
    assert "lake__shop__orders" in recorded
    for canary in (password, "canary%20pass", "secret note"):
        assert canary not in recorded
