"""The contract on the double of Snowflake; its lake is a folder, whose files are put into the table's stage."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets.warehouses.snowflake import load as load_module
from syncer_assets.warehouses.snowflake.session import Session
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.warehouses.contract.under_test import WarehouseUnderTest


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    double: SnowflakeDouble = request.getfixturevalue("snowflake_double")
    folder: Path = request.getfixturevalue("lake_dir")
    database = double.account.create_database()
    yield WarehouseUnderTest(
        name="snowflake",
        lake=open_lake(f"file://{folder}"),
        open=lambda: SnowflakeWarehouse("w", double.dsn(database)),
        query=lambda statement: double.query(database, folded(statement)),
        kill_sessions=double.kill_sessions,
        lost_commit=lambda committed: _lost_commit(double, committed),
    )


@contextmanager
def _lost_commit(double: SnowflakeDouble, committed: bool) -> Iterator[None]:
    real = load_module.commit

    def commit(session: Session) -> None:
        load_module.commit = real
        double.lost_commit = committed
        real(session)

    load_module.commit = commit
    try:
        yield
    finally:
        load_module.commit = real


def folded(statement: str) -> str:
    """Names as the warehouse keeps them, see `names.fold`."""
    return re.sub(r'"[a-z_][a-z0-9_$]*"', lambda match: match[0].upper(), statement)
