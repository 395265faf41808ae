"""A lake in S3 that the warehouse reads itself, through an external stage: COPY from the SeaweedFS bucket."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from syncer_assets.model.errors import ConfigError, DbError, LakeCorrupt
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.servers import Bucket
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads, WarehouseUnderTest


@pytest.fixture
def staged(
    s3: Bucket, snowflake_double: SnowflakeDouble, under_test: WarehouseUnderTest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Loads]:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    snowflake_double.account.let_read(s3)
    database = under_test.query("SELECT CURRENT_DATABASE()")[0][0]
    under_test.query(f'CREATE STAGE "PUBLIC"."LAKE" URL = \'{s3.url}/lake/\'')
    dsn = snowflake_double.dsn(database)
    warehouse = SnowflakeWarehouse("w", dsn, {"stage": f"{database}.PUBLIC.LAKE"})
    yield Loads(replace(under_test, lake=open_lake(f"{s3.url}/lake")), warehouse)
    warehouse.close()


@pytest.mark.server
def test_files_are_copied_from_the_bucket_by_name(staged: Loads, snowflake_double: SnowflakeDouble) -> None:
    snowflake_double.account.statements.clear()
    staged.load_all([Extraction([(1, "a"), (2, "a")]), Extraction([(2, "b")])])
    assert staged.rows("id", "status") == [(1, "a"), (2, "b")]
    assert not [each for each in snowflake_double.statements if each.startswith("PUT")]
    (copy,) = [each for each in snowflake_double.statements if each.startswith("COPY")]
    assert "PATTERN" not in copy and copy.count(".parquet'") == 2 and "FORCE = TRUE" in copy


@pytest.mark.server
def test_an_object_that_is_missing_or_of_another_size_stops_the_load(staged: Loads) -> None:
    import obstore

    plan = staged.plan([Extraction([(1, "a")])])
    path = plan.files[0].file.path
    store = staged.under_test.lake.store
    obstore.put(store, path, bytes(obstore.get(store, path).bytes()) + b"x")
    with pytest.raises(LakeCorrupt, match="its manifest says"):
        staged.warehouse.load(plan)
    obstore.delete(store, path)
    with pytest.raises(LakeCorrupt, match="missing from the lake"):
        staged.warehouse.load(plan)
    assert staged.warehouse.watermark(staged.target, "all").seq == 0


@pytest.mark.server
def test_a_stage_that_is_not_there_is_told(staged: Loads, snowflake_double: SnowflakeDouble) -> None:
    database = staged.under_test.query("SELECT CURRENT_DATABASE()")[0][0]
    warehouse = SnowflakeWarehouse("w", snowflake_double.dsn(database), {"stage": f"{database}.PUBLIC.ABSENT"})
    with pytest.raises(DbError, match="002003"):
        replace(staged, warehouse=warehouse).load([(1, "a")])
    warehouse.close()


def test_a_storage_integration_needs_a_bucket(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    database = orders.under_test.query("SELECT CURRENT_DATABASE()")[0][0]
    warehouse = SnowflakeWarehouse("w", snowflake_double.dsn(database), {"storage_integration": "LAKE_READER"})
    with pytest.raises(ConfigError, match=r"cannot be read through a storage integration.*option `stage`"):
        replace(orders, warehouse=warehouse).load([(1, "a")])
    warehouse.close()
