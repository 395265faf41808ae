"""The other end dies: sessions are ended at each step, a backend is killed and the whole server recovers."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.drivers.postgres import translate
from syncer_assets.model.table import TableSpec
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, ORDERS, Job, make_tables, target_of, write
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database, poll

STEPS = [
    *((ORDERS, "source", event) for event in ("ceiling captured", "ceiling judged", "window opened", "chunk read")),
    *((ORDERS, "source", event) for event in ("files written", "manifest committed")),
    *((ORDERS, "warehouse", event) for event in ("load planned", "epoch taken", "rows staged", "rows merged")),
    *((ORDERS, "warehouse", event) for event in ("ledger written", "load committed")),
    (COUNTRIES, "source", "snapshot opened"),
    (COUNTRIES, "source", "files written"),
    (COUNTRIES, "warehouse", "ledger written"),
]


@pytest.fixture(scope="module")
def crashing_server() -> Iterator[EmbeddedPostgres]:
    """A durable server of its own: after a crash the others' must not have lost what was committed."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-pg-"))
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def crashing(crashing_server: EmbeddedPostgres, side: str) -> Iterator[Database]:
    database = Database.create(crashing_server, side)
    yield database
    database.drop()


@pytest.mark.parametrize(("spec", "side", "at"), STEPS, ids=lambda value: getattr(value, "name", value))
def test_a_run_goes_on_when_its_sessions_are_ended(
    spec: TableSpec, side: str, at: str, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    database = source_db if side == "source" else warehouse_db
    seen, ended = 0, 0

    def emit(event: str, **fields: object) -> None:
        nonlocal seen, ended
        seen += event == at
        if event == at and seen in (1, 3):  # once in each run, or before and after the first chunks
            ended += _end_sessions(database)

    with job.only(spec).opened() as opened:
        opened.run(emit)
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])
        write(source_db, 1)
        seen = 0
        opened.run(emit)
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])
    assert ended


@pytest.mark.parametrize(("side", "at"), [("source", "chunk read"), ("warehouse", "rows merged")])
def test_a_run_goes_on_after_the_server_crashed(
    side: str, at: str, job: Job, source_db: Database, warehouse_db: Database, crashing: Database
) -> None:
    """kill -9 of a backend: the server ends all sessions and recovers from its log."""
    if side == "source":
        source_db = crashing
        make_tables(crashing)
    else:
        warehouse_db = crashing
    job = replace(job.only(ORDERS), source_dsn=source_db.dsn, warehouse_dsn=warehouse_db.dsn)
    killed = []

    def emit(event: str, **fields: object) -> None:
        if event == at and not killed:
            killed.extend(_backends(crashing))
            os.kill(killed[0], signal.SIGKILL)
            struck()

    with job.opened() as opened:
        opened.run(emit)
        assert killed
        write(source_db, 1)
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])
    log = crashing.server.log.read_text()
    assert "was terminated by signal 9" in log and "database system was not properly shut down" in log


@pytest.mark.parametrize(
    "said",
    [
        "FATAL:  the database system is in recovery mode",
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is shutting down",
        "FATAL:  the database system is not yet accepting connections",
        "FATAL:  sorry, too many clients already",
        "FATAL:  terminating connection because of crash of another server process",
        "server closed the connection unexpectedly",
        "connection to server at ... failed: Connection refused",
    ],
)
def test_what_a_recovering_server_says_is_worth_another_attempt(said: str) -> None:
    """libpq gives these no SQLSTATE."""
    assert translate(psycopg.OperationalError(said), "connect", who="shop").retryable


def _end_sessions(database: Database) -> int:
    """End every session of the engine, and wait until it is gone."""
    struck()
    return database.scalar(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'syncer_assets%'"
    )


def _backends(database: Database) -> list[int]:
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'syncer_assets%'"
    )
    return poll(lambda: [row[0] for row in database.execute(query)], deadline_seconds=60)
