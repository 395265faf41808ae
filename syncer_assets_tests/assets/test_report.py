"""The asset `report`: one for a deployment, asked for by a person only."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.report import FOLDER, REPORT_KEY, Reported, build_report_asset
from syncer_assets_tests.assets.conftest import JANUARY, Shop
from syncer_assets_tests.assets.results import everything_recorded, metadata, run_report


def report_of(shop: Shop, **config: object) -> dg.ExecuteInProcessResult:
    result = run_report(shop.deployment.definitions, shop.instance, **config)
    shop.runs.append(result.run_id)
    return result


def test_its_metadata_is_markdown_plain_numbers_and_a_page_in_the_lake(shop: Shop) -> None:
    shop.run("orders", JANUARY)
    shop.run("countries")
    result = report_of(shop)
    assert result.success
    told = metadata(result, REPORT_KEY)
    assert (told["tables"], told["rows"], told["rows_loaded"], told["loads"], told["copies"]) == (4, 42, 42, 2, 2)
    assert "| shop.orders | 40 |" in str(told["report"])
    page = Path(str(told["page"]))
    assert page.parent.name == FOLDER
    assert "shop.orders" in page.read_text()
    recorded = everything_recorded(shop.instance, [result.run_id]) + page.read_text()
    assert "secret note" not in recorded


def test_what_is_older_than_the_days_asked_for_is_left_out(shop: Shop) -> None:
    shop.run("countries")
    assert metadata(report_of(shop, days=1e-9), REPORT_KEY)["rows"] == 0


def test_it_follows_nothing_and_no_sensor_asks_for_it(shop: Shop) -> None:
    graph = shop.deployment.definitions.resolve_asset_graph()
    node = graph.get(REPORT_KEY)
    assert not node.parent_keys
    assert node.automation_condition is None
    assert node.partitions_def is None


def test_a_warehouse_that_does_not_answer_leaves_the_lakes_part(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.run("countries")
    monkeypatch.setenv("TEST_ANALYTICS_DSN", "postgresql://x:s3cret@127.0.0.1:9/nowhere")
    result = report_of(shop)
    told = metadata(result, REPORT_KEY)
    assert (told["rows"], told["loads"]) == (2, 0)
    assert "Without the warehouse" in str(told["report"])
    assert "s3cret" not in everything_recorded(shop.instance, [result.run_id])


@pytest.mark.parametrize("group, expected", [("shop", "shop"), ("sales", "report")])
def test_it_is_in_the_group_of_all_tables_if_there_is_one(shop: Shop, group: str, expected: str) -> None:
    """With a second group the UI's graph would show two closed boxes instead of the assets."""
    orders, *others = shop.deployment.tables
    asset = build_report_asset(Reported([replace(orders, group=group), *others]))
    assert asset.group_names_by_key == {REPORT_KEY: expected}
