"""The contract's parameters: each test of this folder runs against every source."""

from collections.abc import Iterator
from importlib import import_module

import pytest

from syncer_assets.sources.base import Source
from syncer_assets_tests.sources.contract.under_test import SourceUnderTest

SOURCES = {"postgres": "on_postgres", "mysql": "on_mysql", "snowflake": "on_snowflake"}
"""The module that opens it, see `under_test`."""


@pytest.fixture(params=SOURCES)
def under_test(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    module = import_module(f"{__package__}.{SOURCES[request.param]}")
    with module.opened(request) as opened:
        yield opened


@pytest.fixture
def source(under_test: SourceUnderTest) -> Iterator[Source]:
    source = under_test.open()
    yield source
    source.close()
