from collections.abc import Iterator

import pytest

from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.warehouses.contract import on_snowflake
from syncer_assets_tests.warehouses.contract.under_test import Loads, WarehouseUnderTest


@pytest.fixture
def under_test(request: pytest.FixtureRequest, snowflake_double: SnowflakeDouble) -> Iterator[WarehouseUnderTest]:
    with on_snowflake.opened(request) as opened:
        yield opened


@pytest.fixture
def orders(under_test: WarehouseUnderTest) -> Iterator[Loads]:
    warehouse = under_test.open()
    yield Loads(under_test, warehouse)
    warehouse.close()
