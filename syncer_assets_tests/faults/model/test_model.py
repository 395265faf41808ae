"""The protocol under any order of writers, syncs, crashes, zombies and backfills; and the defects that it finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from syncer_assets.model.errors import SyncError
from syncer_assets_tests.faults.model.defects import DIRECTED, ENGINE, WEAK
from syncer_assets_tests.faults.model.machine import Protocol
from syncer_assets_tests.faults.model.process import Process

BUDGET = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_protocol_loses_nothing_and_doubles_nothing() -> None:
    run_state_machine_as_test(Protocol, settings=BUDGET)


def test_a_cleanup_leaves_what_another_sync_is_writing() -> None:
    """One has committed and is about to tidy up, another has begun behind it and written its files."""
    machine = Protocol()
    machine.choose("upsert by time")
    machine.insert(5)
    first = Process(machine.run_engine, "manifest committed").start()
    machine.insert(5)
    second = Process(machine.run_engine, "before put").start()
    assert first.is_stopped and second.is_stopped
    first.wake()
    second.wake()
    assert (first.error, second.error) == (None, None)
    machine.teardown()


SEARCH = settings(BUDGET, max_examples=2_000, stateful_step_count=25, phases=[Phase.generate])
"""Until the first failure, which is not made smaller."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("defect", ENGINE)
def test_a_defect_of_the_engine_is_found(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ENGINE[defect](monkeypatch)
    with pytest.raises((AssertionError, SyncError)):
        run_state_machine_as_test(Protocol, settings=SEARCH)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("defect", WEAK)
def test_a_defect_of_the_warehouse_is_found(defect: str) -> None:
    class Weakened(Protocol):
        weak = frozenset({WEAK[defect]})

    with pytest.raises((AssertionError, SyncError)):
        run_state_machine_as_test(Weakened, settings=SEARCH)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("defect", DIRECTED)
def test_a_defect_is_found_by_its_directed_test(defect: str, tmp_path: Path) -> None:
    _, node = DIRECTED[defect]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=450"]
    outcomes = {}
    for name in ("", defect):
        env = {**os.environ, "SYNCER_DEFECT": name}
        plugin = ["-p", "syncer_assets_tests.faults.model.defects"]
        folder = f"--basetemp={tmp_path / (name or 'none')}"  # else it shuts the folder above to servers of other tests
        done = subprocess.run(
            [*command, *plugin, folder, f"syncer_assets_tests/{node}"],
            env=env,
            capture_output=True,
            text=True,
            timeout=500,
        )
        outcomes[name] = done.returncode
    assert outcomes == {"": 0, defect: 1}, "green with the defect, or red without"
