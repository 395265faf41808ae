"""Schedules declared in YAML request what their tables have to read, even where the source does not answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.requests import ASSET_JOB
from syncer_assets.components.deployment import Deployment
from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, NEXT_ITEMS, SHOP, TABLES
from syncer_assets_tests.components.deployments import deploy
from syncer_assets_tests.servers import Database

ALL, OWN = "sync__shop__analytics__shop", "sync__shop__analytics__shop__lists"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """On disk, as the sensors' tests need it too."""
    with dg.instance_for_test() as on_disk:
        yield on_disk


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_db: Database) -> Deployment:
    source_db.execute(SHOP + "CREATE TABLE lists (id int);")
    tables = TABLES + "- {table: public.lists, load: replace, schedule: {cron: '5 4 * * *', timezone: Europe/Berlin}}\n"
    return deploy(tmp_path, tables, monkeypatch, source=source_db, head='schedule: "0 2 * * *"\n')


def tick(
    deployment: Deployment, instance: dg.DagsterInstance, name: str, moment: datetime
) -> dict[tuple[str, str | None], dg.RunRequest]:
    repository = deployment.definitions.get_repository_def()
    schedule = repository.get_schedule_def(name)
    assert schedule.job_name == ASSET_JOB
    with dg.build_schedule_context(
        instance=instance,
        instance_ref=instance.get_ref(),
        scheduled_execution_time=moment,
        resources=deployment.connections.resources(),
        repository_def=repository,
    ) as context:
        data = schedule.evaluate_tick(context)
    requests = list(data.run_requests or [])
    assert len({request.run_key for request in requests}) == len(requests)
    found = {}
    for request in requests:
        assert request.asset_selection
        found[request.asset_selection[0].path[-1], request.partition_key] = request
    return found


def test_a_tick_requests_the_current_and_every_pending_partition(
    deployment: Deployment, instance: dg.DagsterInstance
) -> None:
    requests = tick(deployment, instance, ALL, datetime(2024, 4, 15, 2, tzinfo=UTC))
    assert requests.keys() == {
        ("orders", JANUARY),
        ("orders", "2024-02-01"),
        ("orders", "2024-04-01"),
        ("items", FIRST_ITEMS),
        ("items", NEXT_ITEMS),
        ("prealerts", None),
        ("countries", None),
    }
    assert instance.get_dynamic_partitions("shop__items") == [FIRST_ITEMS, NEXT_ITEMS]


def test_a_request_is_for_all_assets_with_their_inline_checks_and_not_a_persons(
    deployment: Deployment, instance: dg.DagsterInstance
) -> None:
    request = tick(deployment, instance, ALL, datetime(2024, 4, 15, 2, tzinfo=UTC))["countries", None]
    keys = [key.to_user_string() for key in request.asset_selection or []]
    assert keys == ["lake/shop/countries", "analytics/shop/countries", "maintenance/analytics/shop/countries"]
    assert sorted({check.name for check in request.asset_check_keys or []}) == [
        "as_declared",
        "cursor_protected",
        "reached_ceiling",
        "row_count",
        "rows_outside_partitions",
    ]
    assert request.tags["syncer/asked_by_person"] == "false"


def test_a_table_with_a_schedule_of_its_own_is_in_no_other(
    deployment: Deployment, instance: dg.DagsterInstance
) -> None:
    schedule = deployment.definitions.get_repository_def().get_schedule_def(OWN)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 4 * * *", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    requests = tick(deployment, instance, OWN, datetime(2024, 4, 15, 2, tzinfo=UTC))
    assert requests.keys() == {("lists", None)}


def test_a_source_that_does_not_answer_is_requested_all_the_same(
    deployment: Deployment, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2024, 4, 15, 2, tzinfo=UTC)
    tick(deployment, instance, ALL, moment)
    monkeypatch.delenv("TEST_SHOP_DSN")
    assert tick(deployment, instance, ALL, moment).keys() == {
        ("orders", "2024-04-01"),
        ("items", NEXT_ITEMS),
        ("prealerts", None),
        ("countries", None),
    }
