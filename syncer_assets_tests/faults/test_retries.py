"""What is tried again and how often, on real servers: busy ones, read-only ones, conflicts, and what never passes."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncer_assets.drivers import postgres
from syncer_assets.model.backoff import Backoff
from syncer_assets.model.errors import DbError, SyncError
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import load as load_module
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import EVENTS, ITEMS, ORDERS, Job, target_of, write
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.mysql.rig import user
from syncer_assets_tests.sync.tables import spec_of

BUSY = "the server has too much to do, waiting"
QUICK = Backoff(base_seconds=0.05, cap_seconds=0.4, budget_seconds=60, attempts=4)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """When each attempt of ours to connect to a PostgreSQL began and ended."""
    made: list[tuple[float, float]] = []
    connect = postgres.Session.connect

    def counted(**arguments: Any) -> psycopg.Connection:
        began = time.monotonic()
        try:
            return connect(**arguments)
        finally:
            made.append((began, time.monotonic()))

    monkeypatch.setattr(postgres.Session, "connect", counted)
    return made


@pytest.fixture
def demoted(job: Job, warehouse_db: Database) -> Job:
    """The warehouse as two hosts of which one has to take writes; its role finds neither that does."""
    given = conninfo_to_dict(job.warehouse_dsn)
    twice = {name: f"{given[name]},{given[name]}" for name in ("host", "port")}
    warehouse_db.execute(f"ALTER ROLE {given['user']} SET default_transaction_read_only = on")
    dsn = make_conninfo(job.warehouse_dsn, **twice, target_session_attrs="read-write")
    return replace(job.only(EVENTS), warehouse_dsn=dsn)


def test_only_the_standby_is_up_is_waited_for_and_then_told(demoted: Job, attempts: list[tuple[float, float]]) -> None:
    job = replace(demoted, backoff=Backoff(base_seconds=0.2, cap_seconds=0.5, budget_seconds=4))
    with job.opened() as opened:
        opened.extract(EVENTS)
        attempts.clear()
        with pytest.raises(DbError, match=r"read-only.*Fix: no host of the connection string takes writes") as raised:
            opened.load(EVENTS)
    assert raised.value.failure == "new_connection" and raised.value.phase == "connect"
    pauses = [later[0] - earlier[1] for earlier, later in pairwise(attempts)]
    assert pauses and min(pauses) >= 0.1, pauses


def test_a_primary_that_comes_back_within_the_budget_is_used(
    demoted: Job, source_db: Database, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, waits = conninfo_to_dict(demoted.warehouse_dsn)["user"], 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            warehouse_db.execute(f"ALTER ROLE {role} RESET default_transaction_read_only")

    with replace(demoted, backoff=QUICK).opened() as opened:
        opened.extract(EVENTS)
        monkeypatch.setattr("tenacity.nap.time.sleep", sleep)
        assert opened.load(EVENTS).rows == 400
        assert waits >= 3  # other threads sleep by the same function
        assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


@pytest.mark.parametrize("which", ["source", "warehouse"])
def test_too_many_connections_are_waited_for(which: str, job: Job, source_db: Database, warehouse_db: Database) -> None:
    dsn, database = (job.source_dsn, source_db) if which == "source" else (job.warehouse_dsn, warehouse_db)
    role = conninfo_to_dict(dsn)["user"]
    free = Strike(BUSY, lambda: database.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1"))
    with replace(job.only(ITEMS), backoff=QUICK).opened() as opened:
        database.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        opened.extract(ITEMS, "000000000000-000000000399", free)
        opened.load(ITEMS, "000000000000-000000000399", free)
    (told,) = free.told(BUSY)
    assert "CONNECTION LIMIT" in str(told["fix"])
    assert warehouse_db.scalar("SELECT count(*) FROM shop.items") == 399


def test_too_many_connections_to_mariadb_are_waited_for(maria_db: MariaDatabase, lake_dir: Path) -> None:
    maria_db.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    maria_db.execute("INSERT INTO t SELECT seq FROM seq_1_to_500")
    role = user(maria_db, ["SELECT ON {db}.*"])
    maria_db.execute(f"ALTER USER '{role}'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    free = Strike(BUSY, lambda: maria_db.execute(f"ALTER USER '{role}'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0"))
    with (
        closing(maria_db.server.connect(maria_db.name, role, "secret")),
        closing(MySQLSource("shop", maria_db.dsn_as(role, "secret"))) as source,
    ):
        report = extract(source, open_lake(f"file://{lake_dir}"), spec_of("t", ("id",)), emit=free, backoff=QUICK)
    maria_db.execute(f"DROP USER '{role}'@'127.0.0.1'")
    (told,) = free.told(BUSY)
    assert report.rows == 500 and told["code"] in ("1203", "1226") and "limits" in str(told["fix"])


@pytest.fixture
def conflicts(job: Job, source_db: Database, warehouse_db: Database) -> "Iterator[Conflicts]":
    """A warehouse with one load, whose ledger then refuses as many transactions as it is told."""
    with replace(job.only(ORDERS), backoff=QUICK).opened() as opened:
        opened.run()
    write(source_db, 1)
    yield Conflicts(warehouse_db)


class Conflicts:
    """A trigger that raises a code, and a sequence that counts in spite of ROLLBACK."""

    def __init__(self, database: Database):
        self.database = database
        database.execute("CREATE SEQUENCE public.tried")

    def inject(self, code: str, times: int) -> None:
        self.database.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN"
            f" IF nextval('public.tried') <= {times} THEN RAISE EXCEPTION 'injected' USING ERRCODE = '{code}'; END IF;"
            " RETURN NULL; END$$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON _syncer.loads FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()"
        )

    @property
    def tried(self) -> int:
        return self.database.scalar("SELECT last_value FROM public.tried")


@pytest.mark.parametrize("code", ["40P01", "40001"])
def test_a_transaction_is_tried_four_times_and_then_fails_with_its_code(
    code: str, conflicts: Conflicts, job: Job, source_db: Database, warehouse_db: Database
) -> None:
    conflicts.inject(code, 3 + 4)
    with replace(job.only(ORDERS), backoff=replace(QUICK, attempts=4)).opened() as opened:
        opened.extract(ORDERS)
        with pytest.raises(DbError) as raised:
            opened.load(ORDERS)
        assert raised.value.code == code and conflicts.tried == 4
        opened.load(ORDERS)  # three more are refused
        assert conflicts.tried == 3 + 4 + 1
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


COMMITS = {"lost after it took effect": (True, 1), "lost before it arrived": (False, 2)}


@pytest.mark.parametrize("when", COMMITS)
def test_commit_is_never_sent_again_before_the_ledger_was_asked(
    when: str, job: Job, source_db: Database, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes_effect, expected = COMMITS[when]
    commit, sent, asked = load_module.commit, 0, 0
    was_committed = load_module.ledger.was_committed

    def cut(connection: psycopg.Connection) -> None:
        nonlocal sent
        sent += 1
        if sent > 1:
            assert asked == 1
            return commit(connection)
        if takes_effect:
            commit(connection)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def ask(*args: Any) -> bool:
        nonlocal asked
        asked += 1
        return was_committed(*args)

    monkeypatch.setattr(load_module, "commit", cut)
    monkeypatch.setattr(load_module.ledger, "was_committed", ask)
    with replace(job.only(EVENTS), backoff=QUICK).opened() as opened:
        opened.run()
        assert (sent, asked) == (expected, 1)
        assert warehouse_db.scalar("SELECT count(DISTINCT loaded_at) FROM _syncer.loads") == 1
        assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


PERMANENT = {
    "wrong password": "check the password",
    "no such database": "check the database name",
    "no such table": "did you mean public.events",
    "no privilege": "GRANT SELECT ON public.events",
}


@pytest.mark.parametrize("what", PERMANENT)
def test_what_never_passes_fails_at_the_first_attempt_and_names_the_fix(
    what: str, job: Job, source_db: Database, attempts: list[tuple[float, float]]
) -> None:
    dsn, spec = job.source_dsn, EVENTS
    role = conninfo_to_dict(dsn)["user"]
    if what == "wrong password":
        with suppress(psycopg.errors.DuplicateObject):
            source_db.execute("CREATE ROLE password")  # whose members are asked for theirs
        source_db.execute(f"GRANT password TO {role}")
        dsn = make_conninfo(dsn, password="another")
    if what == "no such database":
        dsn = make_conninfo(dsn, dbname="nowhere")
    if what == "no such table":
        spec = replace(EVENTS, table="public.evnts")
    if what == "no privilege":
        source_db.execute(f"REVOKE SELECT ON events FROM {role}")
    attempts.clear()
    began = time.monotonic()
    with replace(job, source_dsn=dsn).opened() as opened, pytest.raises(SyncError, match=PERMANENT[what]) as raised:
        opened.extract(spec)
    assert not raised.value.retryable and len(attempts) == 1
    assert time.monotonic() - began < 60  # 5 s are promised, of a machine that does nothing else
