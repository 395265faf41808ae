"""The `new_rows` sensor requests what there is to read, once for each state, and holds on through failures."""

from collections.abc import Iterator

import dagster as dg
import pytest

from syncer_assets.assets import sensors
from syncer_assets.assets.requests import ASSET_JOB
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, NEXT_ITEMS, Shop

SENSOR = "new_rows__shop"
FEBRUARY = "2024-02-01"


class Ticks:
    """Evaluates the sensor as the daemon does, and carries out what it asks for."""

    def __init__(self, shop: Shop):
        self.shop = shop
        self.repository = shop.deployment.definitions.get_repository_def()
        self.sensor = self.repository.get_sensor_def(SENSOR)

    def tick(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(
            instance=self.shop.instance,
            definitions=self.shop.deployment.definitions,
            resources=self.shop.deployment.connections.resources(),
            instance_ref=self.shop.instance.get_ref(),
        )
        data = self.sensor.evaluate_tick(context)
        for request in data.dynamic_partitions_requests or []:
            assert isinstance(request, dg.AddDynamicPartitionsRequest)
            self.shop.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
        self.skipped = data.skip_message
        return list(data.run_requests or [])

    def carry_out(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        assert request.asset_selection is not None
        name = request.asset_selection[0].path[-1]
        tags = {key: value for key, value in request.tags.items() if not key.startswith("dagster/")}
        return self.shop.run(name, request.partition_key, tags=tags)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """On disk: an evaluation resolves dynamic partitions only by an instance that other processes could open."""
    with dg.instance_for_test() as on_disk:
        yield on_disk


@pytest.fixture
def ticks(shop: Shop) -> Ticks:
    return Ticks(shop)


def asked_in_order(requests: list[dg.RunRequest]) -> list[tuple[str, str | None]]:
    found = []
    for request in requests:
        assert request.asset_selection
        found.append((request.asset_selection[0].to_user_string(), request.partition_key))
    return found


def asked(requests: list[dg.RunRequest]) -> set[tuple[str, str | None]]:
    return set(asked_in_order(requests))


def test_the_implicit_job_has_the_name_that_the_sensor_targets(ticks: Ticks) -> None:
    """It is Dagster's own name, and no promise of theirs."""
    assert ticks.repository.has_job(ASSET_JOB)
    assert ticks.sensor.job_name == ASSET_JOB
    assert ticks.sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_the_first_tick_asks_for_every_partition_that_has_rows(ticks: Ticks) -> None:
    requests = ticks.tick()
    assert asked(requests) == {
        ("lake/shop/orders", JANUARY),
        ("lake/shop/orders", FEBRUARY),
        ("lake/shop/items", FIRST_ITEMS),
        ("lake/shop/items", NEXT_ITEMS),
        ("lake/shop/prealerts", None),
    }
    assert ticks.shop.instance.get_dynamic_partitions("shop__items") == [FIRST_ITEMS, NEXT_ITEMS]
    assert {request.tags["syncer/asked_by_person"] for request in requests} == {"false"}
    partitions = {request.tags.get("dagster/partition") for request in requests}
    assert partitions == {JANUARY, FEBRUARY, FIRST_ITEMS, NEXT_ITEMS, None}


def test_lake_and_warehouse_are_asked_for_together_without_the_costly_checks(ticks: Ticks) -> None:
    for request in ticks.tick():
        keys = [key.path[0] for key in request.asset_selection or []]
        assert keys == ["lake", "analytics"]
        assert {check.name for check in request.asset_check_keys or []}.isdisjoint({"checksum", "freshness"})


def test_a_table_with_many_partitions_holds_up_no_other(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "REQUESTS_PER_TICK", 3)
    assert [table for table, _ in asked_in_order(ticks.tick())] == [
        "lake/shop/orders",
        "lake/shop/items",
        "lake/shop/prealerts",
    ]


def test_the_same_state_is_the_same_request(ticks: Ticks) -> None:
    """Dagster makes one run of a run key."""
    first, second = ({request.run_key for request in ticks.tick()} for _ in range(2))
    assert first == second
    assert len(first) == 5


def test_nothing_is_asked_for_once_everything_is_read(ticks: Ticks) -> None:
    for request in ticks.tick():
        assert ticks.carry_out(request).success
    assert [request for request in ticks.tick() if "orders" not in str(request.run_key)] == []


def test_a_new_row_asks_for_its_partition_only(ticks: Ticks) -> None:
    for request in ticks.tick():
        assert ticks.carry_out(request).success
    ticks.shop.source.execute("SELECT setval('items_id_seq', 249); INSERT INTO items (sku) VALUES ('late')")
    requests = [request for request in ticks.tick() if "items" in str(request.run_key)]
    assert asked(requests) == {("lake/shop/items", NEXT_ITEMS), ("lake/shop/items", "000000000200-000000000299")}


def test_a_run_under_way_is_not_asked_for_again(ticks: Ticks) -> None:
    request = next(request for request in ticks.tick() if "prealerts" in str(request.run_key))
    job = ticks.repository.get_job(ASSET_JOB).get_subset(asset_selection=set(request.asset_selection or ()))
    run = ticks.shop.instance.create_run_for_job(job, tags=request.tags, status=dg.DagsterRunStatus.STARTED)
    assert ("lake/shop/prealerts", None) not in asked(ticks.tick())
    ticks.shop.instance.report_run_failed(run)


def test_a_failed_run_is_asked_for_again_under_a_new_key_after_a_wait(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def request() -> dg.RunRequest | None:
        return next((request for request in ticks.tick() if "prealerts" in str(request.run_key)), None)

    keys = set()
    for failures in range(1, 4):
        asked_for = request()
        assert asked_for is not None
        keys.add(asked_for.run_key)
        assert len(keys) == failures
        monkeypatch.setattr(sensors, "INTERVAL_SECONDS", 30)
        assert not fail(ticks, asked_for).success
        assert request() is None
        monkeypatch.setattr(sensors, "INTERVAL_SECONDS", 0)
    again = request()
    assert again is not None
    assert ticks.carry_out(again).success
    assert request() is None


def test_the_wait_doubles_up_to_a_quarter_of_an_hour() -> None:
    assert [sensors.wait_seconds(repeats) for repeats in range(8)] == [0, 30, 90, 210, 450, 900, 900, 900]


def fail(ticks: Ticks, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    """A run that fails without the waits of a real outage."""

    @dg.asset(key=ticks.shop.table("prealerts").lake_key)
    def fake_lake() -> None:
        raise dg.Failure("the source is down", allow_retries=False)

    return dg.materialize([fake_lake], instance=ticks.shop.instance, tags=request.tags, raise_on_error=False)


def test_a_table_that_cannot_be_read_holds_up_no_other(ticks: Ticks) -> None:
    ticks.shop.source.execute("DROP TABLE orders")
    assert ("lake/shop/prealerts", None) in asked(ticks.tick())


def test_a_source_that_cannot_be_reached_turns_the_tick_red(ticks: Ticks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_SHOP_DSN")
    with pytest.raises(ConfigError, match="TEST_SHOP_DSN is not set, which source 'shop' needs"):
        ticks.tick()
