"""A MariaDB source of the test's own, alone and in a rig."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.mysql.rig import Ceilings, MariaRig, user

OpenSource = Callable[..., MySQLSource]


@pytest.fixture
def open_source(maria_db: MariaDatabase) -> Iterator[OpenSource]:
    """Opens the source, with options, or as a new role with only the grants that are given."""
    opened: list[MySQLSource] = []
    roles: list[str] = []

    def opening(*grants: str, **options: str) -> MySQLSource:
        dsn = maria_db.dsn
        if grants:
            roles.append(user(maria_db, grants))
            dsn = maria_db.dsn_as(roles[-1], "secret")
        opened.append(MySQLSource("shop", dsn, settings=options))
        return opened[-1]

    yield opening
    for source in opened:
        source.close()
    for role in roles:
        maria_db.execute(f"DROP USER '{role}'@'127.0.0.1'")


@pytest.fixture
def source(open_source: OpenSource) -> MySQLSource:
    return open_source()


@pytest.fixture
def ceilings(maria_db: MariaDatabase, source: MySQLSource) -> Ceilings:
    return Ceilings(maria_db, source)


@pytest.fixture
def maria_rig(
    postgres: EmbeddedPostgres, maria_db: MariaDatabase, source: MySQLSource, lake_dir: Path
) -> Iterator[MariaRig]:
    """The warehouse is made when the test first asks for it."""

    @cache
    def open_warehouse() -> tuple[Database, PostgresWarehouse]:
        database = Database.create(postgres, "warehouse")
        return database, PostgresWarehouse("analytics", database.dsn)

    yield MariaRig(maria_db, source, open_lake(f"file://{lake_dir}"), open_warehouse)  # type: ignore[arg-type]  # duck
    if open_warehouse.cache_info().currsize:
        database, warehouse = open_warehouse()
        warehouse.close()
        database.drop()
