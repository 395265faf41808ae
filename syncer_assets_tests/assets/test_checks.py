"""Standalone checks run when they are told to, and do not ride along with every run of their asset."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.checks import CHECKSUM, FRESHNESS
from syncer_assets.assets.checksum import comparison_result
from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.sync.checksum import Comparison
from syncer_assets_tests.components.deployments import write_defs

TABLES = """
- {table: public.by_hand, cursor: id}
- {table: public.nightly, cursor: id, freshness: 1h, checksum: {cron: "0 3 * * *", timezone: Europe/Berlin}}
"""
MIDNIGHT = datetime(2026, 6, 10, 0, 5, tzinfo=UTC)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return load_deployment(write_defs(tmp_path / "defs", TABLES))


def test_checksum_runs_at_its_hour_and_freshness_hourly_or_daily(
    deployment: Deployment, instance: dg.DagsterInstance
) -> None:
    hours: dict[tuple[str, str], list[int]] = {}
    cursor = None
    for hour in range(25):
        result = dg.evaluate_automation_conditions(
            defs=deployment.definitions,
            instance=instance,
            asset_selection=dg.AssetSelection.all_asset_checks(),
            cursor=cursor,
            evaluation_time=MIDNIGHT + timedelta(hours=hour),
        )
        cursor = result.cursor
        for found in result.results:
            if isinstance(found.key, dg.AssetCheckKey) and found.true_subset.size:
                hours.setdefault((found.key.asset_key.path[-1], found.key.name), []).append(hour)
    assert hours == {
        ("nightly", CHECKSUM): [1],  # 03:00 in Berlin's summer
        ("nightly", FRESHNESS): list(range(1, 25)),
        ("by_hand", FRESHNESS): [6],
    }


def test_every_standalone_check_has_a_condition_of_its_own(deployment: Deployment) -> None:
    """Dagster lets a check without one ride along with each run of a backfill."""
    for table in deployment.tables:
        for check in deployment.checks(table):
            for spec in check.check_specs:
                assert spec.automation_condition is not None
        for asset in deployment.assets(table):
            for spec in asset.check_specs:
                assert spec.automation_condition is None


@pytest.mark.parametrize(("left_out", "told"), [((), ""), (("ratio", "email"), "; not compared: ratio, email")])
def test_checksum_names_the_columns_that_it_does_not_compare(left_out: tuple[str, ...], told: str) -> None:
    result = comparison_result(Comparison("orders", 7, 7, 17, 0, 0, 0, 0, 0, 0.1, columns_left_out=left_out))
    assert result.passed and result.description == f"7 rows equal in 17 buckets{told}"
    named = result.metadata.get("columns_left_out")
    assert (named.value if named else None) == (", ".join(left_out) or None)
