"""What a load took, from the query history, and what is advised by it."""

import pytest

from syncer_assets.model.report import silent
from syncer_assets.model.server import ServerSize
from syncer_assets.model.table import IndexSpec
from syncer_assets.model.upkeep import BloatLimits, MaintenanceRequest, Upkeep
from syncer_assets.warehouses.snowflake.history import Facts, advice
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import FIGURES
from syncer_assets_tests.warehouses.contract.under_test import Loads

CALM: Facts = {
    "statement_seconds": 100.0,
    "execution_seconds": 90.0,
    "queued_seconds": 0.0,
    "warehouse_size": "Large",
    "partitions_scanned": 10,
    "partitions_total": 1000,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"bytes_spilled_remote": 5_000}, "larger: 5000 bytes were spilled to remote storage"),
        ({"queued_seconds": 40.0}, "its own warehouse, or more clusters: 40 s of 100 s were spent in the queue"),
        ({"queued_seconds": 4.0, "statement_seconds": 5.0}, ""),
        ({"partitions_scanned": 950}, "CLUSTER BY the key: 950 of 1000 partitions were read to write 10 rows"),
        ({"partitions_scanned": 95, "partitions_total": 99}, ""),
        ({"execution_seconds": 2.0}, "smaller: all statements ran in 2.0 s"),
        ({"execution_seconds": 2.0, "warehouse_size": "X-Small"}, ""),
    ],
)
def test_the_advice_follows_its_rules(change: Facts, said: str) -> None:
    assert advice(CALM | change, rows_written=10, rows_in_target=1_000_000) == said


def test_a_load_that_wrote_most_of_the_table_is_no_case_for_clustering() -> None:
    assert advice(CALM | {"partitions_scanned": 950}, rows_written=900_000, rows_in_target=1_000_000) == ""


def test_a_load_tells_what_it_took(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    snowflake_double.account.figures |= {"queued": 30_000, "spilled_remote": 77, "cached": 12.25}
    try:
        facts = orders.load([(1, "a")]).facts
    finally:
        snowflake_double.account.figures = dict(FIGURES)
    assert facts["queued_seconds"] == 30.0 and facts["bytes_scanned"] == 4096 * int(facts["statements"])
    assert (facts["bytes_spilled_remote"], facts["cache_hit_percent"]) == (77, 12.2)
    assert facts["warehouse_advice"] == "larger: 77 bytes were spilled to remote storage"
    assert facts["warehouse_size"] == "X-Small"


def test_a_history_that_cannot_be_asked_does_not_fail_a_load_that_is_done(
    orders: Loads, snowflake_double: SnowflakeDouble
) -> None:
    snowflake_double.account.figures = {}
    try:
        report = orders.load([(1, "a")])
    finally:
        snowflake_double.account.figures = dict(FIGURES)
    assert report.rows_inserted == 1 and str(report.facts["query_history"]).startswith("not available")


def test_upkeep_is_told_as_not_applicable_and_never_as_done(orders: Loads) -> None:
    upkeep = Upkeep(indexes=(IndexSpec(("status",)),), storage=(("fillfactor", "85"),))
    report = orders.warehouse.maintain(orders.target, upkeep, MaintenanceRequest("repair"), emit=silent)
    assert not report.analyzed and not report.vacuumed and not report.indexes_created
    assert "not applicable" in report.skipped[0] and len(report.drift) == 2
    bloat = orders.warehouse.bloat(orders.target, BloatLimits())
    assert bloat.relations == () and "not applicable" in bloat.not_judged[0]


def test_activity_is_told_by_the_catalogue(orders: Loads) -> None:
    from dataclasses import replace

    orders.load([(1, "a"), (2, "b")])
    here, missing = orders.warehouse.activity([orders.target, replace(orders.target, table="absent")])
    assert here.rows == 2
    assert (missing.rows, missing.bytes, missing.loads) == (None, None, None)
    storage, session = orders.warehouse.advise([orders.target], ServerSize())
    assert storage.passed and storage.metadata["database_bytes"] == here.bytes
    assert session.metadata["LOCK_TIMEOUT"] == 900
