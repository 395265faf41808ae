"""The contract on MariaDB, by the source of MySQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncer_assets.sources.registry import open_source
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sources.contract.under_test import SourceUnderTest, tables, values


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    database: MariaDatabase = request.getfixturevalue("maria_db")
    for statement in tables("orders", "empty_orders", text="varchar(50)", time="datetime(6)"):
        database.execute(statement)
    database.execute(f"INSERT INTO orders (id, code, note, updated_at) {values()}")
    yield SourceUnderTest(
        name="mysql",
        open=lambda: open_source("shop", "mysql", database.dsn),
        execute=database.execute,
        orders=f"{database.name}.orders",
        empty=f"{database.name}.empty_orders",
    )
