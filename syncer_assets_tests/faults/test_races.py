"""Several processes at one partition or one target: one wins, and one that was stopped meanwhile changes nothing."""

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets.sync.lake import Place, open_lake
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import (
    AT_ONCE,
    COUNTRIES,
    EVENTS,
    ITEMS,
    ORDERS,
    Job,
    start_worker,
    target_of,
    write,
)
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database, poll

FIRST, SECOND = "000000000000-000000000399", "000000000400-000000000799"


def test_a_load_that_was_overtaken_by_another_partition_is_fenced_off(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Its own watermark still stands where it was: only the epoch tells that it is too late."""
    with job.only(ITEMS).opened() as opened:
        opened.extract(ITEMS, FIRST)
        opened.load(ITEMS, FIRST)
        opened.extract(ITEMS, SECOND)
        zombie = _start_zombie(opened.job, tmp_path, "rows staged", SECOND)
        opened.warehouse.register(target_of(ITEMS), opened.lake.generation)
        write(source_db, 1)
        third = "000000000800-000000001199"
        opened.extract(ITEMS, third)
        opened.load(ITEMS, third)
        before = Footprint.of(warehouse_db, target_of(ITEMS))
        outcome = _wake(zombie)
        assert (outcome["error"], "took the target over" in outcome["message"]) == ("lost_race", True), outcome
        assert "rows merged" not in outcome["seen"]
        assert Footprint.of(warehouse_db, target_of(ITEMS)) == before
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ITEMS, target_of(ITEMS))])


def test_a_stopped_load_that_a_person_made_void_changes_nothing(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """`forget` drops the marks, so that the watermark is again where the stopped load expects it: nowhere."""
    with job.only(ITEMS).opened() as opened:
        opened.extract(ITEMS, FIRST)
        opened.load(ITEMS, FIRST)
        opened.extract(ITEMS, SECOND)
        zombie = _start_zombie(opened.job, tmp_path, "rows staged", SECOND)
        opened.warehouse.forget(target_of(ITEMS), SECOND)
        before = Footprint.of(warehouse_db, target_of(ITEMS))
        assert _wake(zombie)["error"] == "lost_race"
        assert Footprint.of(warehouse_db, target_of(ITEMS)) == before
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ITEMS, target_of(ITEMS))])


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        (ORDERS, "load planned"),
        (ORDERS, "rows staged"),
        (EVENTS, "load planned"),
        (EVENTS, "epoch taken"),
        (COUNTRIES, "rows staged"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_load_that_was_stopped_before_its_transaction_finds_its_work_done(
    spec: TableSpec, at: str, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Before it took the epoch only the watermark tells, afterwards the epoch does."""
    job = job.only(spec)
    with job.opened() as opened:
        opened.run()
        write(source_db, 1)
        opened.extract(spec)
        zombie = start_worker(job, tmp_path, "--run", "load", "--at", at, "--do", "stop")
        _wait_until_stopped(zombie)
        opened.load(spec)
        before = Footprint.of(warehouse_db, target_of(spec))
        outcome = _wake(zombie)
        assert outcome["ok"] and outcome["done"][0]["nothing_new"]
        assert "rows merged" not in outcome["seen"]
        assert Footprint.of(warehouse_db, target_of(spec)) == before
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def test_a_load_that_was_stopped_before_commit_is_ended_by_the_server(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """It holds the target's row until the server ends its idle transaction; then the other one takes the epoch."""
    job = job.only(ORDERS)
    impatient = replace(job, warehouse_settings={"idle_in_transaction_session_timeout": "2s"})
    with job.opened() as opened:
        opened.run()
        write(source_db, 1)
        opened.extract(ORDERS)
        zombie = start_worker(impatient, tmp_path, "--run", "load", "--at", "ledger written", "--do", "stop")
        _wait_until_stopped(zombie)
        assert opened.load(ORDERS).rows
        before = Footprint.of(warehouse_db, target_of(ORDERS))
        outcome = _wake(zombie)
        assert "load committed" not in outcome["seen"]
        assert Footprint.of(warehouse_db, target_of(ORDERS)) == before
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


@pytest.mark.parametrize("spec", [ORDERS, EVENTS, COUNTRIES], ids=lambda spec: spec.name)
def test_of_two_extractions_one_wins_each_number(
    spec: TableSpec, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Both have written their files when they go on."""
    job = job.only(spec)
    racers = [
        start_worker(job, tmp_path, "--run", "extract", "--at", "files written", "--do", "pause") for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert "paused" in json.loads(racer.stdout.readline())
    outcomes = [_go_on(racer) for racer in racers]
    assert all(outcome["ok"] for outcome in outcomes), outcomes
    assert sum(outcome["seen"].get("attempt thrown away", 0) for outcome in outcomes) >= 1
    with job.opened() as opened:
        manifests = opened.lake.manifests(Place("shop", spec.table, "all"))
        assert sum(outcome["seen"].get("manifest committed", 0) for outcome in outcomes) == len(manifests)
        opened.load(spec)
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def test_files_of_a_sync_that_is_still_writing_are_left_alone(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Whatever their age: their number is not taken yet. Another sync that finds nothing new cleans up meanwhile."""
    job = job.only(ITEMS)
    job.run()
    again = ("--run", "extract", "--partition", FIRST, "--full")
    slow = start_worker(job, tmp_path, *again, "--at", "files written", "--do", "pause")
    assert slow.stdout is not None
    assert "paused" in json.loads(slow.stdout.readline())
    with job.opened() as opened:
        assert opened.lake.root is not None
        for path in opened.lake.root.rglob("*.parquet"):
            os.utime(path, (0, 0))
        assert opened.extract(ITEMS, FIRST).nothing_new
        outcome = _go_on(slow)
        assert outcome["ok"], outcome
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ITEMS, target_of(ITEMS))])


def test_who_lost_while_still_uploading_begins_anew(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """The winner has removed the loser's upload under its hands: a lost race, no broken lake."""
    job = job.only(ORDERS)
    loser = start_worker(job, tmp_path, "--run", "extract", "--at", "before complete", "--do", "pause", "--small-parts")
    assert loser.stdout is not None
    assert "paused" in json.loads(loser.stdout.readline())
    with job.opened() as opened:
        opened.run()
        outcome = _go_on(loser)
        assert outcome["ok"] and outcome["seen"]["attempt thrown away"] == 1, outcome
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_whole_runs_at_once_get_along(job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path) -> None:
    marks = None
    for round in range(2):
        racers = [start_worker(job, tmp_path) for _ in range(3)]
        outcomes = [_outcome(racer) for racer in racers]
        assert all(outcome["ok"] for outcome in outcomes), [outcome.get("message") for outcome in outcomes]
        job.run()
        tables = [(spec, target_of(spec)) for spec in job.specs]
        marks = assert_invariants(source_db, open_lake(job.lake_url), warehouse_db, tables, since=marks)
        write(source_db, round)


def _start_zombie(job: Job, folder: Path, at: str, partition: str) -> subprocess.Popen[str]:
    """A load that stops itself at a step, and that makes no second attempt."""
    job = replace(job, backoff=AT_ONCE)
    zombie = start_worker(job, folder, "--run", "load", "--partition", partition, "--at", at, "--do", "stop")
    _wait_until_stopped(zombie)
    return zombie


def _wait_until_stopped(process: subprocess.Popen[str]) -> None:
    def stopped() -> bool:
        assert process.poll() is None, process.communicate()
        return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    poll(stopped, deadline_seconds=60)
    struck()


def _wake(process: subprocess.Popen[str]) -> dict[str, Any]:
    os.kill(process.pid, signal.SIGCONT)
    return _outcome(process)


def _go_on(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return _outcome(process)


def _outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=200)
    return json.loads(output.splitlines()[-1])
