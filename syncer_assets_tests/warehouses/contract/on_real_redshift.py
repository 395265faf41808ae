"""The contract on a real Redshift and S3, where the environment names them; each test has a database of its own.

The role must be a superuser: it makes databases, and ends sessions of others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.redshift import RedshiftWarehouse
from syncer_assets.warehouses.redshift import load as load_module
from syncer_assets_tests.warehouses.contract.under_test import WarehouseUnderTest

NEEDED = ("SYNCER_REAL_REDSHIFT_DSN", "SYNCER_REAL_S3_URL")


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    if absent := [name for name in NEEDED if not os.environ.get(name)]:
        pytest.skip(f"no real Redshift: set {' and '.join(absent)}")
    dsn, lake = (os.environ[name] for name in NEEDED)
    role = os.environ.get("SYNCER_REAL_REDSHIFT_ROLE", "default")
    name = f"syncer_test_{uuid4().hex[:10]}"
    own = make_conninfo(dsn, dbname=name)
    _run(dsn, f'CREATE DATABASE "{name}"')
    try:
        yield WarehouseUnderTest(
            name="real_redshift",
            lake=open_lake(f"{lake.rstrip('/')}/{name}"),
            open=lambda: RedshiftWarehouse("w", own, iam_role=role),
            query=lambda statement: _run(own, statement),
            kill_sessions=lambda: _kill(dsn, name),
            lost_commit=lambda committed: _lost_commit(dsn, committed),
        )
    finally:
        _kill(dsn, name)
        _run(dsn, f'DROP DATABASE "{name}"')


def _run(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(
        dsn, client_encoding="utf8", autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as connection:
        connection.prepare_threshold = None
        connection.execute("SET enable_case_sensitive_identifier TO true")
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _kill(dsn: str, database: str) -> None:
    for (process,) in _run(dsn, f"SELECT process FROM STV_SESSIONS WHERE db_name = '{database}'"):
        _run(dsn, f"SELECT pg_terminate_backend({process})")


@contextmanager
def _lost_commit(dsn: str, committed: bool) -> Iterator[None]:
    real = load_module.commit

    def commit(connection: psycopg.Connection) -> None:
        load_module.commit = real
        if committed:
            connection.execute("COMMIT")
        _run(dsn, f"SELECT pg_terminate_backend({connection.info.backend_pid})")
        connection.execute("COMMIT")

    load_module.commit = commit
    try:
        yield
    finally:
        load_module.commit = real
