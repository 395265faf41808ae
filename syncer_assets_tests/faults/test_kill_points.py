"""Each kill point of a run, struck by seeds: table, shape, sizes, step, occurrence, and the way to die are drawn.

After it one run, and the warehouse is the source. `make faults` draws 20 times a point, `make test` once.
"""

import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from syncer_assets.model.table import ChunkSettings, FileSettings, RefreshSettings, TableSpec
from syncer_assets_tests.faults import record
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, ITEMS, SPECS, Job, Opened, start_worker, target_of, write
from syncer_assets_tests.faults.kill_points import POINTS, Point
from syncer_assets_tests.faults.test_races import _wait_until_stopped as wait_until_stopped
from syncer_assets_tests.servers import Database, poll

ATTEMPTS = 3
"""Where a step did not come as often as was drawn, one is drawn among those that came."""
IMPATIENT = {"idle_in_transaction_session_timeout": "500ms"}
"""How long the server bears with a worker that is stopped in a transaction."""
WORKER_SECONDS = 100
ROWS_AT_MOST = {"orders": 440, "items": 700, "events": 400}
ENGINE_SESSIONS = "datname = current_database() AND application_name LIKE 'syncer_assets%' AND pid <> pg_backend_pid()"


@dataclass
class Victim:
    """What one seed drew, and where it is done."""

    point: Point
    drawn: random.Random
    spec: TableSpec
    way: str
    step: str
    opened: Opened
    source: Database
    warehouse: Database
    folder: Path
    round: int = 0

    @classmethod
    def draw(
        cls, name: str, seed: int, opened: Opened, source: Database, warehouse: Database, folder: Path
    ) -> "Victim":
        point, drawn = POINTS[name], random.Random(f"{name} {seed}")
        table = drawn.choice(point.tables)
        spec = _shaped(next(spec for spec in SPECS if spec.name == table), drawn, source)
        if name == "K19":
            spec = replace(spec, refresh=RefreshSettings("swap"))
        way, step = point.ways[seed % len(point.ways)], drawn.choice(point.steps)
        return cls(point, drawn, spec, way, step, opened, source, warehouse, folder)

    def run(self) -> None:
        """One whole run of the table, in this process."""
        opened = self.opened
        Opened(opened.job.only(self.spec), opened.source, opened.lake, opened.warehouse).run()

    def news(self) -> None:
        self.round += 1
        write(self.source, self.round)

    def start(self, nth: int, do: str, *, patient: bool = True) -> Any:
        job = self.opened.job.only(self.spec)
        job = job if patient else replace(job, warehouse_settings=IMPATIENT)
        options = ("--at", self.step, "--nth", str(nth), "--do", do, *self.point.options)
        return start_worker(job, self.folder, *options)

    def end_sessions(self) -> None:
        """The server ends every session of the engine; the worker's is among them."""
        database = self.source if self.point.side == "source" else self.warehouse
        database.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ENGINE_SESSIONS}")
        record.struck()


@pytest.mark.parametrize("point", [name for name in POINTS if name not in ("K18", "K20")])
def test_a_run_that_dies_at_a_kill_point_is_made_good(
    point: str, seed: int, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    with job.opened() as opened:
        victim = Victim.draw(point, seed, opened, source_db, warehouse_db, tmp_path)
        if victim.point.only_later or point == "K17" or victim.drawn.random() < 0.5:
            victim.run()
            victim.news()
        _until_it_is_hit(victim)
        record.note(point=point, way=victim.way, step=victim.step, table=victim.spec.name)
        victim.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(victim.spec, target_of(victim.spec))])


@pytest.mark.parametrize("point", ["K18", "K20"])
def test_maintenance_that_dies_leaves_rows_and_indexes_whole(
    point: str, seed: int, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Its statement waits for a lock of ours, so that it is under way when it is hit."""
    with job.opened() as opened:
        victim = Victim.draw(point, seed, opened, source_db, warehouse_db, tmp_path)
        record.note(point=point, way=victim.way, step=victim.step, table=victim.spec.name)
        victim.run()
        table, target = f"shop.{victim.spec.name}", target_of(victim.spec)
        warehouse_db.execute(f"CREATE INDEX by_time ON {table} (_syncer_captured_at)")
        for _ in range(10):
            warehouse_db.execute(f"UPDATE {table} SET _syncer_captured_at = _syncer_captured_at + interval '1 us'")
        before = _indexes(warehouse_db, table)
        _hit_in_a_statement(victim) if victim.step.isupper() else _until_it_is_hit(victim)
        poll(lambda: not _at_work(warehouse_db), deadline_seconds=60)
        opened.repair(victim.spec)
        assert _indexes(warehouse_db, table) == before, "an index is gone, invalid, or a leftover is there"
        warehouse_db.execute("CREATE EXTENSION amcheck")
        warehouse_db.execute(
            f"SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = '{table}'::regclass"
        )
        victim.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(victim.spec, target)])


def _shaped(spec: TableSpec, drawn: random.Random, source: Database) -> TableSpec:
    """The table with fewer rows and more columns, in chunks, files and partitions of other sizes."""
    if spec.name in ROWS_AT_MOST:
        keep = drawn.randint(ROWS_AT_MOST[spec.name] // 4, ROWS_AT_MOST[spec.name])
        source.execute(f"DELETE FROM {spec.name} WHERE id > {keep}")
    for number in range(drawn.randint(0, 4)):
        kind, value = drawn.choice([("text", "repeat('x', 40)"), ("bigint", "42"), ("timestamptz", "now()")])
        source.execute(f"ALTER TABLE {spec.name} ADD COLUMN more_{number} {kind} DEFAULT {value}")
    chunk, files = ChunkSettings(rows=drawn.randint(30, 200)), FileSettings(max_rows=drawn.randint(20, 150))
    if spec is ITEMS:
        spec = replace(spec, partitions=replace(spec.partitions, size=drawn.randint(250, 500)))
    if spec is COUNTRIES:
        files = FileSettings(max_rows=drawn.randint(5, 40))
    return replace(spec, chunk=chunk, files=files)


def _until_it_is_hit(victim: Victim) -> None:
    """Runs the worker; if it came to its end before the occurrence that was drawn, another round, and one that is."""
    nth = victim.drawn.randint(1, 3)
    for _ in range(ATTEMPTS):
        if "delete" in victim.step:
            _leave_orphans(victim)
        seen = STRIKES[victim.way](victim, nth)
        if seen is None:
            return
        assert seen.get(victim.step), f"{victim.spec.name} has no step {victim.step!r}: {seen}"
        victim.news()
        nth = victim.drawn.randint(1, seen[victim.step])
    pytest.fail(f"{victim.step} was never hit")


def _kill(victim: Victim, nth: int) -> dict[str, int] | None:
    """None if it was hit, else how often each step came."""
    child = victim.start(nth, "kill")
    output, _ = child.communicate(timeout=WORKER_SECONDS)
    if child.returncode == -signal.SIGKILL:
        record.struck()
        return None
    return _ended_well(output)["seen"]


def _end_its_sessions(victim: Victim, nth: int) -> dict[str, int] | None:
    child = victim.start(nth, "pause")
    line = json.loads(child.stdout.readline())
    if "paused" not in line:
        child.wait(WORKER_SECONDS)
        return _ended_well(json.dumps(line))["seen"]
    victim.end_sessions()
    output, _ = child.communicate("\n", timeout=WORKER_SECONDS)
    outcome = json.loads(output.splitlines()[-1])
    assert outcome["ok"] or victim.point.options[:1] == ("--run",), outcome
    return None


def _stop_and_overtake(victim: Victim, nth: int) -> dict[str, int] | None:
    """A zombie: stopped, overtaken by a whole run, and woken up again."""
    child = victim.start(nth, "stop", patient=False)
    with suppress(AssertionError):
        wait_until_stopped(child)
    if child.poll() is not None:
        return _ended_well(child.communicate()[0])["seen"]
    victim.run()
    os.kill(child.pid, signal.SIGCONT)
    output, _ = child.communicate(timeout=WORKER_SECONDS)
    outcome = json.loads(output.splitlines()[-1])
    assert outcome["ok"] or outcome["error"] in ("lost_race", "db"), outcome
    return None


STRIKES: dict[str, Callable[[Victim, int], dict[str, int] | None]] = {
    "process": _kill,
    "server": _end_its_sessions,
    "zombie": _stop_and_overtake,
}


def _ended_well(output: str) -> dict[str, Any]:
    outcome = json.loads(output.splitlines()[-1])
    assert outcome["ok"], outcome
    return outcome


def _leave_orphans(victim: Victim) -> None:
    """A run that is killed once a file is up: the next one has something to tidy up."""
    victim.news()
    child = start_worker(victim.opened.job.only(victim.spec), victim.folder, "--at", "after complete")
    child.communicate(timeout=WORKER_SECONDS)
    assert child.returncode == -signal.SIGKILL


def _hit_in_a_statement(victim: Victim) -> None:
    """While it waits for a lock: kill -9 of the worker, or of its session by the server."""
    with victim.warehouse.connect(autocommit=False) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute(f"SELECT count(*) FROM shop.{victim.spec.name}".encode())
        if victim.step == "VACUUM":
            holder.execute(f"LOCK TABLE shop.{victim.spec.name} IN SHARE UPDATE EXCLUSIVE MODE".encode())
        child = victim.start(1, "kill")
        poll(lambda: _waiting(victim.warehouse, victim.step) or child.poll() is not None, deadline_seconds=60)
        assert child.poll() is None, child.communicate()
        if victim.way == "process":
            child.kill()
            record.struck()
        else:
            victim.end_sessions()
        child.communicate(timeout=WORKER_SECONDS)


def _waiting(warehouse: Database, statement: str) -> int:
    return warehouse.scalar(
        f"SELECT count(*) FROM pg_stat_activity WHERE {ENGINE_SESSIONS} AND wait_event_type = 'Lock'"
        f" AND query LIKE '{statement}%'"
    )


def _at_work(warehouse: Database) -> int:
    """Sessions of the killed worker that the server has not ended yet."""
    return warehouse.scalar(f"SELECT count(*) FROM pg_stat_activity WHERE {ENGINE_SESSIONS} AND state <> 'idle'")


def _indexes(warehouse: Database, table: str) -> list[tuple[str, bool]]:
    return warehouse.execute(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        f" WHERE i.indrelid = '{table}'::regclass ORDER BY 1"
    )
