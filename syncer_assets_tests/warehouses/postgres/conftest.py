from collections.abc import Iterator

import pytest

from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Loads


@pytest.fixture
def warehouse(warehouse_db: Database) -> Iterator[PostgresWarehouse]:
    warehouse = PostgresWarehouse("analytics", warehouse_db.dsn)
    yield warehouse
    warehouse.close()


@pytest.fixture
def orders(warehouse: PostgresWarehouse) -> Loads:
    return Loads(warehouse)
