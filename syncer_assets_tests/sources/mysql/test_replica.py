"""A replica: nobody who writes is to be seen there, and its time is that of what it has applied."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pymysql
import pytest

from syncer_assets.sources.mysql import MySQLSource, allocation
from syncer_assets_tests.mariadb import PASSWORD, MariaDatabase, MariaDB
from syncer_assets_tests.servers import missing, poll
from syncer_assets_tests.sources.mysql.rig import Ceilings, user


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[MariaDB, MariaDB]]:
    """A primary, and the replica that follows it."""
    if MariaDB.program() is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    primary = MariaDB(["--log-bin=b", "--server-id=1", "--binlog-format=row"])
    replica = MariaDB(["--server-id=2", "--read-only=1"])
    try:
        primary.start()
        replica.start()
        with closing(replica.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%s, MASTER_USER='root', MASTER_PASSWORD=%s,"
                " MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1",
                (primary.port, PASSWORD),
            )
            cursor.execute("START SLAVE")
        yield primary, replica
    finally:
        replica.stop()
        primary.stop()


def test_a_replica_is_protected_by_the_lag_of_its_applied_time(pair: tuple[MariaDB, MariaDB]) -> None:
    primary = MariaDatabase.create(pair[0], "shop")
    primary.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, at timestamp(6) NOT NULL DEFAULT now(6))")
    primary.execute("INSERT INTO t () VALUES ()")
    primary.execute(f"GRANT REPLICA MONITOR ON *.* TO {primary.role}")
    replica = MariaDatabase(pair[1], primary.name, primary.role)
    poll(lambda: has_row(replica), 60)
    source = MySQLSource("shop", replica.dsn)
    ceilings = Ceilings(replica, source)
    found = ceilings.protection(ceilings.spec("at"))
    assert (found.proof, found.protected, found.risk) == ("lag", False, "replica")
    applied = source.clock("t", "at")
    assert timedelta(0) < datetime.now(UTC) - applied < timedelta(minutes=5)
    [finding] = [result for result in source.doctor() if result.name == "primary"]
    assert not finding.passed and "is a replica" in finding.description

    replica.execute("STOP SLAVE SQL_THREAD")
    assert source.clock("t", "at") == allocation.EPOCH  # it cannot be told how far it is: nothing becomes final
    spec = ceilings.spec("id", late_commit_lag=timedelta(minutes=5))
    assert not ceilings.proven(spec, ceilings.capture(spec))
    times = ceilings.capture(ceilings.spec("at", late_commit_lag=timedelta(minutes=5)))
    assert times.provable is not None and times.provable[0] < allocation.EPOCH  # type: ignore[operator]  # a time
    source.close()


def test_a_replica_that_takes_writes_is_known_by_its_appliers(pair: tuple[MariaDB, MariaDB]) -> None:
    """The role may not ask whom it follows, and nothing else tells it from a primary."""
    primary = MariaDatabase.create(pair[0], "other")
    primary.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    primary.execute("INSERT INTO t () VALUES ()")
    replica = MariaDatabase(pair[1], primary.name, primary.role)
    with closing(pair[1].connect()) as connection, connection.cursor() as cursor:
        cursor.execute("START SLAVE SQL_THREAD")
    assert poll(lambda: has_row(replica), 60)
    replica.execute("SET GLOBAL read_only = 0")
    source = MySQLSource("shop", replica.dsn_as(user(replica, ["SELECT ON {db}.*", "PROCESS ON *.*"]), "secret"))
    ceilings = Ceilings(replica, source)
    try:
        found = ceilings.protection(ceilings.spec())
        assert (found.proof, found.protected, found.risk) == ("lag", False, "replica")
        assert source.clock("t", "id") == allocation.EPOCH
    finally:
        source.close()
        replica.execute("SET GLOBAL read_only = 1")


def test_a_read_only_server_that_follows_nobody_is_no_primary(
    maria_db: MariaDatabase, source: MySQLSource, ceilings: Ceilings
) -> None:
    """A reader of a shared disk, or a secondary of a group: an open transaction of the writer is nowhere to be seen,
    and its id may be below the highest."""
    maria_db.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    maria_db.execute("INSERT INTO t () VALUES ()")
    assert ceilings.protection(ceilings.spec()).protected
    maria_db.execute("SET GLOBAL read_only = 1")
    try:
        found = ceilings.protection(ceilings.spec())
        assert (found.proof, found.protected, found.risk) == ("lag", False, "replica")
        lagging = ceilings.spec(late_commit_lag=timedelta(minutes=5))
        assert not ceilings.proven(lagging, ceilings.capture(lagging))
        spec = ceilings.spec()
        assert ceilings.proven(spec, ceilings.capture(spec)), "the lag counts from the server's time"
    finally:
        maria_db.execute("SET GLOBAL read_only = 0")


def has_row(database: MariaDatabase) -> bool:
    try:
        return bool(database.execute("SELECT 1 FROM t"))
    except pymysql.MySQLError:
        return False
