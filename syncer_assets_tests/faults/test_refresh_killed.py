"""A full refresh that is killed anywhere: the table is the old one or the new one, and the next run finishes.

Both ways of a refresh: written in place (`diff`), and by a table that takes the old one's place (`swap`).
"""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.table import RefreshSettings, TableSpec
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, Job, Opened, start_worker, target_of, write
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database, poll

DIFF = replace(COUNTRIES, refresh=RefreshSettings("diff"))
SWAP = replace(COUNTRIES, refresh=RefreshSettings("swap"))
BOTH = ("epoch taken", "rows staged", "rows merged", "before record", "ledger written", "commit sent", "load committed")
STEPS = [
    *((DIFF, step) for step in BOTH),
    *((SWAP, step) for step in BOTH),
    *((SWAP, step) for step in ("before index", "after index", "shadow built", "shadow ready")),
    *((SWAP, step) for step in ("before place", "after place")),
]
IN_THE_ENGINE = [(spec, step) for spec, step in STEPS if step.split()[0] not in ("before", "after", "commit")]

Rows = set[tuple[str, str]]


@pytest.fixture
def refreshed(job: Job, source_db: Database, warehouse_db: Database) -> Iterator[Opened]:
    """A table that was loaded and has changed since, with an index of a person's and a view that reads it."""
    with job.opened() as opened:
        Opened(job.only(COUNTRIES), opened.source, opened.lake, opened.warehouse).run()
        warehouse_db.execute(
            "CREATE INDEX by_name ON shop.countries (name); CREATE VIEW shop.seen AS SELECT name FROM shop.countries;"
            f"ALTER VIEW shop.seen OWNER TO syncer_loader_{warehouse_db.name}"
        )
        write(source_db, 1)
        yield opened


def _id(value: object) -> str:
    return value.refresh.mode if isinstance(value, TableSpec) else str(value).replace(" ", "_")


@pytest.mark.parametrize(("spec", "step"), STEPS, ids=_id)
def test_a_refresh_that_was_killed_left_the_old_table_or_the_new_one(
    spec: TableSpec, step: str, refreshed: Opened, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    old, new = loaded(warehouse_db), wanted(source_db)
    assert old != new
    child = start_worker(refreshed.job.only(spec), tmp_path, "--at", step)
    output, _ = child.communicate(timeout=100)
    assert child.returncode == -signal.SIGKILL, f"not killed at {step}: {output}"
    struck()
    poll(lambda: not sessions(warehouse_db), deadline_seconds=60)
    found = loaded(warehouse_db)
    assert found in (old, new), f"neither the old table nor the new one: {sorted(found ^ new)}"
    assert step == "commit sent" or (found == new) is (step == "load committed")
    finish(spec, refreshed, source_db, warehouse_db)


@pytest.mark.parametrize(("spec", "step"), IN_THE_ENGINE, ids=_id)
def test_a_refresh_whose_sessions_are_ended_tries_again(
    spec: TableSpec, step: str, refreshed: Opened, source_db: Database, warehouse_db: Database
) -> None:
    """pg_terminate_backend at each step; readers see a whole table all the time."""
    old, new = loaded(warehouse_db), wanted(source_db)
    ended: list[int] = []

    def emit(event: str, **fields: object) -> None:
        if event == step and not ended:
            struck()
            ended.append(warehouse_db.scalar(f"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) {OURS}"))
            assert loaded(warehouse_db) in (old, new)

    job = refreshed.job.only(spec)
    Opened(job, refreshed.source, refreshed.lake, refreshed.warehouse).run(emit)
    assert ended and ended[0] > 0
    finish(spec, refreshed, source_db, warehouse_db)


OURS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'syncer_assets%'"
    " AND pid <> pg_backend_pid()"
)


def finish(spec: TableSpec, opened: Opened, source: Database, warehouse: Database) -> None:
    """The next run: the table is as the source, nothing lies beside it, index and view are those of before."""
    Opened(opened.job.only(spec), opened.source, opened.lake, opened.warehouse).run()
    assert loaded(warehouse) == wanted(source)
    assert_invariants(source, opened.lake, warehouse, [(spec, target_of(spec))])
    beside = warehouse.execute("SELECT relname FROM pg_class WHERE relname LIKE '\\_syncer\\_%'")
    assert not [name for (name,) in beside if "_new_" in name or "_old_" in name or "_ix_" in name]
    assert warehouse.scalar("SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop' AND indexname = 'by_name'") == 1
    assert warehouse.scalar("SELECT count(*) FROM shop.seen") == len(wanted(source))


def loaded(warehouse: Database) -> Rows:
    """What a reader sees now, waiting for a swap that is under way."""
    return set(warehouse.execute("SELECT code, name FROM shop.countries"))


def wanted(source: Database) -> Rows:
    return set(source.execute("SELECT code, name FROM countries"))


def sessions(warehouse: Database) -> int:
    """Those of the killed process that the server has not noticed yet; ours is idle and has no transaction."""
    return warehouse.scalar(f"SELECT count(*) {OURS} AND state <> 'idle'")
