"""Ids: a ceiling is proven when those who could hold an id below it have ended, and nobody else pins it (rule 2)."""

from collections.abc import Sequence

import pytest

from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.postgres.ceilings import Ceilings
from syncer_assets_tests.sources.postgres.conftest import OpenCeilings
from syncer_assets_tests.sync.tables import transaction

SERIAL = "CREATE TABLE t (id bigserial PRIMARY KEY, v text)"
IDENTITY = "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)"
PARTITIONED = "CREATE TABLE t (id bigserial PRIMARY KEY, v text) PARTITION BY RANGE (id)"
CHILD = "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (1000)"
ONE_ROW = "INSERT INTO t (v) VALUES ('committed')"


@pytest.mark.parametrize("table", [SERIAL, IDENTITY])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_an_open_insert_pins_until_it_ends(ceilings: Ceilings, table: str, end: str) -> None:
    ceilings.database.execute(table)
    with transaction(ceilings.database, "INSERT INTO t (v) VALUES ('late')") as writer:
        ceilings.database.execute(ONE_ROW)
        capture = ceilings.capture(ceilings.spec())
        assert capture.ceiling == (2,)
        assert not ceilings.proven(ceilings.spec(), capture)
        writer.execute(end.encode())
        assert ceilings.becomes_proven(ceilings.spec(), capture)


@pytest.mark.parametrize(
    "drawn",
    [
        ["SELECT nextval('t_id_seq')"],
        ["SAVEPOINT s", "INSERT INTO t (v) VALUES ('undone')", "ROLLBACK TO s"],
        ["SAVEPOINT s", "SELECT nextval('t_id_seq')", "ROLLBACK TO s"],
    ],
)
def test_an_id_that_was_drawn_pins_though_the_table_is_not_locked(ceilings: Ceilings, drawn: Sequence[str]) -> None:
    """The lock on the sequence outlives the savepoint; the id may still be inserted."""
    ceilings.database.execute(SERIAL)
    with transaction(ceilings.database, *drawn):
        ceilings.database.execute(ONE_ROW)
        assert not ceilings.proven(ceilings.spec(), ceilings.capture(ceilings.spec()))


def test_maintenance_of_the_table_pins_nothing(ceilings: Ceilings) -> None:
    """VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY hold this lock for hours; who writes rows holds another too."""
    ceilings.database.execute(SERIAL)
    ceilings.database.execute(ONE_ROW)
    with transaction(ceilings.database, "LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"):
        assert ceilings.proven(ceilings.spec(), ceilings.capture(ceilings.spec()))


@pytest.mark.parametrize("prepared_before_the_capture", [True, False])
def test_a_prepared_transaction_pins_until_it_is_committed(
    ceilings: Ceilings, prepared_before_the_capture: bool
) -> None:
    ceilings.database.execute(SERIAL)
    name = ceilings.database.name
    prepare = f"PREPARE TRANSACTION '{name}'".encode()
    with transaction(ceilings.database, "INSERT INTO t (v) VALUES ('late')") as writer:
        ceilings.database.execute(ONE_ROW)
        if prepared_before_the_capture:
            writer.execute(prepare)
        capture = ceilings.capture(ceilings.spec())
        if not prepared_before_the_capture:
            writer.execute(prepare)
    assert not ceilings.proven(ceilings.spec(), capture)
    ceilings.database.execute(f"COMMIT PREPARED '{name}'", [])
    assert ceilings.becomes_proven(ceilings.spec(), capture)


@pytest.mark.parametrize(
    "reading",
    [
        [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "LOCK TABLE t IN ACCESS SHARE MODE",
            "SELECT count(*) FROM t",
        ],
        ["SELECT * FROM t FOR UPDATE"],
        ["SELECT last_value FROM t_id_seq"],
        ["INSERT INTO other VALUES (1)"],
    ],
)
def test_readers_dumps_and_writers_of_other_tables_never_pin(ceilings: Ceilings, reading: Sequence[str]) -> None:
    ceilings.database.execute(f"{SERIAL}; {ONE_ROW}; CREATE TABLE other (id int)")
    with transaction(ceilings.database, *reading):
        capture = ceilings.capture(ceilings.spec())
        assert capture.writers == ()
        assert ceilings.becomes_proven(ceilings.spec(), capture)


def test_writers_of_a_partition_are_seen(ceilings: Ceilings) -> None:
    ceilings.database.execute(f"{PARTITIONED}; {CHILD}; {ONE_ROW}")
    with transaction(ceilings.database, "INSERT INTO t_1 (id, v) VALUES (0, 'straight into the child')"):
        assert not ceilings.proven(ceilings.spec(), ceilings.capture(ceilings.spec()))


def test_a_plain_role_sees_the_writers(open_ceilings: OpenCeilings, source_db: Database, reader: str) -> None:
    source_db.execute(f"{SERIAL}; {ONE_ROW}")
    as_reader = open_ceilings(reader)
    with transaction(source_db, "INSERT INTO t (v) VALUES ('late')") as writer:
        source_db.execute(ONE_ROW)
        capture = as_reader.capture(as_reader.spec())
        assert not as_reader.proven(as_reader.spec(), capture)
        writer.commit()
        assert as_reader.becomes_proven(as_reader.spec(), capture)


def test_a_session_that_began_anew_is_another_writer(ceilings: Ceilings) -> None:
    """A busy application does not pin for ever: only the transactions that were listed have to end."""
    ceilings.database.execute(SERIAL)
    with transaction(ceilings.database, ONE_ROW) as writer:
        ceilings.database.execute(ONE_ROW)
        capture = ceilings.capture(ceilings.spec())
        writer.commit()
        writer.execute(ONE_ROW.encode())
        assert ceilings.becomes_proven(ceilings.spec(), capture)


def test_writers_of_another_database_never_pin(ceilings: Ceilings, database: Database) -> None:
    ceilings.database.execute(f"{SERIAL}; {ONE_ROW}")
    database.execute(SERIAL)
    with transaction(database, ONE_ROW):
        assert ceilings.capture(ceilings.spec()).writers == ()
