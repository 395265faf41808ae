"""Where late commits cannot be ruled out, the table says so and why (rule 5)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from syncer_assets.model.marks import CursorColumn
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.mysql.allocation import Allocation, protection
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sources.mysql.rig import Ceilings

OpenSource = Callable[..., MySQLSource]

ID = CursorColumn("id", "integer")
TIME = CursorColumn("at", "timestamptz")
FINE = Allocation("InnoDB", True, False, 1, False, True, None)


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE t (id bigint unsigned AUTO_INCREMENT PRIMARY KEY)",
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
        "CREATE TABLE t (a int, id int AUTO_INCREMENT, PRIMARY KEY (a, id), KEY (id))",
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM",
        "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY) ENGINE=Aria",
    ],
)
def test_ids_of_auto_increment_are_protected(ceilings: Ceilings, table: str) -> None:
    ceilings.database.execute(table)
    assert ceilings.protection(ceilings.spec()).protected


def test_times_are_protected(ceilings: Ceilings) -> None:
    ceilings.database.execute("CREATE TABLE t (id int PRIMARY KEY, at timestamp(6) NOT NULL)")
    assert ceilings.protection(ceilings.spec("at")).protected


@pytest.mark.parametrize(
    ("statements", "cursor", "risk", "reason"),
    [
        ("CREATE TABLE t (id int PRIMARY KEY)", "id", "ids_from_elsewhere", "not drawn by AUTO_INCREMENT"),
        (
            "CREATE SEQUENCE s; CREATE TABLE t (id bigint DEFAULT nextval(s) PRIMARY KEY)",
            "id",
            "ids_in_blocks",
            "drawn from a SEQUENCE",
        ),
        ("CREATE TABLE t (id decimal(20,0) PRIMARY KEY)", "id", "cursor_goes_back", "decimal cursor need not grow"),
        (
            "CREATE TABLE t (id int PRIMARY KEY, at timestamp(6) NOT NULL) ENGINE=MyISAM",
            "at",
            "not_transactional",
            "a MyISAM table writes a time of before",
        ),
        (
            "CREATE TABLE u (id int AUTO_INCREMENT PRIMARY KEY); CREATE VIEW t AS SELECT * FROM u",
            "id",
            "no_table",
            "no ordinary table",
        ),
    ],
)
def test_others_are_not_protected(ceilings: Ceilings, statements: str, cursor: str, risk: str, reason: str) -> None:
    ceilings.database.script(statements)
    found = ceilings.protection(ceilings.spec(cursor, key=("id",)))
    assert (found.protected, found.risk) == (False, risk) and reason in found.reason


@pytest.mark.parametrize(
    ("facts", "cursor", "risk"),
    [
        (replace(FINE, increment=2), ID, "ids_in_blocks"),
        (replace(FINE, clustered=True), ID, "galera"),
        (replace(FINE, clustered=True), TIME, "galera"),
        (replace(FINE, applied_until=datetime(2024, 1, 1, tzinfo=UTC)), TIME, "replica"),
        (replace(FINE, engine="RocksDB"), TIME, "no_table"),
        (replace(FINE, sees_writers=False), TIME, "writers_hidden"),
    ],
)
def test_what_one_server_cannot_show(facts: Allocation, cursor: CursorColumn, risk: str) -> None:
    """A unit test: of servers that are not to be had here."""
    assert protection(cursor, FINE).protected
    found = protection(cursor, facts)
    assert (found.protected, found.risk) == (False, risk)
    assert found.proof == ("writers_finished" if risk == "ids_in_blocks" else "lag")


def test_without_the_right_to_list_transactions_the_lag_is_the_proof(
    maria_db: MariaDatabase,
    open_source: OpenSource,
) -> None:
    maria_db.script("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, at timestamp(6) NOT NULL DEFAULT now(6))")
    maria_db.execute("INSERT INTO t () VALUES ()")
    blind: MySQLSource = open_source("SELECT ON {db}.*")
    as_blind = Ceilings(maria_db, blind)
    found = as_blind.protection(as_blind.spec())
    assert (found.proof, found.risk) == ("lag", "writers_hidden") and "GRANT PROCESS" in found.reason
    waiting = as_blind.spec(late_commit_lag=timedelta(hours=1))
    capture = as_blind.capture(waiting)
    assert capture.proof == "lag" and not as_blind.proven(waiting, capture)
    assert as_blind.proven(as_blind.spec(), capture)
    at = as_blind.capture(as_blind.spec("at", late_commit_lag=timedelta(hours=1)))
    assert at.proven and at.provable == (at.source_time - timedelta(hours=1),)


def test_with_the_right_the_writers_are_the_proof(maria_db: MariaDatabase, open_source: OpenSource) -> None:
    maria_db.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)")
    maria_db.execute("INSERT INTO t () VALUES ()")
    seeing = Ceilings(maria_db, open_source("SELECT ON {db}.*", "PROCESS ON *.*"))
    assert seeing.protection(seeing.spec()).protected
    assert seeing.proven(seeing.spec(), seeing.capture(seeing.spec()))


def test_myisam_needs_no_list(ceilings: Ceilings) -> None:
    """Its ids are drawn, written and seen under the table's lock, one statement after the other."""
    ceilings.database.execute("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY) ENGINE=MyISAM")
    ceilings.database.execute("INSERT INTO t () VALUES (), ()")
    capture = ceilings.capture(ceilings.spec())
    assert capture.writers == () and ceilings.proven(ceilings.spec(), capture)
