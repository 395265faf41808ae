"""The connection breaks at COMMIT: the ledger decides whether it took effect, and nothing is applied twice."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from urllib.parse import urlsplit

import psycopg
import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ORDERS, Job, target_of, write
from syncer_assets_tests.faults.proxy import Cut, Proxy
from syncer_assets_tests.servers import Database, poll

COMMIT = b"COMMIT\0"


@pytest.fixture
def proxy(warehouse_db: Database) -> Iterator[Proxy]:
    server = warehouse_db.server
    port = urlsplit(warehouse_db.dsn).query.rpartition("port=")[2]
    with Proxy(server.socket_folder / f".s.PGSQL.{port}") as proxy:
        yield proxy


@pytest.fixture
def proxied(job: Job, proxy: Proxy, warehouse_db: Database) -> Job:
    """The job, its warehouse behind the proxy."""
    address = f"{warehouse_db.role}@127.0.0.1:{proxy.port}/{warehouse_db.name}?sslmode=disable"
    return replace(job, warehouse_dsn=f"postgresql://{address}")


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.parametrize("spec", [ORDERS, EVENTS, COUNTRIES], ids=lambda spec: spec.name)
def test_a_lost_reply_to_commit_is_resolved_by_the_ledger(
    spec: TableSpec, cut: Cut, proxied: Job, proxy: Proxy, source_db: Database, warehouse_db: Database
) -> None:
    events: list[str] = []

    def emit(event: str, **fields: object) -> None:
        events.append(event)
        if event == "ledger written" and proxy.cuts == round - 1:
            proxy.arm(COMMIT, cut)

    with proxied.only(spec).opened() as opened:
        for round in (1, 2):  # into a new table, and merged
            events.clear()
            report = opened.run(emit).loads[0]
            assert proxy.cuts == round
            assert events.count("ledger written") == (1 if cut == "after" else 2)
            assert events.count("COMMIT took effect, the ledger says") == (1 if cut == "after" else 0)
            assert not report.nothing_new
            assert report.rows == warehouse_db.scalar(
                "SELECT sum(rows_in)::int FROM _syncer.loads GROUP BY loaded_at ORDER BY loaded_at DESC LIMIT 1"
            )
            assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])
            write(source_db, round)


def test_a_session_that_the_server_still_holds_is_waited_for(
    proxied: Job, proxy: Proxy, source_db: Database, warehouse_db: Database
) -> None:
    """Half-open: the server keeps the transaction and its lock; the ledger tells the truth when it has ended."""
    waited: list[int] = []

    def emit(event: str, **fields: object) -> None:
        if event == "ledger written" and not proxy.cuts:
            proxy.arm(COMMIT, "hold")
            watcher.start()

    def release_when_somebody_waits() -> None:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        waited.append(poll(lambda: warehouse_db.scalar(query), deadline_seconds=60))
        proxy.release()

    watcher = Thread(target=release_when_somebody_waits)
    with proxied.only(ORDERS).opened() as opened:
        opened.run(emit)
        watcher.join()
        assert proxy.cuts == 1 and waited == [1]
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_the_proxy_cuts_where_it_is_told(proxied: Job, proxy: Proxy, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE TABLE shop.cuts (n int)")
    for cut in ("before", "after"):
        with psycopg.connect(proxied.warehouse_dsn, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO shop.cuts SELECT count(*) FROM shop.cuts")
            proxy.arm(COMMIT, cut)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("COMMIT")
        assert warehouse_db.scalar("SELECT count(*) FROM shop.cuts") == (cut == "after")
