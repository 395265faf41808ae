"""The asset that compares a table with its source, and repairs it where a person or the YAML says so."""

from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.checks import CHECKSUM
from syncer_assets.assets.requests import ASSET_JOB
from syncer_assets.components.deployment import load_deployment
from syncer_assets_tests.assets.conftest import JANUARY, Shop
from syncer_assets_tests.assets.results import checks, failure, metadata
from syncer_assets_tests.components.deployments import write_defs

ORDERS = """
- table: public.orders
  cursor: updated_at
  partitions: {by: time, every: month, start: "2024-01-01"}
  deletes: hard
  settle_seconds: 0
  DECLARED
"""


def reconcile(shop: Shop, config: dict[str, object] | None = None) -> dg.ExecuteInProcessResult:
    """What a person does in the launchpad."""
    key = shop.table("orders").reconcile_key
    job = shop.deployment.definitions.resolve_implicit_global_asset_job_def()
    assert job.name == ASSET_JOB
    return job.execute_in_process(
        asset_selection=[key],
        instance=shop.instance,
        run_config={"ops": {key.to_python_identifier(): {"config": config}}} if config else None,
        raise_on_error=False,
    )


def checksum(shop: Shop) -> dg.AssetCheckEvaluation:
    """The check's last evaluation."""
    check = dg.AssetCheckKey(shop.table("orders").warehouse_key, CHECKSUM)
    [record] = shop.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert record.event is not None and record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_person_compares_and_then_repairs(shop: Shop) -> None:
    key = shop.table("orders").reconcile_key
    for partition in (JANUARY, "2024-02-01"):
        assert shop.run("orders", partition).success
    shop.warehouse.execute("UPDATE shop.orders SET status = 'y' WHERE id IN (1, 41)")
    compared = reconcile(shop)
    assert compared.success
    found = metadata(compared, key)
    assert (found["rows_changed"], found["rows_repaired"], found["equal"]) == (2, 0, "false")
    assert not checksum(shop).passed and checks(compared, key) == {"reconciled": False}
    repaired = metadata(reconcile(shop, {"repair": True}), key)
    assert (repaired["rows_changed"], repaired["rows_repaired"], repaired["equal"]) == (2, 2, "true")
    assert isinstance(speed := repaired["rows_per_second"], float) and speed > 0
    assert checksum(shop).passed
    assert shop.warehouse.scalar("SELECT count(*) FROM shop.orders WHERE status = 'y'") == 0


def test_a_repair_that_is_refused_is_red_and_says_what_to_do(shop: Shop) -> None:
    for partition in (JANUARY, "2024-02-01"):
        assert shop.run("orders", partition).success
    shop.source.execute("ALTER TABLE orders DROP COLUMN status")
    shop.warehouse.execute("DELETE FROM shop.orders WHERE id = 2")
    result = reconcile(shop, {"repair": True})
    assert not result.success
    assert "sync it once, then reconcile" in failure(result, shop.table("orders").reconcile_key.to_python_identifier())


@pytest.mark.parametrize(
    ("declared", "cron", "repair"),
    [
        ("", None, None),
        ('reconcile: "0 3 * * 0"', "0 3 * * 0", False),
        ('reconcile: {cron: "0 3 * * 0", timezone: Europe/Berlin, repair: true}', "0 3 * * 0", True),
        ("reconcile: {repair: true}", None, True),
    ],
)
def test_the_yaml_says_when_and_whether(tmp_path: Path, declared: str, cron: str | None, repair: bool | None) -> None:
    deployment = load_deployment(write_defs(tmp_path / "defs", ORDERS.replace("DECLARED", declared)))
    (table,) = deployment.tables
    asset = deployment.definitions.resolve_asset_graph().get(table.reconcile_key)
    assert asset.automation_condition is not None
    told = str(asset.automation_condition)
    if table.reconcile is None:
        assert repair is None
        return
    assert (table.reconcile.cron.expression if table.reconcile.cron else None, table.reconcile.repair) == (cron, repair)
    assert cron is None or cron in told
