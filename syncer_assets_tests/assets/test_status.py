"""The asset `status`: a page of all tables now, asked for by a person only."""

from importlib import import_module

import dagster as dg
import pytest

from syncer_assets.assets.status import STATUS_KEY
from syncer_assets.model.report import CheckResult, SyncReport
from syncer_assets_tests.assets.conftest import JANUARY, Shop
from syncer_assets_tests.assets.results import everything_recorded, metadata


def status_of(shop: Shop) -> dg.ExecuteInProcessResult:
    assets = shop.deployment.definitions.resolve_asset_graph().assets_defs
    result = dg.materialize(
        [asset for asset in assets if STATUS_KEY in asset.keys], instance=shop.instance, raise_on_error=False
    )
    shop.runs.append(result.run_id)
    return result


def test_its_metadata_is_a_table_of_all_tables_and_numbers_that_plot(shop: Shop) -> None:
    shop.run("orders", JANUARY)
    shop.run("prealerts")
    shop.warehouse.execute("DELETE FROM shop.prealerts WHERE id = 800")
    assert not shop.check("prealerts", "checksum").passed
    told = metadata(status_of(shop), STATUS_KEY)
    assert (told["tables"], told["never_synced"], told["not_asked"]) == (4, 2, 0)
    assert (told["rows"], told["pending_manifests"], told["red_checks"]) == (70, 0, 1)
    assert int(str(told["bytes"])) > 0
    assert "lag_seconds" not in told, "a closed month and an id do not lag"
    lines = str(told["status"]).splitlines()
    assert lines[2].startswith("| shop.orders | 40 |")
    assert "analytics:checksum (all)" in next(line for line in lines if "prealerts" in line)
    assert "never synced" in next(line for line in lines if "countries" in line)
    assert len({line.count(" | ") for line in lines}) == 1, "every line has every cell"


def test_a_red_check_of_one_partition_is_named_with_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.run("orders", "2024-02-01").success
    warning = CheckResult("cursor_protected", False, "WARN", "the sequence hands out ids in blocks")
    report = SyncReport("public.orders", JANUARY, checks=[warning], nothing_new=True)
    monkeypatch.setattr(import_module("syncer_assets.sync.extract"), "extract", lambda *_, **__: report)
    shop.run("orders", JANUARY)
    told = metadata(status_of(shop), STATUS_KEY)
    assert told["red_checks"] == 1
    assert f"| lake:cursor_protected ({JANUARY}) |" in str(told["status"])


def test_it_follows_nothing_and_no_sensor_asks_for_it(shop: Shop) -> None:
    node = shop.deployment.definitions.resolve_asset_graph().get(STATUS_KEY)
    assert (not node.parent_keys, node.automation_condition, node.partitions_def) == (True, None, None)


def test_a_warehouse_that_does_not_answer_leaves_the_lakes_part(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.run("countries")
    monkeypatch.setenv("TEST_ANALYTICS_DSN", "postgresql://x:s3cret@127.0.0.1:9/nowhere")
    result = status_of(shop)
    told = metadata(result, STATUS_KEY)
    assert (result.success, told["not_asked"], "rows" in told) == (True, 4, False)
    assert "Not asked: warehouse" in str(told["status"]) or "Not asked: analytics" in str(told["status"])
    assert "s3cret" not in everything_recorded(shop.instance, [result.run_id])
