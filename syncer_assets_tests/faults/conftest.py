"""A job with its databases and lake, for each test of its own; and the seeds of those that draw."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer_assets_tests.faults.job import STARTED, Job, make_tables
from syncer_assets_tests.faults.pair import PostgresPair
from syncer_assets_tests.servers import Database


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`seed`: 0, 1, .. below $SYNCER_FAULT_SEEDS, which `make faults` sets; one seed without it."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(int(os.environ.get("SYNCER_FAULT_SEEDS", "1"))))


@pytest.fixture
def job(source_db: Database, warehouse_db: Database, lake_dir: Path) -> Job:
    """A source with rows; nothing was read yet. The job runs under the roles of docs/privileges.md."""
    make_tables(source_db)
    return Job(source_db.dsn, f"file://{lake_dir}", warehouse_db.dsn)


@pytest.fixture(scope="session")
def streaming_pair() -> Iterator[PostgresPair]:
    with PostgresPair() as pair:
        yield pair


@pytest.fixture
def pair(streaming_pair: PostgresPair) -> PostgresPair:
    """A primary and its standby, which streams, whatever the test before has done to them."""
    streaming_pair.heal()
    return streaming_pair


@pytest.fixture(autouse=True)
def no_child_survives() -> Iterator[None]:
    """A test that failed must not leave a stopped process behind."""
    yield
    while STARTED:
        child = STARTED.pop()
        child.kill()
        child.communicate()
