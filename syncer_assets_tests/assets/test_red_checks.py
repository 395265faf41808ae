"""Checks that must go red do, and a red blocking check stops what follows."""

from importlib import import_module

import pytest

from syncer_assets.assets.inline_checks import check_results, lake_check_specs
from syncer_assets.model.errors import AssertionFailed
from syncer_assets.model.report import CheckResult, SyncReport
from syncer_assets_tests.assets.conftest import JANUARY, Shop
from syncer_assets_tests.assets.results import checks, materialized, metadata


def fake_extract(report: SyncReport) -> object:
    """An engine that reports what no healthy engine would."""

    def extract(*_: object, **__: object) -> SyncReport:
        return report

    return extract


def test_a_red_blocking_check_of_the_lake_stops_the_load(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    red = SyncReport(
        "public.orders", JANUARY, checks=[CheckResult("reached_ceiling", False, description="one row is missing")]
    )
    monkeypatch.setattr(import_module("syncer_assets.sync.extract"), "extract", fake_extract(red))
    result = shop.run("orders", JANUARY)
    assert not result.success
    assert materialized(result) == {"lake/shop/orders": JANUARY}
    assert checks(result, shop.table("orders").lake_key) == {
        "row_count": True,
        "reached_ceiling": False,
        "rows_outside_partitions": True,
        "cursor_protected": True,
    }


def test_a_warning_stops_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.run("orders", JANUARY).success
    warning = CheckResult("cursor_protected", False, "WARN", "the sequence hands out ids in blocks")
    report = SyncReport("public.orders", JANUARY, checks=[warning], nothing_new=True)
    monkeypatch.setattr(import_module("syncer_assets.sync.extract"), "extract", fake_extract(report))
    result = shop.run("orders", JANUARY)
    assert result.success
    assert checks(result, shop.table("orders").lake_key)["cursor_protected"] is False
    assert metadata(result, shop.table("orders").warehouse_key)["rows"] == 0


def test_a_row_deleted_behind_its_back_turns_the_checksum_red(shop: Shop) -> None:
    shop.run("prealerts")
    assert shop.check("prealerts", "checksum").passed
    shop.warehouse.execute("DELETE FROM shop.prealerts WHERE id = 800")
    shop.warehouse.execute("UPDATE shop.prealerts SET tracking = 'x' WHERE id = 1200")
    red = shop.check("prealerts", "checksum")
    assert not red.passed
    found = {name: value.value for name, value in red.metadata.items()}
    assert (found["rows_missing"], found["rows_changed"], found["rows_extra"]) == (1, 1, 0)


def test_what_the_engine_did_not_look_at_passes_and_says_so(shop: Shop) -> None:
    specs = lake_check_specs(shop.table("orders"))
    idle = check_results(specs, [], nothing_new=True)
    assert {result.description for result in idle} == {"nothing new to read"}
    assert all(result.passed for result in idle)


def test_a_failure_without_a_declared_check_is_not_lost(shop: Shop) -> None:
    specs = lake_check_specs(shop.table("orders"))
    with pytest.raises(AssertionFailed, match="novel did not pass: why"):
        check_results(specs, [CheckResult("novel", False, description="why")], nothing_new=False)
    assert len(check_results(specs, [CheckResult("novel", False, "WARN")], nothing_new=False)) == len(specs)
