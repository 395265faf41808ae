"""The sensor `sizes` puts back what a killed run left large, a warehouse or a source: on the double of Snowflake."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.sizes import SIZES
from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.model.report import silent
from syncer_assets_tests.components.deployments import write_defs
from syncer_assets_tests.components.test_sizing_entry import TABLES, connections, of_source
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import VirtualWarehouse


@dg.op
def broken() -> None:
    raise dg.Failure("the worker is gone")


@dg.job
def load() -> None:
    broken()


@pytest.fixture
def compute(snowflake_double: SnowflakeDouble) -> Iterator[VirtualWarehouse]:
    fresh = snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")
    yield fresh
    snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")


@pytest.fixture
def deployment(tmp_path: Path, snowflake_double: SnowflakeDouble, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("TEST_ANALYTICS_DSN", snowflake_double.dsn(snowflake_double.account.create_database()))
    text = connections("snowflake", "{sizes: [{size: LARGE}]}")
    return load_deployment(write_defs(tmp_path / "defs", TABLES, connections=text))


def tick(deployment: Deployment, instance: dg.DagsterInstance, cursor: str | None) -> tuple[str | None, str | None]:
    """The next cursor, and why nothing was asked for."""
    context = dg.build_sensor_context(
        instance=instance,
        definitions=deployment.definitions,
        resources=deployment.connections.resources(),
        instance_ref=instance.get_ref(),
        cursor=cursor,
    )
    data = deployment.definitions.get_repository_def().get_sensor_def(SIZES).evaluate_tick(context)
    return data.cursor, data.skip_message


def test_a_run_that_failed_leaves_no_size_behind(deployment: Deployment, compute: VirtualWarehouse) -> None:
    with dg.instance_for_test() as instance:
        cursor, said = tick(deployment, instance, None)
        assert said == "no run ended badly"
        run = load.execute_in_process(instance=instance, raise_on_error=False)
        with deployment.warehouse("analytics").open() as warehouse:
            held = warehouse.sized(1, run_id=run.run_id, emit=silent)
            held.__enter__()  # and nobody leaves: the process was killed
            assert compute.size == "Large"
            cursor, said = tick(deployment, instance, cursor)
            assert (said, compute.size) == ("looked after 1 runs that ended badly", "X-Small")
            tick(deployment, instance, cursor)
            assert compute.resized == ["LARGE", "XSMALL"]
            held.__exit__(None, None, None)
        assert compute.resized == ["LARGE", "XSMALL"]


def test_a_source_s_size_is_put_back_too(
    tmp_path: Path, snowflake_double: SnowflakeDouble, compute: VirtualWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_SHOP_DSN", snowflake_double.dsn(snowflake_double.account.create_database()))
    text = of_source("snowflake", "{sizes: [{size: LARGE}]}")
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES, connections=text))
    with dg.instance_for_test() as instance:
        cursor, _ = tick(deployment, instance, None)
        run = load.execute_in_process(instance=instance, raise_on_error=False)
        sizer = deployment.source("shop").sizer()
        assert sizer is not None
        held = sizer.sized(1, run_id=run.run_id, emit=silent)
        held.__enter__()  # and nobody leaves: the process was killed
        assert compute.size == "Large"
        tick(deployment, instance, cursor)
        assert compute.resized == ["LARGE", "XSMALL"]
        held.__exit__(None, None, None)
