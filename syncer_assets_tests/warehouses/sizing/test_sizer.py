"""A warehouse is larger for a load, and as it was found afterwards: on the double of Snowflake, which keeps sizes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import Size, SizeRules, SizeStep, Usage
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import VirtualWarehouse
from syncer_assets_tests.servers import poll

RULES = SizeRules((SizeStep("SMALL", 1), SizeStep("LARGE")), restore_after=timedelta(seconds=60))
MANY = 10 * 2**20

HOLD = """
import sys, time
from datetime import timedelta
from syncer_assets.model.report import silent
from syncer_assets.model.sizing import SizeRules, SizeStep
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
rules = SizeRules((SizeStep("LARGE"),), restore_after=timedelta(seconds=float(sys.argv[2])))
with SnowflakeWarehouse("w", sys.argv[1], sizing=rules).sized(1, run_id="killed", emit=silent):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def compute(snowflake_double: SnowflakeDouble) -> Iterator[VirtualWarehouse]:
    """The virtual warehouse of the DSN, as new."""
    fresh = VirtualWarehouse("LOADING")
    snowflake_double.account.warehouses["LOADING"] = fresh
    yield fresh
    snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")


@pytest.fixture
def dsn(snowflake_double: SnowflakeDouble, compute: VirtualWarehouse) -> str:
    return snowflake_double.dsn(snowflake_double.account.create_database())


@pytest.fixture
def sized(dsn: str) -> SnowflakeWarehouse:
    return SnowflakeWarehouse("w", dsn, sizing=RULES)


def test_a_load_gets_its_size_and_gives_it_back(sized: SnowflakeWarehouse, compute: VirtualWarehouse) -> None:
    with sized.sized(MANY, run_id="r", emit=silent) as usage:
        assert compute.size == "Large"
    assert (compute.size, compute.resized) == ("X-Small", ["LARGE", "XSMALL"])
    assert usage.found == Size("XSMALL") and usage.seconds["LARGE"] > 0
    assert usage.facts()["credits_estimated"] == pytest.approx(usage.seconds["LARGE"] / 3600 * 8, abs=1e-6)


def test_the_bytes_of_the_load_choose_the_size(sized: SnowflakeWarehouse, compute: VirtualWarehouse) -> None:
    with sized.sized(2**20, run_id="r", emit=silent):
        assert compute.size == "Small"


def test_acceleration_is_set_and_put_back(dsn: str, compute: VirtualWarehouse) -> None:
    warehouse = SnowflakeWarehouse("w", dsn, sizing=replace(RULES, acceleration=4))
    with warehouse.sized(MANY, run_id="r", emit=silent):
        assert (compute.size, compute.acceleration) == ("Large", 4)
    assert (compute.size, compute.acceleration) == ("X-Small", None)


@pytest.mark.parametrize("error", [DbError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_the_size_is_restored_after_a_failure(
    sized: SnowflakeWarehouse, compute: VirtualWarehouse, error: BaseException
) -> None:
    with pytest.raises(type(error)), sized.sized(MANY, run_id="r", emit=silent):
        assert compute.size == "Large"
        raise error
    assert compute.size == "X-Small"


def test_a_warehouse_that_is_larger_already_stays(sized: SnowflakeWarehouse, compute: VirtualWarehouse) -> None:
    compute.size = "2X-Large"
    with sized.sized(MANY, run_id="r", emit=silent):
        assert compute.size == "2X-Large"
    assert (compute.size, compute.resized) == ("2X-Large", [])


def test_two_at_once_do_not_shrink_each_other(sized: SnowflakeWarehouse, compute: VirtualWarehouse) -> None:
    with sized.sized(MANY, run_id="first", emit=silent):
        with sized.sized(1, run_id="second", emit=silent):
            assert compute.size == "Large"
        assert compute.size == "Large"
    assert compute.size == "X-Small"


def test_the_last_one_restores_whoever_came_first(sized: SnowflakeWarehouse, compute: VirtualWarehouse) -> None:
    small, large = sized.sized(1, run_id="a", emit=silent), sized.sized(MANY, run_id="b", emit=silent)
    small.__enter__()
    large.__enter__()
    large.__exit__(None, None, None)
    assert compute.size == "Small"
    small.__exit__(None, None, None)
    assert (compute.size, compute.resized) == ("X-Small", ["SMALL", "LARGE", "SMALL", "XSMALL"])


def test_many_at_once_end_where_it_was_found(dsn: str, compute: VirtualWarehouse) -> None:
    failures: list[BaseException] = []
    warehouses = [SnowflakeWarehouse("w", dsn, sizing=RULES) for _ in range(4)]
    for warehouse in warehouses:  # the double cannot look for the table while another one makes it
        with warehouse.sized(0, run_id="first", emit=silent):
            pass

    def work(number: int) -> None:
        try:
            with warehouses[number].sized(number * MANY, run_id=str(number), emit=silent):
                assert compute.size == ("Large" if number else compute.size)
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for number in range(4):  # as the sensor does: the double refuses a statement now and then where Snowflake waits
        warehouses[number].restore_size(str(number), emit=silent)
    assert compute.size == "X-Small"


def test_a_size_that_cannot_be_restored_is_told_and_restored_by_the_next(
    sized: SnowflakeWarehouse, compute: VirtualWarehouse
) -> None:
    told: list[str] = []
    with sized.sized(MANY, run_id="r", emit=lambda event, **_: told.append(event)) as usage:
        compute.refuses = True
    assert (compute.size, told[-1]) == ("Large", "warehouse size not restored")
    assert "could not be restored" in str(usage.facts()["sizing_problem"])
    compute.refuses = False
    with sized.sized(1, run_id="next", emit=silent) as after:
        assert compute.size == "Small"
    assert (compute.size, after.found) == ("X-Small", Size("XSMALL"))


@pytest.fixture
def killed(dsn: str, compute: VirtualWarehouse) -> Iterator[Any]:
    """Starts a process that holds LARGE, and ends it by a signal; `silent_for` is its `restore_after`."""
    started: list[subprocess.Popen[str]] = []

    def kill(signal_number: int, silent_for: float) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, dsn, str(silent_for)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert compute.size == "Large"
        process.send_signal(signal_number)
        process.wait(timeout=120)

    yield kill
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_sigterm_restores_the_size(killed: Any, compute: VirtualWarehouse) -> None:
    killed(signal.SIGTERM, 60)
    assert compute.size == "X-Small"


def test_after_a_kill_the_next_load_restores_the_size(dsn: str, killed: Any, compute: VirtualWarehouse) -> None:
    killed(signal.SIGKILL, 60)
    assert compute.size == "Large"
    warehouse = SnowflakeWarehouse("w", dsn, sizing=replace(RULES, restore_after=timedelta(seconds=1)))

    def restored() -> bool:
        with warehouse.sized(1, run_id="next", emit=silent):
            pass
        return compute.size == "X-Small"

    poll(restored, deadline_seconds=60)


def test_a_holder_that_is_alive_is_not_counted_out(
    sized: SnowflakeWarehouse, killed: Any, compute: VirtualWarehouse
) -> None:
    killed(signal.SIGKILL, 60)
    with sized.sized(1, run_id="next", emit=silent):
        pass
    assert compute.size == "Large"  # silent for less than `restore_after`: it may live


def test_after_a_kill_the_run_that_failed_is_counted_out_at_once(
    sized: SnowflakeWarehouse, killed: Any, compute: VirtualWarehouse
) -> None:
    killed(signal.SIGKILL, 60)
    assert sized.restore_size("killed", emit=silent)
    assert compute.size == "X-Small"
    assert sized.restore_size("killed", emit=silent)
    assert compute.resized == ["LARGE", "XSMALL"]


def test_a_heartbeat_keeps_a_long_load_alive(dsn: str, compute: VirtualWarehouse) -> None:
    rules = replace(RULES, restore_after=timedelta(seconds=8))
    long, short = (SnowflakeWarehouse("w", dsn, sizing=rules) for _ in range(2))
    with long.sized(MANY, run_id="long", emit=silent):
        ended = threading.Event()
        ended.wait(9)
        with short.sized(1, run_id="short", emit=silent):
            pass
        assert compute.size == "Large"
    assert compute.size == "X-Small"


def test_an_unknown_size_is_refused_before_anything_is_held(dsn: str, compute: VirtualWarehouse) -> None:
    warehouse = SnowflakeWarehouse("w", dsn, sizing=SizeRules((SizeStep("HUGE"),)))
    with pytest.raises(ConfigError, match="'HUGE' is no size"), warehouse.sized(1, run_id="r", emit=silent):
        pass
    assert compute.resized == []


def test_without_sizing_nothing_is_asked(dsn: str, snowflake_double: SnowflakeDouble) -> None:
    before = len(snowflake_double.statements)
    with SnowflakeWarehouse("w", dsn).sized(MANY, run_id="r", emit=silent) as usage:
        assert usage == Usage()
    assert len(snowflake_double.statements) == before
