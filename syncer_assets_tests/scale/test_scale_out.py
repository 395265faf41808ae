"""Runs over three workers: each partition once, a table's loads in turn, a dead worker's run by another one.

The long form, with 24 partitions and 8 tables, is `make bench ARGS="--only scale_out"`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import psycopg
import pytest

from syncer_assets_tests.scale.fleet import PARTITION_IDS, Fleet
from syncer_assets_tests.scale.redis import RedisServer
from syncer_assets_tests.servers import missing

WORKERS, PARTITIONS, TABLES = 3, 3, 4
DEADLINE_SECONDS = 240
UNDER_WAY = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}
ASKED_BY_SENSOR = """
SELECT run_id, run_body FROM runs JOIN run_tags USING (run_id)
WHERE status = 'STARTED' AND key = 'syncer/request' AND value LIKE '%{table}|%'
"""
"""Its care may be under way, too."""

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if RedisServer.program() is None:
        missing("redis-server is not installed: apt-get install redis-server")
    with Fleet(tmp_path_factory.mktemp("fleet") / "fleet", PARTITIONS, TABLES, at_once=WORKERS) as fleet:
        fleet.start_workers(WORKERS)
        fleet.start_daemon()
        yield fleet


def test_every_partition_is_loaded_once_and_the_loads_of_a_table_take_turns(fleet: Fleet) -> None:
    fleet.wait_for(lambda: len(fleet.loaded()) == PARTITIONS + TABLES, DEADLINE_SECONDS)
    assert set(fleet.loaded().values()) == {1}
    rows = fleet.query("analytics", "SELECT count(*), count(DISTINCT id) FROM shop.wide")
    assert rows == [(PARTITIONS * PARTITION_IDS - 1,) * 2]
    processes = fleet.processes_of_runs()
    assert all(len(pids) == 1 for pids in processes.values()), "a run was begun twice"
    assert len(set.union(*processes.values())) == WORKERS, "not every worker had a run"
    fleet.wait_for(lambda: len(fleet.steps("^analytics.*wide$")) >= PARTITIONS, DEADLINE_SECONDS)
    loads = fleet.steps("^analytics.*wide$")
    assert all(ended <= began for (_, ended), (began, _) in pairwise(loads)), "the pool of the loads did not hold"
    assert not fleet.query("dagster", "SELECT FROM event_logs WHERE event LIKE '%took the target over%'")


def test_a_killed_workers_run_is_finished_by_another_one(fleet: Fleet) -> None:
    """SIGKILL to the worker, whose run ends with it. Nobody answers for it then."""
    with waiting_run(fleet, "small_0") as run:
        fleet.kill_worker(run.worker)
        fleet.wait_for(lambda: not alive(run.process), 60)
    assert_done_again(fleet, "small_0", run)


def test_the_run_of_a_worker_that_was_started_anew_is_finished_once(fleet: Fleet) -> None:
    """Under its old name it answers, and says that it does not have the run."""
    with waiting_run(fleet, "small_1") as run:
        fleet.kill_worker(run.worker)
        fleet.start_worker(run.worker)
        fleet.wait_for(lambda: status(fleet, run.id) == "FAILURE", DEADLINE_SECONDS)
    assert fleet.answers(run.worker), "it failed over for its silence"
    assert_done_again(fleet, "small_1", run)


def test_a_run_that_is_terminated_is_killed_and_left_to_the_next_one(fleet: Fleet) -> None:
    """As the UI does it. Its rows are in the lake: the next run, which is asked for by newer ones, loads them, too."""
    with waiting_run(fleet, "small_2") as run:
        fleet.terminate(run.id)
        fleet.wait_for(lambda: not alive(run.process) and not lock_waits(fleet), 60)
        fleet.wait_for(lambda: not slots(fleet, run.id), 60)
    assert status(fleet, run.id) == "CANCELED"
    fleet.query("shop", "INSERT INTO small_2 (sku) VALUES ('later') RETURNING id")
    fleet.wait_for(lambda: fleet.loaded()["shop.small_2", "all"] == 3, DEADLINE_SECONDS)
    assert fleet.query("analytics", "SELECT count(*), count(DISTINCT id) FROM shop.small_2") == [(502, 502)]
    assert (status(fleet, run.id), started_again(fleet, run.id)) == ("CANCELED", 0)


@dataclass(frozen=True)
class Run:
    """A run, the task that it is, the process, and the number of the worker that has it."""

    id: str
    task: str
    process: int
    worker: int


@contextmanager
def waiting_run(fleet: Fleet, table: str) -> Iterator[Run]:
    """A run that reads a new row of a table, and whose merge waits for the row of its target within the block."""
    fleet.wait_for(lambda: len(fleet.loaded()) == PARTITIONS + TABLES, DEADLINE_SECONDS)
    fleet.wait_for(lambda: not fleet.statuses().keys() & UNDER_WAY, DEADLINE_SECONDS)
    with psycopg.connect(fleet.postgres.dsn("analytics")) as holder:
        holder.execute(f"SELECT FROM _syncer.targets WHERE target_name = 'shop.{table}' FOR UPDATE".encode())
        fleet.query("shop", f"INSERT INTO {table} (sku) VALUES ('late') RETURNING id")
        fleet.wait_for(lambda: lock_waits(fleet), DEADLINE_SECONDS)
        [(run_id, body)] = fleet.query("dagster", ASKED_BY_SENSOR.format(table=table))
        task = json.loads(body)["tags"]["dagster-celery/task_id"]
        [process], worker = fleet.processes_of_runs()[run_id], fleet.number_of(task)
        assert worker, "no worker says that it has the run"
        yield Run(run_id, task, process, worker)
        holder.rollback()


def assert_done_again(fleet: Fleet, table: str, run: Run) -> None:
    """It failed, and another process loaded what it had read; once."""
    fleet.wait_for(lambda: status(fleet, run.id) == "FAILURE", DEADLINE_SECONDS)
    fleet.wait_for(lambda: fleet.loaded()[f"shop.{table}", "all"] == 2, DEADLINE_SECONDS)
    rows = f"SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE sku = 'late') FROM shop.{table}"
    assert fleet.query("analytics", rows) == [(501, 501, 1)]
    assert started_again(fleet, run.id) == 1


def lock_waits(fleet: Fleet) -> int:
    """Sessions that wait for a lock in the warehouse."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'analytics' AND wait_event_type = 'Lock'"
    return fleet.query("analytics", waits)[0][0]


def started_again(fleet: Fleet, run_id: str) -> int:
    """How many runs were made of a run."""
    made = f"SELECT count(*) FROM run_tags WHERE key = 'dagster/parent_run_id' AND value = '{run_id}'"
    return fleet.query("dagster", made)[0][0]


def slots(fleet: Fleet, run_id: str) -> int:
    """The slots of pools that a run has."""
    return fleet.query("dagster", f"SELECT count(*) FROM concurrency_slots WHERE run_id = '{run_id}' AND NOT deleted")[
        0
    ][0]


def status(fleet: Fleet, run_id: str) -> str:
    return fleet.query("dagster", f"SELECT status FROM runs WHERE run_id = '{run_id}'")[0][0]


def alive(pid: int) -> bool:
    """Whether a process works: one that ended and that nobody has waited for yet does not."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
