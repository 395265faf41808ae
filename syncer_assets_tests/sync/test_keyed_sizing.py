"""A keyed update's source is larger while batches are fetched, and as it was found whatever becomes of the run.

Rows come from the double to read from, which has no transactions; the virtual warehouse is that of the other one.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.warehouses.registry import open_sizer
from syncer_assets.warehouses.sizing import Sizer
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import VirtualWarehouse
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.sources.snowflake.double import House
from syncer_assets_tests.sync.keyed import ROWS, SPEC, Visits

RULES = SizeRules((SizeStep("SMALL", 0.01), SizeStep("LARGE")))


@pytest.fixture
def compute(snowflake_double: SnowflakeDouble) -> Iterator[VirtualWarehouse]:
    fresh = snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")
    yield fresh
    snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")


@pytest.fixture
def book(snowflake_double: SnowflakeDouble) -> str:
    """A database of the account for sizes: the source's role may only read its own."""
    return snowflake_double.account.create_database()


@pytest.fixture
def sizer(snowflake_double: SnowflakeDouble, compute: VirtualWarehouse, book: str) -> Sizer:
    dsn = snowflake_double.dsn(snowflake_double.account.create_database())
    return open_sizer("source house", "snowflake", dsn, replace(RULES, book=book))


@pytest.fixture
def visits(house: House, warehouse_db: Database) -> Visits:
    return Visits.create(house, warehouse_db)


def written(double: SnowflakeDouble, book: str) -> list[tuple]:
    return double.query(book, 'SELECT resource, holder, run_id, size FROM "_SYNCER"."SIZING" ORDER BY 2')


def test_it_is_sized_by_what_is_fetched_and_told(
    visits: Visits, sizer: Sizer, compute: VirtualWarehouse, snowflake_double: SnowflakeDouble, book: str
) -> None:
    report = visits.update(sizer=sizer)
    assert (report.counts.updated, compute.size, compute.resized) == (ROWS, "X-Small", ["LARGE", "XSMALL"])
    assert report.source_effort["size_found"] == "XSMALL" and float(report.source_effort["seconds_at_LARGE"]) > 0
    assert written(snowflake_double, book) == [("LOADING", "", "", None)]
    few = visits.update(replace(SPEC, prefixes=("SSN0000",)), sizer=sizer)
    assert 0 < few.counts.fetched < ROWS / 5 and compute.resized[2:] == ["SMALL", "XSMALL"]


def test_nothing_to_fetch_changes_nothing_but_puts_back_what_was_left(
    visits: Visits, sizer: Sizer, compute: VirtualWarehouse, snowflake_double: SnowflakeDouble, book: str
) -> None:
    held = sizer.sized(10**9, run_id="killed", emit=silent)
    held.__enter__()
    snowflake_double.query(book, 'UPDATE "_SYNCER"."SIZING" SET heartbeat_at = 0')  # long ago
    visits.house.double.duckdb(f"DELETE FROM {visits.house.name}.PUBLIC.VISITS")
    report = visits.update(sizer=sizer)
    assert (report.batches, compute.resized) == (0, ["LARGE", "XSMALL"])
    assert "size_found" not in report.source_effort
    held.__exit__(None, None, None)


def test_an_update_that_fails_gives_its_size_back(visits: Visits, sizer: Sizer, compute: VirtualWarehouse) -> None:
    visits.database.execute("ALTER TABLE visits ADD CHECK (status = 'old')")
    with pytest.raises(DbError, match="visits_status_check"):
        visits.update(sizer=sizer)
    assert (compute.size, compute.resized) == ("X-Small", ["LARGE", "XSMALL"])


def test_a_load_that_shares_the_compute_is_not_shrunk(
    visits: Visits, sizer: Sizer, compute: VirtualWarehouse, snowflake_double: SnowflakeDouble, book: str
) -> None:
    """The book counts both: a warehouse of that database, and the source that names it."""
    rules = SizeRules((SizeStep("XLARGE"),))
    warehouse = SnowflakeWarehouse("w", snowflake_double.dsn(book), sizing=rules)
    with warehouse.sized(1, run_id="load", emit=silent):
        visits.update(sizer=sizer)
        assert (compute.size, compute.resized) == ("X-Large", ["XLARGE"])
    assert compute.resized == ["XLARGE", "XSMALL"]
    warehouse.close()


@pytest.mark.server
def test_a_killed_update_s_size_is_given_back_by_its_run_s_id(
    visits: Visits, sizer: Sizer, compute: VirtualWarehouse, snowflake_double: SnowflakeDouble, book: str
) -> None:
    """Which is what the sensor `sizes` does; the next update fetches what is left."""
    program = [sys.executable, "-m", "syncer_assets_tests.sync.keyed", visits.house.dsn, visits.database.dsn]
    visits.house.double.slow_down(0.5)
    process = subprocess.Popen([*program, snowflake_double.dsn(book)])
    try:
        poll(lambda: compute.size == "Large" or process.poll() is not None, deadline_seconds=90)
    finally:
        process.kill()
        process.wait()
        visits.house.double.slow_down(0)
    assert compute.size == "Large"
    assert [row[2:] for row in written(snowflake_double, book)] == [("", "XSMALL"), ("killed", "LARGE")]
    assert sizer.restore("another", silent) is False
    assert sizer.restore("killed", silent) is True
    assert (compute.size, compute.resized) == ("X-Small", ["LARGE", "XSMALL"])
    visits.update(sizer=sizer)
    assert visits.different() == 0 and compute.size == "X-Small"
