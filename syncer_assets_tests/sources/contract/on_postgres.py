"""The contract on PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncer_assets.sources.registry import open_source
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.contract.under_test import SourceUnderTest, tables, values


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    database: Database = request.getfixturevalue("source_db")
    for statement in tables("orders", "empty_orders", text="text", time="timestamptz"):
        database.execute(statement)
    database.execute(f"INSERT INTO orders (id, code, note, updated_at) {values()}")
    yield SourceUnderTest(
        name="postgres",
        open=lambda: open_source("shop", "postgres", database.dsn),
        execute=database.execute,
        orders="public.orders",
        empty="public.empty_orders",
        time_kind="timestamptz",
    )
