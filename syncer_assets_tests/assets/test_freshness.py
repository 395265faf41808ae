"""Freshness tells how long rows have been waiting at the source; a quiet source is fresh."""

from datetime import timedelta

import dagster as dg

from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, NEXT_ITEMS, Shop


def freshness(shop: Shop, name: str) -> dg.AssetCheckEvaluation:
    return shop.check(name, "freshness")


def test_a_table_that_was_never_read_is_not_fresh(shop: Shop) -> None:
    for name in ("prealerts", "items", "countries"):
        never = freshness(shop, name)
        assert (never.passed, never.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert "never read" in (never.description or "")


def test_nothing_waits_once_everything_is_read_however_old_it_is(shop: Shop) -> None:
    shop.run("prealerts")
    fresh = freshness(shop, "prealerts")
    assert fresh.passed
    assert fresh.metadata["lag_seconds"].value == 0
    assert fresh.metadata["limit_seconds"].value == timedelta(hours=24).total_seconds()


def test_a_row_that_waits_at_the_source_ages(shop: Shop) -> None:
    shop.run("prealerts")
    shop.source.execute("INSERT INTO prealerts (tracking) VALUES ('late')")
    lag = freshness(shop, "prealerts").metadata["lag_seconds"].value
    assert isinstance(lag, float)
    assert 0 < lag < 60


def test_a_skipped_partition_is_as_old_as_its_beginning(shop: Shop) -> None:
    shop.run("orders", JANUARY)
    old = freshness(shop, "orders")
    assert not old.passed
    lag = old.metadata["lag_seconds"].value
    assert isinstance(lag, float)
    assert lag > timedelta(days=365).total_seconds()


def test_one_new_id_partition_is_young_and_two_were_never_read(shop: Shop) -> None:
    shop.run("items", FIRST_ITEMS)
    young = freshness(shop, "items")
    assert young.passed, young.description
    shop.run("items", NEXT_ITEMS)
    assert freshness(shop, "items").metadata["lag_seconds"].value == 0
    shop.source.execute("SELECT setval('items_id_seq', 350); INSERT INTO items VALUES (250, 'x'), (350, 'y')")
    assert not freshness(shop, "items").passed


def test_a_table_without_a_cursor_ages_with_its_last_run(shop: Shop) -> None:
    shop.run("countries")
    lag = freshness(shop, "countries").metadata["lag_seconds"].value
    assert isinstance(lag, float)
    assert lag < 60


def test_one_step_judges_all_tables_and_one_tables_trouble_is_its_own(shop: Shop) -> None:
    shop.run("prealerts")
    shop.source.execute("DROP TABLE orders")
    keys = [dg.AssetCheckKey(table.warehouse_key, "freshness") for table in shop.deployment.tables]
    checks = [
        check for check in shop.deployment.definitions.asset_checks or [] if isinstance(check, dg.AssetsDefinition)
    ]
    result = dg.materialize(
        checks,
        selection=dg.AssetSelection.checks(*keys),
        instance=shop.instance,
        resources=shop.deployment.connections.resources(),
    )
    assert result.success
    found = {check.asset_key.path[-1]: check for check in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in found.items()} == {
        "orders": False,
        "items": False,
        "prealerts": True,
        "countries": False,
    }
    assert "public.orders" in (found["orders"].description or "")
    assert len([event for event in result.all_events if event.is_step_start]) == 1
