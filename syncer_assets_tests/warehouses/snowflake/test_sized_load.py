"""The engine's load asks for its size by the bytes that it brings, and tells what it had."""

from dataclasses import replace

import pytest

from syncer_assets.model.errors import SchemaChanged
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.model.table import TableSpec
from syncer_assets.sync.lake import Place
from syncer_assets.sync.load import load
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import VirtualWarehouse
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads

SPEC = TableSpec("shop", "public.orders", ("id",), ("id",))
PLACE = Place("shop", "public.orders", "all")


@pytest.fixture
def sized(orders: Loads, snowflake_double: SnowflakeDouble) -> Loads:
    """Loads into a fresh virtual warehouse, above one byte in MEDIUM."""
    snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")
    dsn = snowflake_double.dsn(orders.under_test.query("SELECT CURRENT_DATABASE()")[0][0])
    rules = SizeRules((SizeStep("XSMALL", 1e-6), SizeStep("MEDIUM")))
    return replace(orders, warehouse=SnowflakeWarehouse("w", dsn, sizing=rules))


def test_a_load_is_sized_and_told(sized: Loads, snowflake_double: SnowflakeDouble) -> None:
    compute, lake = snowflake_double.account.warehouses["LOADING"], sized.under_test.lake
    lake.commit(PLACE, sized._manifest(1, Extraction([(1, "a")])))
    report = load(lake, sized.warehouse, SPEC, sized.target, run_id="r")
    assert (report.rows_inserted, compute.size, compute.resized) == (1, "X-Small", ["MEDIUM", "XSMALL"])
    assert report.facts["size_found"] == "XSMALL" and float(report.facts["seconds_at_MEDIUM"]) > 0
    assert report.facts["warehouse_size"] == "Medium"


def test_nothing_new_is_not_sized_but_restores_what_a_killed_run_left(
    sized: Loads, snowflake_double: SnowflakeDouble
) -> None:
    compute, lake = snowflake_double.account.warehouses["LOADING"], sized.under_test.lake
    assert load(lake, sized.warehouse, SPEC, sized.target).nothing_new
    assert compute.resized == []
    held = sized.warehouse.sized(10, run_id="killed", emit=silent)
    held.__enter__()
    sized.under_test.query("UPDATE _syncer.sizing SET heartbeat_at = 0")  # long ago
    assert load(lake, sized.warehouse, SPEC, sized.target).nothing_new
    assert compute.resized == ["MEDIUM", "XSMALL"]
    held.__exit__(None, None, None)


def test_a_load_that_fails_gives_its_size_back(sized: Loads, snowflake_double: SnowflakeDouble) -> None:
    compute, lake = snowflake_double.account.warehouses["LOADING"], sized.under_test.lake
    sized.warehouse.register(sized.target, lake.generation)
    sized.under_test.query('CREATE TABLE "shop"."orders" ("id" VARCHAR)')
    lake.commit(PLACE, sized._manifest(1, Extraction([(1, "a")])))
    with pytest.raises(SchemaChanged):
        load(lake, sized.warehouse, SPEC, sized.target)
    assert (compute.size, compute.resized) == ("X-Small", ["MEDIUM", "XSMALL"])
