"""Which ceilings are proven on a MariaDB, and which are not while somebody can still write below them (rule 3)."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event, Thread

import pymysql
import pytest

from syncer_assets.model.capture import Capture
from syncer_assets.model.errors import SyncError
from syncer_assets.sources.mysql import MySQLSource, proof
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sources.mysql.rig import Ceilings, transaction

TABLE = """
CREATE TABLE t (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, updated_at timestamp(6) NOT NULL DEFAULT now(6),
                KEY (updated_at))
"""
ONE_ROW = "INSERT INTO t () VALUES ()"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def table(maria_db: MariaDatabase) -> None:
    maria_db.execute(TABLE)
    maria_db.execute(ONE_ROW)


@contextmanager
def poller(database: MariaDatabase) -> Iterator[None]:
    """Somebody who looks at the list of transactions all the time, so that it is never renewed."""
    stop = Event()

    def look() -> None:
        with closing(database.connect()) as connection, connection.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("SELECT COUNT(*) FROM information_schema.INNODB_TRX")
                cursor.fetchall()

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("cursor", ["id", "updated_at"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_writer_pins_until_it_ends(ceilings: Ceilings, cursor: str, end: str) -> None:
    spec = ceilings.spec(cursor)
    with transaction(ceilings.database, ONE_ROW) as writer:
        ceilings.database.execute(ONE_ROW)
        capture = ceilings.capture(spec)
        assert len(capture.writers) == 1 and not ceilings.proven(spec, capture)
        writer.execute(end)
        assert ceilings.becomes_proven(spec, capture)


@pytest.mark.parametrize("cursor", ["id", "updated_at"])
def test_a_quiet_server_proves_at_once(ceilings: Ceilings, cursor: str) -> None:
    spec = ceilings.spec(cursor)
    capture = ceilings.capture(spec)
    assert capture.writers == () and capture.proven and ceilings.proven(spec, capture)


def test_readers_do_not_pin(ceilings: Ceilings) -> None:
    """Those that say so: of others the server cannot know."""
    spec = ceilings.spec()
    with transaction(ceilings.database, "START TRANSACTION READ ONLY", "SELECT * FROM t"):
        assert ceilings.proven(spec, ceilings.capture(spec))


def test_a_writer_that_began_after_the_capture_does_not_pin(ceilings: Ceilings) -> None:
    spec = ceilings.spec()
    capture = ceilings.capture(spec)
    with transaction(ceilings.database, ONE_ROW):
        assert ceilings.proven(spec, capture)


def test_a_writer_that_goes_on_with_another_transaction_does_not_pin(ceilings: Ceilings) -> None:
    spec = ceilings.spec()
    with transaction(ceilings.database, ONE_ROW) as writer:
        capture = ceilings.capture(spec)
        writer.execute("COMMIT")
        later = ceilings.database.scalar("SELECT NOW(6) + INTERVAL 1.5 SECOND")  # beginnings are told in seconds
        poll(lambda: ceilings.database.scalar("SELECT NOW(6)") > later, 60)
        writer.execute(ONE_ROW)
        assert ceilings.becomes_proven(spec, capture)


def test_an_update_of_an_old_row_pins_its_time(ceilings: Ceilings) -> None:
    spec = ceilings.spec("updated_at")
    with transaction(ceilings.database, "UPDATE t SET updated_at = now(6) WHERE id = 1"):
        ceilings.database.execute(ONE_ROW)
        assert not ceilings.proven(spec, ceilings.capture(spec))


@pytest.mark.parametrize("detached_before_the_capture", [True, False])
def test_a_prepared_transaction_without_a_session_pins_until_it_is_committed(
    ceilings: Ceilings, detached_before_the_capture: bool
) -> None:
    spec, name = ceilings.spec(), ceilings.database.name
    writer = ceilings.database.connect()
    cursor = writer.cursor()
    for statement in (f"XA START '{name}'", ONE_ROW, f"XA END '{name}'", f"XA PREPARE '{name}'"):
        cursor.execute(statement)
    if detached_before_the_capture:
        detach(ceilings.database, writer)
    ceilings.database.execute(ONE_ROW)
    capture = ceilings.capture(spec)
    if not detached_before_the_capture:
        detach(ceilings.database, writer)
    assert [ceilings.proven(spec, capture) for _ in range(3)] == [False] * 3
    ceilings.database.execute(f"XA COMMIT '{name}'")
    assert ceilings.becomes_proven(spec, capture)


def detach(database: MariaDatabase, writer: pymysql.connections.Connection) -> None:
    thread = writer.thread_id()
    writer.close()
    poll(lambda: not database.execute(f"SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = {thread}"), 60)


def test_a_list_that_is_not_renewed_proves_nothing(ceilings: Ceilings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be of a time before the writer: without the look for our own transaction this one would be lost."""
    monkeypatch.setattr(proof, "LISTING_SECONDS_MOST", 0.5)
    spec = ceilings.spec()
    with poller(ceilings.database), transaction(ceilings.database, ONE_ROW):
        ceilings.database.execute(ONE_ROW)
        capture = ceilings.capture(spec)
        assert capture.writers == (proof.UNLISTED,)
        assert not ceilings.proven(spec, capture)
    assert not ceilings.proven(spec, capture)
    later = ceilings.capture(spec)
    assert ceilings.becomes_proven(spec, later)


def test_users_that_cannot_write_may_be_ignored(ceilings: Ceilings) -> None:
    with transaction(ceilings.database, "SELECT * FROM t"):
        assert not ceilings.proven(ceilings.spec(), ceilings.capture(ceilings.spec()))
        spec = ceilings.spec(ignore_roles=("root",))
        assert ceilings.proven(spec, ceilings.capture(spec))


def test_captures_of_another_server_are_void(ceilings: Ceilings) -> None:
    spec = ceilings.spec()
    capture = replace(ceilings.capture(spec), server="another")
    assert ceilings.source.judge(spec, ceilings.resolved(spec).order, [capture]) == []


def test_only_what_is_older_than_the_lag_can_become_safe(ceilings: Ceilings) -> None:
    capture = ceilings.capture(ceilings.spec("updated_at", late_commit_lag=HOUR))
    assert capture.provable == (capture.source_time - HOUR,)
    assert capture.ceiling[0] <= capture.source_time  # type: ignore[operator]  # both are times


def test_a_naive_time_is_compared_in_its_zone(ceilings: Ceilings) -> None:
    ceilings.database.script("CREATE TABLE n (id int PRIMARY KEY, at datetime(3) NOT NULL)")
    ceilings.database.execute("INSERT INTO n VALUES (1, UTC_TIMESTAMP(3) + INTERVAL 9 HOUR)")
    capture = ceilings.capture(ceilings.spec("at", "n", cursor_zone="Asia/Tokyo", late_commit_lag=HOUR))
    assert isinstance(capture.provable, tuple) and isinstance(capture.provable[0], datetime)
    assert capture.provable[0] == capture.source_time.replace(tzinfo=None) + timedelta(hours=8)


def test_a_sentinel_above_auto_increment_is_no_ceiling(ceilings: Ceilings) -> None:
    """MariaDB raises AUTO_INCREMENT with an INSERT; a replica or an import may leave it behind, as ALTER cannot."""
    spec = ceilings.spec()
    capture = ceilings.capture(spec)
    assert capture.allocated == (1,) and capture.sentinel is None
    ceilings.database.execute("INSERT INTO t (id) VALUES (%s)", (2**63,))
    capture = ceilings.capture(spec)
    assert capture.ceiling == (2**63,) == capture.allocated


def test_deleted_ids_are_seen_to_have_been_handed_out(ceilings: Ceilings) -> None:
    """So that a table whose newest rows were deleted is not taken for another one."""
    for _ in range(5):
        ceilings.database.execute(ONE_ROW)
    ceilings.database.execute("DELETE FROM t WHERE id > 2")
    capture = ceilings.capture(ceilings.spec())
    assert (capture.ceiling, capture.allocated) == ((2,), (6,))


def test_a_date_that_does_not_exist_is_no_ceiling(ceilings: Ceilings) -> None:
    with closing(ceilings.database.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute("CREATE TABLE z (id int PRIMARY KEY, d date NOT NULL)")
        cursor.execute("INSERT INTO z VALUES (1, '0000-00-00')")
    with pytest.raises(SyncError, match=r"z: d holds a date that does not exist.*load: replace"):
        ceilings.capture(ceilings.spec("d", "z"))


def test_the_end_of_time_is_no_ceiling(ceilings: Ceilings) -> None:
    ceilings.database.script("CREATE TABLE z (id int PRIMARY KEY, d date NOT NULL)")
    ceilings.database.execute("INSERT INTO z VALUES (1, '2024-02-01'), (2, '9999-12-31')")
    assert str(ceilings.capture(ceilings.spec("d", "z")).ceiling[0]) == "2024-02-01"


def test_many_captures_at_a_time_see_every_writer(ceilings: Ceilings, maria_db: MariaDatabase) -> None:
    """Each one's probe starves the others of a new list; none may take an old one for the list of now."""
    spec = ceilings.spec()
    sources = [MySQLSource("shop", maria_db.dsn) for _ in range(4)]
    found: list[Capture] = []
    with transaction(ceilings.database, ONE_ROW):
        ceilings.database.execute(ONE_ROW)
        threads = [
            Thread(target=lambda source=source: found.append(Ceilings(maria_db, source).capture(spec)))
            for source in sources
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for source in sources:
        source.close()
    assert len(found) == 4 and all(capture.writers for capture in found)
