"""A source that is no primary: a streaming standby and a logical subscriber, which apply later than was committed."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sources.postgres import source as postgres_source
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import EVENTS, ORDERS, Job, make_tables, target_of, write
from syncer_assets_tests.faults.midstream import BATCH_ROWS, assert_read_whole, disturb, fill, spec_of
from syncer_assets_tests.faults.pair import PostgresPair
from syncer_assets_tests.faults.proxy import Proxy
from syncer_assets_tests.faults.strike import Strike
from syncer_assets_tests.servers import Database, poll

pytestmark = pytest.mark.server
LAG_SECONDS = 2.0
LATE = replace(ORDERS, late_commit_lag=timedelta(seconds=LAG_SECONDS), settle_seconds=0)

INSERT = "INSERT INTO orders (status, updated_at) VALUES (%s, clock_timestamp())"
LATE_ROW = "INSERT INTO orders (status, updated_at) SELECT 'late', max(updated_at) - interval '1 ms' FROM orders"
"""As by a transaction that was open for less than the lag."""
APPLIED = """
SELECT pg_last_wal_replay_lsn()::text, (pg_last_wal_receive_lsn() >= %(end)s::pg_lsn)::int,
       pg_last_wal_replay_lsn() >= %(end)s::pg_lsn,
       EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
               AND application_name LIKE 'syncer_assets%%' AND query LIKE '%%wide%%')
"""


@dataclass(frozen=True)
class Replica:
    """`origin` is written to, `copy` is read. Between `hold` and `go_on` what is committed is not applied."""

    origin: Database
    copy: Database
    reason: str
    hold: Callable[[], None]
    go_on: Callable[[], None]
    catch_up: Callable[[], None]

    def wait_for(self, status: str) -> None:
        """A row with this status is applied."""
        self.catch_up()
        poll(lambda: self.copy.scalar("SELECT count(*) FROM orders WHERE status = %s", [status]), 60)


@pytest.fixture
def name(pair: PostgresPair) -> Iterator[str]:
    """A database of the pair with the job's tables, which both servers have."""
    name = Database.create(pair.primary, "source").name
    make_tables(pair.primary.of(name))
    pair.catch_up()
    yield name
    pair.primary.drop_database(name)


@pytest.fixture(params=["standby", "subscriber"])
def replica(request: pytest.FixtureRequest, pair: PostgresPair, name: str, database: Database) -> Iterator[Replica]:
    origin = pair.primary.of(name)
    if request.param == "standby":
        standby = pair.standby.of(name)
        yield Replica(
            origin,
            standby,
            "a replica does not show",
            lambda: _ask(standby, "SELECT pg_wal_replay_pause()", "SELECT pg_get_wal_replay_pause_state() = 'paused'"),
            lambda: _ask(standby, "SELECT pg_wal_replay_resume()", "SELECT NOT pg_is_wal_replay_paused()"),
            pair.catch_up,
        )
        if standby.scalar("SELECT pg_is_wal_replay_paused()"):
            standby.execute("SELECT pg_wal_replay_resume()")
        return
    with _subscribed(origin, database) as replica:
        yield replica


def test_a_commit_that_is_applied_late_is_not_lost(replica: Replica, job: Job, warehouse_db: Database) -> None:
    """Ages count from the position that was applied: by the clock, the lag would have passed before the row came."""
    origin, copy = replica.origin, replica.copy
    job = replace(job.only(LATE), source_dsn=copy.dsn)
    with job.opened() as opened:
        for attempt in range(20):  # what is applied last has to be younger than the lag when nothing more is applied
            origin.execute(INSERT, [f"before {attempt}"])
            replica.wait_for(f"before {attempt}")
            replica.hold()
            if origin.scalar("SELECT extract(epoch FROM clock_timestamp() - max(updated_at)) FROM orders") < 1.5:
                break
            replica.go_on()
        origin.execute(LATE_ROW)
        newest = "SELECT extract(epoch FROM clock_timestamp() - max(updated_at)) > %s FROM orders"
        poll(lambda: copy.scalar(newest, [LAG_SECONDS + 0.2]), 60)
        done = opened.run()
        assert not copy.scalar("SELECT count(*) FROM orders WHERE status = 'late'")
        [protected] = [check for check in done.syncs[0].checks if check.name == "cursor_protected"]
        assert not protected.passed and replica.reason in protected.description
        replica.go_on()
        replica.catch_up()
        poll(lambda: copy.scalar("SELECT count(*) FROM orders WHERE status = 'late'"), 60)
        opened.run()
        assert_invariants(copy, opened.lake, warehouse_db, [(LATE, target_of(LATE))])
        assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'late'") == 1


@pytest.mark.parametrize("how", ["it dies", "it lives on"])
def test_a_reader_endpoint_that_leads_elsewhere_meanwhile_makes_the_attempt_void(
    how: str, pair: PostgresPair, name: str, job: Job, warehouse_db: Database
) -> None:
    """From the standby to its primary: who was writing there is not comparable. Sessions of before may still answer."""
    sockets = [member.folder / ".s.PGSQL.5432" for member in (pair.standby, pair.primary)]
    with Proxy(sockets[0]) as endpoint:
        dsn = f"postgresql://{pair.standby.of(name).role}@127.0.0.1:{endpoint.port}/{name}?sslmode=disable"
        job = replace(job.only(EVENTS), source_dsn=dsn)

        def elsewhere() -> None:
            endpoint.lead_to(sockets[1])
            if how == "it dies":
                pair.standby.crash()

        strike = Strike("window opened", elsewhere)
        with job.opened() as opened:
            opened.run(strike)
            assert [fields["reason"] for fields in strike.told("attempt thrown away")] == ["attempt_void"]
            assert len(strike.told("ceiling captured")) == 2
            write(pair.primary.of(name), 1)
            opened.run()
            assert_invariants(pair.primary.of(name), opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


@pytest.mark.parametrize("cursor", [("id",), ()], ids=["chunks", "snapshot"])
def test_a_conflict_with_recovery_ends_a_query_and_not_the_sync(
    cursor: tuple[str, ...], pair: PostgresPair, name: str, lake_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40001 on a standby: VACUUM at the primary removed rows that the standby's query may still see."""
    monkeypatch.setattr(postgres_source, "BATCH_ROWS", BATCH_ROWS)
    primary, standby = pair.primary.of(name), pair.standby.of(name)
    fill(primary)
    primary.execute("CREATE TABLE gone (id int)")
    pair.catch_up()
    source = PostgresSource("shop", standby.dsn)
    spec = replace(spec_of(source), cursor=cursor, load="upsert" if cursor else "replace")
    strike = Strike("", lambda: None)

    def removed() -> str:
        primary.execute("DELETE FROM gone; INSERT INTO gone VALUES (1)")
        primary.execute("VACUUM gone")
        return primary.scalar("SELECT pg_current_wal_flush_lsn()::text")

    def conflict() -> None:
        """Wait until the standby has received what its query does not allow, and has ended it or waits for its end."""
        end, seen = removed(), Counter[object]()

        def is_met() -> bool:
            nonlocal end
            applied, received, done, reads = session.execute(APPLIED, {"end": end}).fetchall()[0]
            if done and reads:  # VACUUM left the row to somebody at the primary who may see it: autovacuum, for one
                end = removed()
            seen[applied] += received
            return not reads if done else seen[applied] > 20

        with standby.connect() as session:
            poll(is_met, 60)

    disturb(source, conflict, times=2)
    with closing(source):
        assert_read_whole(source, open_lake(f"file://{lake_dir}"), strike, spec)
    lost = "source connection lost, reading on" if cursor else "source connection lost, starting anew"
    codes = [fields["code"] for fields in strike.told(lost)]
    assert set(codes) == {"40001"} and len(codes) >= 2, "the pair's autovacuum may be a third one"


@contextmanager
def _subscribed(origin: Database, copy: Database) -> Iterator[Replica]:
    """`copy` has the tables by logical replication. A lock that lets read keeps it from applying."""
    make_tables(copy)
    copy.execute("TRUNCATE orders, items, events, countries")
    origin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    slot = f"slot_{copy.name}"
    copy.execute(
        f"CREATE SUBSCRIPTION {slot} CONNECTION 'host={origin.server.folder} user=postgres dbname={origin.name}'"
        " PUBLICATION everything"
    )
    rows = "SELECT count(*) FROM orders"
    ready = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
    poll(lambda: copy.scalar(ready) and copy.scalar(rows) == origin.scalar(rows), 60)
    holder = copy.connect(autocommit=False)
    try:
        yield Replica(
            origin,
            copy,
            "fed by logical replication",
            lambda: holder.execute("LOCK orders IN SHARE MODE") and None,
            holder.commit,
            lambda: None,
        )
    finally:
        holder.close()
        copy.execute(f"DROP SUBSCRIPTION {slot}")


def _ask(database: Database, order: str, until: str) -> None:
    database.execute(order)
    poll(lambda: database.scalar(until), 60)
