"""Warehouse and maintenance follow the lake; costly checks run only when they are told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, TABLES
from syncer_assets_tests.components.deployments import write_defs

Requested = set[tuple[str, str | None]]


class Automation:
    """Evaluates the conditions as the daemon does, tick after tick, for one table."""

    def __init__(self, deployment: Deployment, instance: dg.DagsterInstance, name: str):
        self.table = deployment.select([name])[0]
        self.definitions, self.instance = deployment.definitions, instance
        self.assets = deployment.assets(self.table)
        self.cursor = None
        self.key = {
            "lake": self.table.lake_key,
            "warehouse": self.table.warehouse_key,
            "maintenance": self.table.maintenance_key,
        }

    def tick(self, now: datetime | None = None) -> Requested:
        result = dg.evaluate_automation_conditions(
            defs=self.definitions,
            instance=self.instance,
            asset_selection=dg.AssetSelection.assets(*self.key.values()),
            cursor=self.cursor,
            evaluation_time=now,
        )
        self.cursor = result.cursor
        found: Requested = set()
        for name, key in self.key.items():
            partitions = result.get_requested_partitions(key)
            found |= {(name, partition) for partition in partitions}
        return found

    def done(self, name: str, partition: str | None, *, passed: bool = True) -> None:
        """A run materialised the asset and evaluated its inline checks, as a stand-in for the real one."""
        real = next(asset for asset in self.assets if asset.key == self.key[name])

        @dg.asset(key=real.key, partitions_def=real.partitions_def, check_specs=list(real.check_specs))
        def fake() -> dg.MaterializeResult:
            results = [dg.AssetCheckResult(check_name=spec.name, passed=passed) for spec in real.check_specs]
            return dg.MaterializeResult(check_results=results)

        dg.materialize([fake], instance=self.instance, partition_key=partition, raise_on_error=False)

    @contextmanager
    def launched(self, name: str, partition: str | None) -> Iterator[None]:
        """A run of the asset was launched, and has done nothing yet."""
        real = next(asset for asset in self.assets if asset.key == self.key[name])

        @dg.asset(key=real.key, partitions_def=real.partitions_def)
        def fake() -> None: ...

        job = dg.Definitions(assets=[fake]).resolve_implicit_global_asset_job_def()
        tags = {"dagster/partition": partition} if partition else None
        run = self.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTING)
        yield
        self.instance.report_run_canceled(run)

    def failed(self, name: str, partition: str | None) -> None:
        """A run failed to materialise the asset."""
        real = next(asset for asset in self.assets if asset.key == self.key[name])

        @dg.asset(key=real.key, partitions_def=real.partitions_def)
        def fake() -> None:
            raise dg.Failure("the warehouse is down", allow_retries=False)

        dg.materialize([fake], instance=self.instance, partition_key=partition, raise_on_error=False)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return load_deployment(write_defs(tmp_path / "defs", TABLES))


TABLE_AND_PARTITION = pytest.mark.parametrize(
    ("name", "partition"), [("orders", JANUARY), ("items", FIRST_ITEMS), ("prealerts", None), ("countries", None)]
)


@TABLE_AND_PARTITION
def test_the_warehouse_follows_the_lake_and_maintenance_the_warehouse(
    deployment: Deployment, instance: dg.DagsterInstance, name: str, partition: str | None
) -> None:
    instance.add_dynamic_partitions("shop__items", [FIRST_ITEMS, "000000000100-000000000199"])
    automation = Automation(deployment, instance, name)
    assert automation.tick() == set()
    for _ in range(2):  # the second time is a partition that was synced before: `eager()` would not see it
        automation.done("lake", partition)
        assert automation.tick() == {("warehouse", partition)}
        with automation.launched("warehouse", partition):
            assert automation.tick() == set(), "not repeated while it is under way"
        automation.done("warehouse", partition)
        assert automation.tick() == {("maintenance", None)}
        automation.done("maintenance", None)
        assert automation.tick() == set()


@TABLE_AND_PARTITION
def test_what_one_run_materialised_together_is_not_asked_for_again(
    deployment: Deployment, instance: dg.DagsterInstance, name: str, partition: str | None
) -> None:
    instance.add_dynamic_partitions("shop__items", [FIRST_ITEMS])
    automation = Automation(deployment, instance, name)
    automation.tick()
    for asset in ("lake", "warehouse", "maintenance"):
        automation.done(asset, None if asset == "maintenance" else partition)
    assert automation.tick() == set()


@TABLE_AND_PARTITION
def test_an_update_right_after_a_request_is_not_lost(
    deployment: Deployment, instance: dg.DagsterInstance, name: str, partition: str | None
) -> None:
    """Trigger and reset fall on one tick; the later one must win."""
    instance.add_dynamic_partitions("shop__items", [FIRST_ITEMS])
    automation = Automation(deployment, instance, name)
    automation.tick()
    automation.done("lake", partition)
    assert ("warehouse", partition) in automation.tick()
    automation.done("lake", partition)
    assert ("warehouse", partition) in automation.tick(), "updated after the request"
    automation.done("warehouse", partition)
    automation.done("lake", partition)
    assert ("warehouse", partition) in automation.tick(), "updated after the load"
    automation.done("lake", partition)
    automation.done("warehouse", partition)
    assert ("warehouse", partition) not in automation.tick(), "loaded after the update"


def test_a_load_that_failed_is_asked_for_again_each_quarter_of_an_hour(
    deployment: Deployment, instance: dg.DagsterInstance
) -> None:
    automation = Automation(deployment, instance, "orders")
    noon = datetime(2026, 6, 10, 12, 1, 30, tzinfo=UTC)
    automation.tick(noon)
    automation.done("lake", JANUARY)
    assert automation.tick(noon + timedelta(minutes=1)) == {("warehouse", JANUARY)}
    automation.failed("warehouse", JANUARY)
    asked = [minute for minute in range(2, 33) if automation.tick(noon + timedelta(minutes=minute))]
    assert asked == [14, 29]


def test_a_red_blocking_check_holds_the_load_back(deployment: Deployment, instance: dg.DagsterInstance) -> None:
    automation = Automation(deployment, instance, "prealerts")
    automation.tick()
    automation.done("lake", None, passed=False)
    assert automation.tick() == set()
    automation.done("lake", None)
    assert automation.tick() == {("warehouse", None)}
