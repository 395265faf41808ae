"""Runs over three workers: each partition once, a table's loads in turn, a killed worker's run by another one.

The long form, with 24 partitions and 8 tables, is `make bench ARGS="--only scale_out"`.
"""

import json
from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest

from syncer_assets_tests.scale.fleet import PARTITION_IDS, Fleet
from syncer_assets_tests.scale.redis import RedisServer
from syncer_assets_tests.servers import missing

WORKERS, PARTITIONS, TABLES = 3, 3, 4
DEADLINE_SECONDS = 240

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
    """Killed in its merge, which waits for the row of its target: SIGKILL to the worker, whose run ends with it."""
    fleet.wait_for(lambda: len(fleet.loaded()) == PARTITIONS + TABLES, DEADLINE_SECONDS)
    fleet.wait_for(lambda: not fleet.statuses().keys() - {"SUCCESS"}, DEADLINE_SECONDS)
    with psycopg.connect(fleet.postgres.dsn("analytics")) as holder:
        holder.execute("SELECT FROM _syncer.targets WHERE target_name = 'shop.small_0' FOR UPDATE")
        fleet.query("shop", "INSERT INTO small_0 (sku) VALUES ('late') RETURNING id")
        fleet.wait_for(lambda: waiting_run(fleet), DEADLINE_SECONDS)
        run_id, task_id = waiting_run(fleet)[0]
        number = fleet.number_of(task_id)
        assert number, "no worker says that it has the run"
        [pid] = fleet.processes_of_runs()[run_id]
        fleet.kill_worker(number)
        fleet.wait_for(lambda: not alive(pid), 60)
        holder.rollback()
    fleet.wait_for(lambda: status(fleet, run_id) == "FAILURE", DEADLINE_SECONDS)
    fleet.wait_for(lambda: fleet.loaded()["shop.small_0", "all"] == 2, DEADLINE_SECONDS)
    assert fleet.query("analytics", "SELECT count(*) FROM shop.small_0 WHERE sku = 'late'") == [(1,)]
    finished = [run for run, pids in fleet.processes_of_runs().items() if run != run_id and pids and pid not in pids]
    assert finished, "no other process finished it"


def waiting_run(fleet: Fleet) -> list[tuple[str, str]]:
    """The run, and its task, whose merge waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'analytics' AND wait_event_type = 'Lock'"
    if fleet.query("analytics", waits) == [(0,)]:
        return []
    runs = fleet.query("dagster", "SELECT run_id, run_body FROM runs WHERE status = 'STARTED'")
    return [(run_id, json.loads(body)["tags"]["dagster-celery/task_id"]) for run_id, body in runs if "small_0" in body]


def status(fleet: Fleet, run_id: str) -> str:
    return fleet.query("dagster", f"SELECT status FROM runs WHERE run_id = '{run_id}'")[0][0]


def alive(pid: int) -> bool:
    """Whether a process works: one that ended and that nobody has waited for yet does not."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
