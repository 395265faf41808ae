"""The contract on PostgreSQL itself; its lake is a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres import load as load_module
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.contract.under_test import WarehouseUnderTest

KILL_SQL = """
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    database: Database = request.getfixturevalue("warehouse_db")
    folder: Path = request.getfixturevalue("lake_dir")
    yield WarehouseUnderTest(
        name="postgres",
        lake=open_lake(f"file://{folder}"),
        open=lambda: PostgresWarehouse("w", database.dsn),
        query=database.execute,
        kill_sessions=lambda: kill_sessions(database),
        lost_commit=lambda committed: _lost_commit(database, committed),
    )


def kill_sessions(database: Database) -> None:
    """End every other session of the database, and wait until they are gone."""
    database.execute(KILL_SQL)


@contextmanager
def _lost_commit(database: Database, committed: bool) -> Iterator[None]:
    real = load_module.commit

    def commit(connection: psycopg.Connection) -> None:
        load_module.commit = real
        if committed:
            connection.execute("COMMIT")
        database.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        connection.execute("COMMIT")

    load_module.commit = commit
    try:
        yield
    finally:
        load_module.commit = real
