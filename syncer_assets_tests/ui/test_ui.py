"""What a person does in Dagster's UI, and what the UI then shows: real webserver, real daemon, real browser."""

from typing import Any

import pytest

from syncer_assets_tests.servers import poll
from syncer_assets_tests.ui.browser import Browser
from syncer_assets_tests.ui.conftest import ServedShop

pytestmark = [pytest.mark.ui, pytest.mark.slow, pytest.mark.timeout(600)]

JANUARY, ORDERS = "2024-01-01", 1234
ITEMS = ("000000000000-000000000099", "000000000100-000000000199", "000000000200-000000000299")
OF_THE_WHOLE_TABLE = {"checksum", "freshness"}
SENSOR_SECONDS = 240


@pytest.fixture(scope="module")
def january(shop: ServedShop) -> str:
    """The run by which somebody materialised January's orders, in the lake and in the warehouse."""
    run_id = shop.ui.materialize(["lake/shop/orders", "analytics/shop/orders"], JANUARY)
    shop.ui.wait_for_run(run_id)
    return run_id


def test_sensors_and_automation_run_by_default(shop: ServedShop) -> None:
    """Nobody has to switch on what keeps lake and warehouse in step."""
    states = {name: (sensor["default"], sensor["status"]) for name, sensor in shop.sensors_at_first.items()}
    assert states == {"new_rows__shop": ("RUNNING", "RUNNING"), "automation": ("RUNNING", "RUNNING")}


def test_a_materialised_partition_tells_what_it_did(shop: ServedShop, january: str) -> None:
    lake = shop.ui.metadata("lake/shop/orders", january, JANUARY)
    assert (lake["rows"], lake["files"], lake["queries"]) == (ORDERS, 1, 2)
    assert lake["dagster/partition_row_count"] == ORDERS
    assert lake["ceiling"] >= "2024-01-02"
    assert lake["safe"] <= lake["ceiling"]
    assert lake["partition_closed"] == "false"  # no later row yet: the clock alone does not close January
    assert lake["rows_per_second"] > 0
    assert [column["name"] for column in lake["dagster/column_schema"]["columns"]] == ["id", "status", "updated_at"]
    loaded = shop.ui.metadata("analytics/shop/orders", january, JANUARY)
    assert (loaded["rows"], loaded["rows_inserted"], loaded["rows_updated"]) == (ORDERS, ORDERS, 0)
    assert shop.warehouse.scalar("SELECT count(*) FROM shop.orders") == ORDERS


@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("lake/shop/orders", "row_count"),
        ("lake/shop/orders", "reached_ceiling"),
        ("lake/shop/orders", "rows_outside_partitions"),
        ("lake/shop/orders", "cursor_protected"),
        ("analytics/shop/orders", "row_count"),
        ("analytics/shop/orders", "checksum"),
        ("analytics/shop/orders", "freshness"),
    ],
)
def test_the_checks_of_a_materialisation_are_green(shop: ServedShop, january: str, key: str, check: str) -> None:
    found = shop.ui.check(key, check)
    assert (found["status"], found["runId"]) == ("SUCCEEDED", january)
    evaluation: dict[str, Any] = found["evaluation"]
    assert evaluation["success"]
    assert evaluation["partition"] == (None if check in OF_THE_WHOLE_TABLE else JANUARY)
    assert evaluation["targetMaterialization"]["runId"] == january


def test_a_backfill_is_a_run_a_partition_and_replaces_what_changed_in_a_closed_one(shop: ServedShop) -> None:
    """The changes below the mark are invisible to the cursor: only reading the partition anew finds them."""
    shop.sync("items", ITEMS[0])
    assert shop.warehouse.scalar("SELECT count(*) FROM shop.items") == 99
    shop.source.execute("UPDATE items SET sku = 'changed' WHERE id = 7; DELETE FROM items WHERE id = 50")
    for partition in ITEMS[1:]:
        shop.ui.add_partition("shop__items", partition)

    runs = shop.ui.wait_for_backfill(shop.ui.backfill(["lake/shop/items", "analytics/shop/items"], ITEMS))

    assert [run["status"] for run in runs] == ["SUCCESS"] * 3
    partition_of = {
        run["runId"]: tag["value"] for run in runs for tag in run["tags"] if tag["key"] == "dagster/partition"
    }
    assert sorted(partition_of.values()) == list(ITEMS)
    assert shop.warehouse.execute("SELECT id / 100, count(*) FROM shop.items GROUP BY 1 ORDER BY 1") == [
        (0, 98),
        (1, 100),
        (2, 100),
    ]
    assert shop.warehouse.scalar("SELECT sku FROM shop.items WHERE id = 7") == "changed"
    metadata = {
        partition: (shop.ui.metadata("lake/shop/items", run, partition), shop.ui.metadata("analytics/shop/items", run))
        for run, partition in partition_of.items()
    }
    lake, loaded = metadata[ITEMS[0]]
    assert (lake["mode"], lake["rows"], lake["partition_closed"]) == ("replace", 98, "true")
    assert (loaded["rows_updated"], loaded["rows_deleted"], loaded["rows_unchanged"]) == (1, 1, 97)
    assert [metadata[partition][0]["mode"] for partition in ITEMS[1:]] == ["append", "append"]
    newest = shop.ui.check("analytics/shop/items", "row_count")
    assert newest["evaluation"]["partition"] == partition_of[newest["runId"]]


def test_the_sensor_brings_inserted_rows_and_automation_looks_after_the_table(shop: ServedShop) -> None:
    shop.sync("prealerts")
    assert shop.warehouse.scalar("SELECT count(*) FROM shop.prealerts") == 30
    for name in shop.sensors_at_first:
        shop.ui.reset_sensor(name)
    try:
        assert {sensor["status"] for sensor in shop.ui.sensors().values()} == {"RUNNING"}
        shop.source.execute("INSERT INTO prealerts (tracking) VALUES ('late arrival')")

        def requested() -> list[dict[str, Any]]:
            return shop.ui.runs({"dagster/sensor_name": "new_rows__shop", "syncer/request": "lake/shop/prealerts|all"})

        def maintained() -> bool:
            runs = shop.ui.runs({"dagster/sensor_name": "automation"})
            return any(
                {"path": ["maintenance", "analytics", "shop", "prealerts"]} in run["assetSelection"] for run in runs
            )

        runs = poll(requested, SENSOR_SECONDS, every_seconds=0.5)
        shop.ui.wait_for_run(runs[-1]["runId"])
        arrived = "SELECT count(*) FROM shop.prealerts WHERE tracking = 'late arrival'"
        assert shop.warehouse.scalar(arrived) == 1
        poll(maintained, SENSOR_SECONDS, every_seconds=0.5)
    finally:
        for name in shop.sensors_at_first:
            shop.ui.stop_sensor(name)


def test_a_row_deleted_behind_its_back_turns_the_checksum_red(shop: ServedShop, january: str, browser: Browser) -> None:
    checks = f"{shop.ui.url}/assets/analytics/shop/orders?view=checks&checkDetail=checksum"
    green = shop.ui.check("analytics/shop/orders", "checksum")
    assert (green["status"], green["evaluation"]["metadata"]["rows_missing"]) == ("SUCCEEDED", 0)
    browser.open(checks, "checksum\nSucceeded")

    shop.warehouse.execute(
        "CREATE TABLE gone AS SELECT * FROM shop.orders WHERE id = 100; DELETE FROM shop.orders WHERE id = 100"
    )
    try:
        shop.ui.wait_for_run(shop.ui.execute_checks(("analytics/shop/orders", "checksum")))
        red = shop.ui.check("analytics/shop/orders", "checksum")
        assert (red["status"], red["evaluation"]["severity"]) == ("FAILED", "ERROR")
        assert red["evaluation"]["metadata"]["rows_missing"] == 1
        assert "missing 1," in browser.open(checks, "checksum\nFailed", "rows_missing")
    finally:
        shop.warehouse.execute("INSERT INTO shop.orders SELECT * FROM gone")


def test_the_asset_page_shows_rows_and_checks(shop: ServedShop, january: str, browser: Browser) -> None:
    shown = browser.open(f"{shop.ui.url}/assets/analytics/shop/orders", "rows_inserted", "Latest check results")
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    assert "Materialize…" in lines
    assert JANUARY in lines
    assert lines[lines.index("rows_inserted") + 2] == str(ORDERS)
    assert "shop.orders in analytics, loaded from the lake (upsert)." in lines
    shown = browser.open(f"{shop.ui.url}/assets/lake/shop/orders?view=checks", "row_count\nSucceeded")
    for check in ("row_count", "reached_ceiling", "rows_outside_partitions", "cursor_protected"):
        assert f"{check}\nSucceeded" in shown


def test_the_graph_shows_every_asset_without_a_warning(shop: ServedShop, january: str, browser: Browser) -> None:
    shown = browser.open(f"{shop.ui.url}/asset-groups", "orders", "items", "prealerts", "4 / 4 Passed")
    assert shown.count("Latest event") == 17, "five of each table, the report and the status"
    for problem in ("Failed to load", "Error", "warning"):
        assert problem not in shown
