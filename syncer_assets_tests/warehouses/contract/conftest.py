"""The contract's parameters: each test of this folder runs against every warehouse."""

from collections.abc import Iterator
from importlib import import_module

import pytest

from syncer_assets.warehouses.base import Warehouse
from syncer_assets_tests.warehouses.contract.under_test import Loads, WarehouseUnderTest

WAREHOUSES = {
    "postgres": "on_postgres",
    "redshift": "on_redshift",
    "real_redshift": "on_real_redshift",
    "snowflake": "on_snowflake",
    "real_snowflake": "on_real_snowflake",
}
"""The module that opens it, see `under_test`."""


@pytest.fixture(params=WAREHOUSES)
def under_test(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    module = import_module(f"{__package__}.{WAREHOUSES[request.param]}")
    with module.opened(request) as opened:
        yield opened


@pytest.fixture
def warehouse(under_test: WarehouseUnderTest) -> Iterator[Warehouse]:
    warehouse = under_test.open()
    yield warehouse
    warehouse.close()


@pytest.fixture
def orders(under_test: WarehouseUnderTest, warehouse: Warehouse) -> Loads:
    return Loads(under_test, warehouse)
