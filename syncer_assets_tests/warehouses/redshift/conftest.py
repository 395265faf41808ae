from collections.abc import Iterator

import pytest

from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.servers import Bucket, Database
from syncer_assets_tests.warehouses.contract.on_redshift import under_test
from syncer_assets_tests.warehouses.contract.under_test import Loads


@pytest.fixture
def double(database: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedshiftDouble]:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    with RedshiftDouble(database, s3) as double:
        yield double


@pytest.fixture
def warehouse(double: RedshiftDouble) -> Iterator[RedshiftWarehouse]:
    warehouse = RedshiftWarehouse("w", double.dsn, iam_role="default")
    yield warehouse
    warehouse.close()


@pytest.fixture
def orders(double: RedshiftDouble, warehouse: RedshiftWarehouse) -> Loads:
    return Loads(under_test(double), warehouse)
