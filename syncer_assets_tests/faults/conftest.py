"""A job with its databases and lake, for each test of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer_assets_tests.faults.job import STARTED, Job, make_tables
from syncer_assets_tests.servers import Database


@pytest.fixture
def job(source_db: Database, warehouse_db: Database, lake_dir: Path) -> Job:
    """A source with rows; nothing was read yet."""
    make_tables(source_db)
    return Job(source_db.dsn, f"file://{lake_dir}", warehouse_db.dsn)


@pytest.fixture(autouse=True)
def no_child_survives() -> Iterator[None]:
    """A test that failed must not leave a stopped process behind."""
    yield
    while STARTED:
        child = STARTED.pop()
        child.kill()
        child.communicate()
