"""A rig for the tests of the engine: databases of the embedded server, a lake in a folder, no Dagster."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sync.tables import Rig

settings.register_profile("same_each_time", deadline=None, derandomize=True, database=None)
settings.load_profile("same_each_time")


@pytest.fixture
def rig(postgres: EmbeddedPostgres, source_db: Database, lake_dir: Path) -> Iterator[Rig]:
    """The warehouse is made when the test first asks for it."""
    source = PostgresSource("shop", source_db.dsn)

    @cache
    def open_warehouse() -> tuple[Database, PostgresWarehouse]:
        database = Database.create(postgres, "warehouse")
        return database, PostgresWarehouse("analytics", database.dsn)

    yield Rig(source_db, source, open_lake(f"file://{lake_dir}"), open_warehouse)
    source.close()
    if open_warehouse.cache_info().currsize:
        database, warehouse = open_warehouse()
        warehouse.close()
        database.drop()
