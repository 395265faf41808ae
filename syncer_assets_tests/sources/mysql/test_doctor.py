"""What the doctor finds on a server as it is, and what each right is for."""

from collections.abc import Callable
from contextlib import closing

from syncer_assets.sources.mysql import MySQLSource, doctor
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sources.mysql.rig import transaction

OpenSource = Callable[..., MySQLSource]
RECOMMENDED = ("SELECT ON {db}.*", "PROCESS, REPLICATION CLIENT, REPLICA MONITOR ON *.*")


def red(source: MySQLSource) -> dict[str, str]:
    return {result.name: result.description for result in source.doctor() if not result.passed}


def test_the_recommended_role_has_no_finding(open_source: OpenSource) -> None:
    assert red(open_source(*RECOMMENDED)) == {}
    assert all(result.description for result in open_source("SELECT ON {db}.*").doctor())


def test_a_role_that_only_selects_is_told_what_it_misses(open_source: OpenSource) -> None:
    [(name, text)] = red(open_source("SELECT ON {db}.*")).items()
    assert name == "process" and "GRANT PROCESS ON *.*" in text and "late_commit_lag" in text


def test_a_role_that_may_write_is_named(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute(f"GRANT ALL PRIVILEGES ON *.* TO {maria_db.role}")
    assert "ALL PRIVILEGES" in red(source)["role"] and doctor.GRANTS in red(source)["role"]


def test_other_engines_are_named(maria_db: MariaDatabase, open_source: OpenSource) -> None:
    maria_db.execute("CREATE TABLE old (id int) ENGINE=MyISAM")
    assert "old (MyISAM)" in red(open_source(*RECOMMENDED))["engine"]


def test_a_server_for_many_ids_at_once_is_named(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("SET GLOBAL auto_increment_increment = 2")
    try:
        assert "cluster" in red(source)
    finally:
        maria_db.execute("SET GLOBAL auto_increment_increment = 1")


def test_a_read_only_server_that_may_be_a_replica_is_named(maria_db: MariaDatabase, open_source: OpenSource) -> None:
    blind = open_source("SELECT ON {db}.*", "PROCESS ON *.*")
    maria_db.execute("SET GLOBAL read_only = 1")
    try:
        assert "REPLICA MONITOR" in red(blind)["primary"]
    finally:
        maria_db.execute("SET GLOBAL read_only = 0")
    assert "primary" not in red(blind)


def test_transactions_that_are_open_for_long_are_counted(maria_db: MariaDatabase, source: MySQLSource) -> None:
    maria_db.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    statement = doctor._LONG_OPEN.replace("> 3600", "> 0")
    with (
        closing(source._open()) as session,
        session.cursor() as cursor,
        transaction(maria_db, "INSERT INTO t () VALUES ()"),
    ):
        poll(lambda: cursor.execute(statement) and cursor.fetchall()[0][0] == 1, 60, every_seconds=0.2)
