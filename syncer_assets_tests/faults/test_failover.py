"""A streaming pair fails over in the middle of extract, COPY and merge; commits are lost; sessions are left behind."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import psycopg
import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ORDERS, Job, Opened, make_tables, target_of, write
from syncer_assets_tests.faults.pair import PostgresPair
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.servers import Database

pytestmark = pytest.mark.server
PATIENT = Backoff(base_seconds=0.05, cap_seconds=1, budget_seconds=90)
READING = {
    ORDERS: ("chunk read", "window opened", "ceiling captured", "manifest committed"),
    EVENTS: ("files written", "chunk read", "window opened"),
    COUNTRIES: ("snapshot opened", "files written"),
}
COPYING = ("second COPY", "epoch taken", "rows staged")
MERGING = ("rows merged", "ledger written", "load committed")
"""The steps at which a server dies: one a seed, in turn."""


@pytest.fixture
def source(pair: PostgresPair) -> Iterator[str]:
    """An empty database of the pair, which both servers have."""
    yield from _database(pair, "source")


@pytest.fixture
def warehouse(pair: PostgresPair) -> Iterator[str]:
    yield from _database(pair, "warehouse")


@pytest.mark.parametrize("spec", READING, ids=lambda spec: spec.name)
def test_the_source_fails_over_while_it_is_read(
    spec: TableSpec, seed: int, pair: PostgresPair, source: str, job: Job, warehouse_db: Database
) -> None:
    chance, at = Random(seed), READING[spec][seed % len(READING[spec])]
    make_tables(pair.primary.of(source))
    job = replace(job.only(spec), source_dsn=pair.dsn(source), backoff=PATIENT)
    strike = Strike(at, pair.fail_over, nth=chance.choice((1, 1, 2)) if at == "chunk read" else 1)
    with job.opened() as opened:
        opened.run(strike)
        assert strike.struck
        marks = _assert_all(opened, spec, pair.primary.of(source), warehouse_db)
        write(pair.primary.of(source), chance.randrange(1, 20))
        opened.run()
        _assert_all(opened, spec, pair.primary.of(source), warehouse_db, marks)


@pytest.mark.parametrize(
    ("spec", "steps"),
    [(ORDERS, COPYING), (ORDERS, MERGING), (COUNTRIES, MERGING)],
    ids=["orders-copy", "orders-merge", "countries-merge"],
)
def test_the_warehouse_fails_over_while_it_is_loaded(
    spec: TableSpec,
    steps: Sequence[str],
    seed: int,
    pair: PostgresPair,
    warehouse: str,
    job: Job,
    source_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asynchronous replication: the marks are lost with the rows, so both are there again from the manifests. Every
    second seed loses nothing."""
    chance, at, lose = Random(seed), steps[seed % len(steps)], seed % 2 == 0
    job = replace(job.only(spec), warehouse_dsn=pair.dsn(warehouse), backoff=PATIENT)
    strike = Strike(at, lambda: pair.fail_over(lose=lose))
    with job.opened() as opened:
        marks = opened.run() and _assert_all(opened, spec, source_db, pair.primary.of(warehouse))
        pair.catch_up()
        if lose:
            pair.cut_replication()
        for round in range(chance.randrange(1, 3)):  # whole loads that only the old primary has
            write(source_db, round)
            opened.run()
        write(source_db, 7)
        with _copies_told(strike, monkeypatch):
            opened.run(strike)
        assert strike.struck
        _assert_all(opened, spec, source_db, pair.primary.of(warehouse), marks)


def test_a_first_load_of_which_nothing_reached_the_standby_is_made_again(
    pair: PostgresPair, warehouse: str, job: Job, source_db: Database
) -> None:
    """Not even the ledger's tables are there."""
    pair.cut_replication()
    job = replace(job.only(EVENTS), warehouse_dsn=pair.dsn(warehouse), backoff=PATIENT)
    strike = Strike("load planned", lambda: pair.fail_over(lose=True))
    with job.opened() as opened:
        opened.run(strike)
        assert strike.struck
        _assert_all(opened, EVENTS, source_db, pair.primary.of(warehouse))


def test_sessions_that_were_left_with_a_demoted_primary_are_given_up(
    pair: PostgresPair, warehouse: str, job: Job, source_db: Database
) -> None:
    """It lives on and only refuses to write (25006): the DSN is resolved anew, and leads to the new one."""
    job = replace(job.only(ORDERS), warehouse_dsn=pair.dsn(warehouse), backoff=PATIENT)
    with job.opened() as opened:
        opened.run()
        old, count = pair.primary, "SELECT count(*) FROM _syncer.loads"
        before = old.of(warehouse).scalar(count)
        opened.warehouse.watermarks(target_of(ORDERS))  # a session that stays open
        pair.catch_up()
        pair.switch()
        old.of("postgres").execute("ALTER SYSTEM SET default_transaction_read_only = on")
        old.of("postgres").execute("SELECT pg_reload_conf()")
        write(source_db, 1)
        done = opened.run()
        assert done.loads[0].rows
        _assert_all(opened, ORDERS, source_db, pair.primary.of(warehouse))
        assert old.of(warehouse).scalar(count) == before
        assert not old.of(warehouse).scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE"
            " 'syncer_assets%' AND pid <> pg_backend_pid()"
        )


def _assert_all(
    opened: Opened, spec: TableSpec, source: Database, warehouse: Database, since: dict | None = None
) -> dict:
    return assert_invariants(source, opened.lake, warehouse, [(spec, target_of(spec))], since=since)


@contextmanager
def _copies_told(strike: Strike, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Between two pieces of a COPY the engine emits nothing."""
    write, written = psycopg.Copy.write, 0

    def telling(copy: psycopg.Copy, data: bytes) -> None:
        nonlocal written
        written += 1
        if written == 2:
            strike("second COPY")
        write(copy, data)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Copy, "write", telling)
        yield


def _database(pair: PostgresPair, purpose: str) -> Iterator[str]:
    name = Database.create(pair.primary, purpose).name
    pair.catch_up()
    yield name
    pair.primary.drop_database(name)
