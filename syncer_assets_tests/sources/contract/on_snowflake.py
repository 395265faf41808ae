"""The contract on a double of Snowflake, which is no proof of the service: see `sources.snowflake.double`."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from syncer_assets.sources.registry import open_source
from syncer_assets_tests.sources.contract.under_test import SourceUnderTest, tables, values
from syncer_assets_tests.sources.snowflake.double import House


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    house: House = request.getfixturevalue("house")
    house.run(*tables("ORDERS", "EMPTY_ORDERS", id="NUMBER(18, 0)", text="VARCHAR", time="TIMESTAMP_NTZ"))
    house.fill("ORDERS", values())
    yield SourceUnderTest(
        name="snowflake",
        open=lambda: open_source("shop", "snowflake", house.dsn, use_cached_result="false"),
        execute=house.run,
        orders="PUBLIC.ORDERS",
        empty="PUBLIC.EMPTY_ORDERS",
        spell=str.upper,
    )
