"""Maintenance and the check `bloat` as a person sees them, and the sensor that repairs what the check asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime, time

import dagster as dg
import pytest

from syncer_assets.assets import repairs
from syncer_assets.assets.bloat import BLOAT, REPAIR_ASKED, judge
from syncer_assets.assets.maintenance import AS_DECLARED
from syncer_assets.assets.repairs import REPAIRS
from syncer_assets.assets.requests import ASSET_JOB
from syncer_assets.components.deployment import Deployment
from syncer_assets.model.upkeep import BloatLimits, BloatReport, RelationBloat, RepairWindow
from syncer_assets_tests.assets.results import checks, failure, metadata
from syncer_assets_tests.components.deployments import deploy
from syncer_assets_tests.servers import Database

TABLES = """
- table: public.orders
  cursor: id
  indexes: [{expression: "lower(status)"}, {columns: [status], where: "id > 5"}]
  storage: {fillfactor: 90}
  bloat: {warn: {percent: 30, mb: 0.2}, act: {percent: 50, mb: 0.2}, error: {percent: 60, mb: 0.5}}
  repair: {window: "01:00-05:00", timezone: Europe/Berlin, lock_timeout: 1s}
- {table: public.plain, cursor: id}
"""
BLOATED = """

CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text) WITH (autovacuum_enabled = false);
INSERT INTO shop.orders SELECT i, 'new' FROM generate_series(1, 20000) i;
CREATE INDEX ON shop.orders (id, status);
UPDATE shop.orders SET status = 'old';
UPDATE shop.orders SET status = 'older';
UPDATE shop.orders SET status = 'oldest';
ANALYZE shop.orders;
"""
NIGHT, NOON = datetime(2099, 6, 10, 1, 30, tzinfo=UTC), datetime(2099, 6, 10, 12, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """On disk: requests of a sensor are resolved only by an instance that other processes could open."""
    with dg.instance_for_test() as on_disk:
        yield on_disk


class Orders:
    """The bloated table of a warehouse, with what can be done to it."""

    def __init__(self, deployment: Deployment, warehouse: Database, instance: dg.DagsterInstance):
        self.deployment, self.warehouse, self.instance = deployment, warehouse, instance
        self.table = deployment.select(["orders"])[0]

    def maintain(
        self, config: dict[str, object] | None = None, tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        asset = self.deployment.assets(self.table)[-1]
        name = self.table.maintenance_key.to_python_identifier()
        return dg.materialize(
            [asset],
            selection=dg.AssetSelection.assets(asset),
            instance=self.instance,
            raise_on_error=False,
            tags=tags,
            run_config={"ops": {name: {"config": config}}} if config else None,
        )

    def check(self) -> dg.AssetCheckEvaluation:
        chosen = [c for c in self.deployment.checks(self.table) if {key.name for key in c.check_keys} == {BLOAT}]
        result = dg.materialize(chosen, selection=dg.AssetSelection.checks(*chosen), instance=self.instance)
        return result.get_asset_check_evaluations()[0]

    def carry_out(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Runs the job that the daemon would launch."""
        job = self.deployment.definitions.get_repository_def().get_job(ASSET_JOB)
        chosen = job.get_subset(
            asset_selection=set(request.asset_selection or ()),
            asset_check_selection=set(request.asset_check_keys or ()),
        )
        return chosen.execute_in_process(run_config=request.run_config, instance=self.instance, tags=request.tags)

    def tick(self) -> list[dg.RunRequest]:
        """Evaluates the deployment's sensor as the daemon does."""
        repository = self.deployment.definitions.get_repository_def()
        context = dg.build_sensor_context(
            instance=self.instance,
            definitions=self.deployment.definitions,
            resources=self.deployment.connections.resources(),
            instance_ref=self.instance.get_ref(),
        )
        data = repository.get_sensor_def(REPAIRS).evaluate_tick(context)
        self.skipped = data.skip_message
        return list(data.run_requests or [])


@pytest.fixture
def orders(tmp_path, monkeypatch: pytest.MonkeyPatch, warehouse_db: Database, instance: dg.DagsterInstance) -> Orders:
    warehouse_db.execute(BLOATED)
    return Orders(deploy(tmp_path, TABLES, monkeypatch, warehouse=warehouse_db), warehouse_db, instance)


def test_a_person_materialises_maintenance(orders: Orders) -> None:
    result = orders.maintain()
    assert result.success
    found = metadata(result, orders.table.maintenance_key)
    assert (found["mode"], found["analyzed"], found["vacuumed"], found["indexes_created"]) == (
        "analyze",
        "true",
        "false",
        2,
    )
    assert found["storage_set"] == "fillfactor: unset -> 90"
    assert found["bytes_after"] == found["size_bytes"]
    assert checks(result, orders.table.maintenance_key) == {AS_DECLARED: False}, "autovacuum is off, undeclared"
    (evaluation,) = result.get_asset_check_evaluations()
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert evaluation.description == "storage autovacuum_enabled = false is set, and not declared"
    orders.warehouse.execute("ALTER TABLE shop.orders RESET (autovacuum_enabled)")
    assert checks(orders.maintain(), orders.table.maintenance_key) == {AS_DECLARED: True}


def test_what_nobody_asked_for_is_analyzed_only_when_it_is_due(orders: Orders) -> None:
    orders.maintain()
    again = orders.maintain(tags={"dagster/from_automation_condition": "true"})
    found = metadata(again, orders.table.maintenance_key)
    assert found["analyzed"] == "false"
    assert found["skipped"] == "ANALYZE: 0.0 % of the rows changed since the last one, and 5 % are needed"
    assert metadata(orders.maintain(), orders.table.maintenance_key)["analyzed"] == "true"


def test_a_lock_that_is_held_fails_the_step_with_what_to_do(orders: Orders) -> None:
    assert orders.maintain().success
    with orders.warehouse.connect(autocommit=False) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM shop.orders")
        result = orders.maintain({"mode": "repair"})
    assert not result.success
    said = failure(result, orders.table.maintenance_key.to_python_identifier())
    assert "kept" in said and "Fix: end the long transaction, or raise `repair.lock_timeout`" in said


def test_the_check_asks_the_sensor_requests_the_run_repairs(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs, "clock", lambda: NIGHT)
    assert orders.tick() == []
    assert orders.skipped == "no check asks for a repair"

    before = orders.check()
    assert not before.passed and before.severity == dg.AssetCheckSeverity.ERROR
    assert before.metadata[REPAIR_ASKED].value == "true"
    assert float(str(before.metadata["worst_index_bloat_percent"].value)) > 50
    assert "index orders_pkey wastes" in (before.description or "")

    monkeypatch.setattr(repairs, "clock", lambda: NOON)
    assert orders.tick() == []
    assert orders.skipped == "outside of the repair windows"

    monkeypatch.setattr(repairs, "clock", lambda: NIGHT)
    (request,) = orders.tick()
    assert [again.run_key for again in orders.tick()] == [request.run_key], "one run an evaluation"
    assert request.asset_selection == [orders.table.maintenance_key]
    assert [key.name for key in request.asset_check_keys or []] == [AS_DECLARED]
    config = request.run_config["ops"][orders.table.maintenance_key.to_python_identifier()]["config"]
    assert config == {"mode": "repair", "until": "2099-06-10T03:00:00+00:00"}

    result = orders.carry_out(request)
    found = metadata(result, orders.table.maintenance_key)
    assert found["indexes_rebuilt"] == 2
    assert int(str(found["bytes_reclaimed"])) > 1_000_000
    assert found["bytes_reclaimed"] == int(str(found["bytes_before"])) - int(str(found["bytes_after"]))

    after = orders.check()
    assert after.metadata[REPAIR_ASKED].value == "false"
    assert float(str(after.metadata["index_bloat_bytes"].value)) < 0.1 * float(
        str(before.metadata["index_bloat_bytes"].value)
    )
    assert orders.tick() == []


def test_no_rebuild_is_begun_after_the_window(orders: Orders) -> None:
    result = orders.maintain({"mode": "repair", "until": "2026-06-10T03:00:00+00:00"})
    found = metadata(result, orders.table.maintenance_key)
    assert found["indexes_rebuilt"] == 0
    assert "index orders_pkey: the repair window has ended" in str(found["skipped"])


def test_a_deployment_without_a_window_has_no_such_sensor(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = deploy(tmp_path, "- {table: public.plain, cursor: id}", monkeypatch)
    assert not deployment.definitions.get_repository_def().has_sensor_def(REPAIRS)


@pytest.mark.parametrize(
    ("window", "moment", "inside", "end"),
    [
        ("01:00-05:00 UTC", "2026-06-10T01:00", True, "2026-06-10T05:00"),
        ("01:00-05:00 UTC", "2026-06-10T05:00", False, "2026-06-11T05:00"),
        ("22:00-04:00 UTC", "2026-06-10T23:30", True, "2026-06-11T04:00"),
        ("22:00-04:00 UTC", "2026-06-10T03:59", True, "2026-06-10T04:00"),
        ("22:00-04:00 UTC", "2026-06-10T12:00", False, "2026-06-11T04:00"),
        ("01:00-05:00 Europe/Berlin", "2026-06-10T03:30", False, "2026-06-11T03:00"),
        ("01:00-05:00 Europe/Berlin", "2026-01-10T03:30", True, "2026-01-10T04:00"),
        ("01:00-05:00 Europe/Berlin", "2026-03-29T00:30", True, "2026-03-29T03:00"),  # the night of summer time
    ],
)
def test_a_window_is_counted_on_the_clocks_of_its_zone(window: str, moment: str, inside: bool, end: str) -> None:
    hours, zone = window.split()
    start, stop = (time.fromisoformat(hour) for hour in hours.split("-"))
    found = RepairWindow(start, stop, zone)
    at = datetime.fromisoformat(f"{moment}+00:00")
    assert found.contains(at) == inside
    assert found.end_after(at) == datetime.fromisoformat(f"{end}+00:00")


GB = 2**30


@pytest.mark.parametrize(
    ("relations", "not_judged", "passed", "severity", "asked"),
    [
        ((RelationBloat("i", True, GB, 0.1 * GB, ""),), (), True, "WARN", "false"),
        ((RelationBloat("i", True, GB, 0.4 * GB, ""),), (), False, "WARN", "false"),
        ((RelationBloat("i", True, GB, 0.6 * GB, ""),), (), False, "WARN", "true"),
        ((RelationBloat("i", True, 2 * GB, 1.5 * GB, ""),), (), False, "ERROR", "true"),
        ((RelationBloat("t", False, 2 * GB, 1.5 * GB, ""),), (), False, "ERROR", "false"),
        ((RelationBloat("i", True, GB, 0, ""),), ("h: hash",), False, "WARN", "false"),
        ((), (), False, "WARN", "false"),
    ],
)
def test_levels_become_severities(
    relations: tuple[RelationBloat, ...], not_judged: tuple[str, ...], passed: bool, severity: str, asked: str
) -> None:
    """A heap never asks for a repair, which could not help it; what is not judged is no pass."""
    result = judge(BloatReport(relations, not_judged), BloatLimits())
    assert (result.passed, result.severity.value) == (passed, severity)
    assert result.metadata[REPAIR_ASKED].value == asked
    assert result.description
