"""The contract on a real Snowflake, where the environment names it; each test has a database of its own.

The DSN's role makes databases and ends sessions of its own user; its virtual warehouse resumes by itself. The lake is a
folder, whose files are put into the table's stage; with SYNCER_REAL_SNOWFLAKE_STAGE and SYNCER_REAL_S3_URL it is a
bucket under that stage.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from syncer_assets.drivers import snowflake
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets.warehouses.snowflake import load as load_module
from syncer_assets.warehouses.snowflake.session import Session, by_connector
from syncer_assets_tests.warehouses.contract.on_snowflake import folded
from syncer_assets_tests.warehouses.contract.under_test import WarehouseUnderTest

NEEDED = "SYNCER_REAL_SNOWFLAKE_DSN"


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    dsn = os.environ.get(NEEDED)
    if not dsn:
        pytest.skip(f"no real Snowflake: set {NEEDED}")
    folder: Path = request.getfixturevalue("lake_dir")
    stage, bucket = os.environ.get("SYNCER_REAL_SNOWFLAKE_STAGE"), os.environ.get("SYNCER_REAL_S3_URL")
    name = f"SYNCER_TEST_{uuid4().hex[:10].upper()}"
    _run(dsn, f"CREATE DATABASE {name}")
    own, sessions = _with_database(dsn, name), set[int]()

    @contextmanager
    def opener(arguments: Mapping[str, object]) -> Iterator[Any]:
        with by_connector(arguments) as connection:
            sessions.add(connection.session_id)
            yield connection

    def kill() -> None:
        while sessions:
            _run(dsn, f"SELECT SYSTEM$ABORT_SESSION({sessions.pop()})")

    try:
        yield WarehouseUnderTest(
            name="real_snowflake",
            lake=open_lake(bucket if stage and bucket else f"file://{folder}"),
            open=lambda: SnowflakeWarehouse("w", own, {"stage": stage} if stage and bucket else {}, opener),
            query=lambda statement: _run(own, folded(statement)),
            kill_sessions=kill,
            lost_commit=lambda committed: _lost_commit(dsn, committed),
        )
    finally:
        _run(dsn, f"DROP DATABASE {name}")


def _run(dsn: str, statement: str) -> list[Any]:
    connection = snowflake.connect(dsn, who="test")
    try:
        return snowflake.rows(connection, statement)
    finally:
        snowflake.close(connection)


def _with_database(dsn: str, database: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}/PUBLIC"))


@contextmanager
def _lost_commit(dsn: str, committed: bool) -> Iterator[None]:
    real = load_module.commit

    def commit(session: Session) -> None:
        load_module.commit = real
        if committed:
            real(session)
        _run(dsn, f"SELECT SYSTEM$ABORT_SESSION({session.connection.session_id})")
        real(session)

    load_module.commit = commit
    try:
        yield
    finally:
        load_module.commit = real
