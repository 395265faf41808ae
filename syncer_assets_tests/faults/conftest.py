"""A job with its databases and lake, for each test of its own."""

from pathlib import Path

import pytest

from syncer_assets_tests.faults.job import Job, make_tables
from syncer_assets_tests.servers import Database


@pytest.fixture
def job(source_db: Database, warehouse_db: Database, lake_dir: Path) -> Job:
    """A source with rows; nothing was read yet."""
    make_tables(source_db)
    return Job(source_db.dsn, f"file://{lake_dir}", warehouse_db.dsn)
