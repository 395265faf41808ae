"""Times: every transaction of the database could write `now()`, so all that were open have to end (rule 2)."""

from contextlib import closing
from typing import Any

import pytest

from syncer_assets.drivers import postgres
from syncer_assets.sources.base import Read
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets_tests.privileges import role_of
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.sources.postgres.ceilings import Ceilings
from syncer_assets_tests.sources.postgres.conftest import OpenCeilings
from syncer_assets_tests.sync.tables import transaction

TABLE = "CREATE TABLE t (id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())"
ONE_ROW = "INSERT INTO t DEFAULT VALUES"
NOTHING_YET = "SELECT now()"


def at_once(ceilings: Ceilings, **fields: Any) -> bool:
    """Whether a ceiling captured now is proven now."""
    spec = ceilings.spec("updated_at", **fields)
    return ceilings.proven(spec, ceilings.capture(spec))


def soon(ceilings: Ceilings, **fields: Any) -> bool:
    return poll(lambda: at_once(ceilings, **fields), 60)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_transaction_that_has_written_nothing_yet_pins_until_it_ends(ceilings: Ceilings, end: str) -> None:
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    spec = ceilings.spec("updated_at")
    with transaction(ceilings.database, NOTHING_YET) as writer:
        ceilings.database.execute(ONE_ROW)
        capture = ceilings.capture(spec)
        assert not ceilings.proven(spec, capture)
        writer.execute(end.encode())
        assert ceilings.becomes_proven(spec, capture)


@pytest.mark.parametrize("prepared_before_the_capture", [True, False])
def test_a_prepared_transaction_pins_until_it_is_committed(
    ceilings: Ceilings, prepared_before_the_capture: bool
) -> None:
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    name, spec = ceilings.database.name, ceilings.spec("updated_at")
    prepare = f"PREPARE TRANSACTION '{name}'".encode()
    with transaction(ceilings.database, ONE_ROW) as writer:
        if prepared_before_the_capture:
            writer.execute(prepare)
        capture = ceilings.capture(spec)
        if not prepared_before_the_capture:
            writer.execute(prepare)
    assert not ceilings.proven(spec, capture)
    ceilings.database.execute(f"COMMIT PREPARED '{name}'", [])
    assert ceilings.becomes_proven(spec, capture)


def test_transactions_prepared_after_the_writers_ended_do_not_pin(ceilings: Ceilings) -> None:
    """They are listed once: else a stream of short ones would pin for ever."""
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    name, spec = ceilings.database.name, ceilings.spec("updated_at")
    with transaction(ceilings.database, ONE_ROW) as writer:
        writer.execute(f"PREPARE TRANSACTION '{name}-1'".encode())
        capture = ceilings.judge(spec, ceilings.capture(spec))
        assert capture.prepared == (f"{name}-1",)
    with transaction(ceilings.database, ONE_ROW) as later:
        later.execute(f"PREPARE TRANSACTION '{name}-2'".encode())
    ceilings.database.execute(f"ROLLBACK PREPARED '{name}-1'", [])
    assert ceilings.becomes_proven(spec, capture)
    ceilings.database.execute(f"ROLLBACK PREPARED '{name}-2'", [])


def test_transactions_of_another_database_do_not_pin(ceilings: Ceilings, database: Database) -> None:
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    with transaction(database, NOTHING_YET) as elsewhere:
        assert soon(ceilings)
        elsewhere.execute(f"PREPARE TRANSACTION '{database.name}'".encode())
    assert soon(ceilings)
    database.execute(f"ROLLBACK PREPARED '{database.name}'", [])


def test_roles_that_cannot_write_may_be_ignored(ceilings: Ceilings, reader: str) -> None:
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    with transaction(ceilings.database, NOTHING_YET, role=reader):
        assert not at_once(ceilings)
        assert soon(ceilings, ignore_roles=(reader,))


def test_a_plain_role_sees_the_writers_and_its_own_sessions_do_not_pin(
    open_ceilings: OpenCeilings, source_db: Database, reader: str
) -> None:
    source_db.execute(f"{TABLE}; {ONE_ROW}")
    as_reader = open_ceilings(reader)
    with transaction(source_db, NOTHING_YET, role=reader):
        assert soon(as_reader)
    with transaction(source_db, NOTHING_YET):
        assert not at_once(as_reader)


def test_sessions_of_our_own_role_pin_where_it_may_write(
    open_ceilings: OpenCeilings, source_db: Database, reader: str
) -> None:
    source_db.execute(f"{TABLE}; {ONE_ROW}; GRANT INSERT ON t TO {reader}")
    with transaction(source_db, NOTHING_YET, role=reader):
        assert not at_once(open_ceilings(reader))


@pytest.mark.parametrize(
    "able",
    [
        "CREATE ROLE writer_{0}; GRANT INSERT ON t TO writer_{0}; ALTER ROLE {0} NOINHERIT; GRANT writer_{0} TO {0}",
        "CREATE TABLE part () INHERITS (t); GRANT INSERT ON part TO {0}",
    ],
    ids=["by a role that it may take on", "by a child of its own name"],
)
def test_sessions_of_our_own_role_pin_where_it_may_come_to_write(
    open_ceilings: OpenCeilings, source_db: Database, reader: str, able: str
) -> None:
    source_db.execute(f"{TABLE}; {ONE_ROW}; {able.format(reader)}")
    try:
        with transaction(source_db, NOTHING_YET, role=reader):
            assert not at_once(open_ceilings(reader))
    finally:
        source_db.execute(
            f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'writer_{reader}') THEN"
            f" DROP OWNED BY writer_{reader}; DROP ROLE writer_{reader}; END IF; END $$"
        )


def test_reads_of_our_own_do_not_pin_even_where_the_role_may_write(ceilings: Ceilings) -> None:
    """Another table of the same source, read for an hour by another process."""
    ceilings.database.execute(f"{TABLE}; INSERT INTO t SELECT g, now() FROM generate_series(1, 200000) g")
    other = PostgresSource("shop", ceilings.database.dsn)
    facts = other.describe("public.t")
    rows = other.read(Read(table="public.t", columns=facts.columns, order=()))
    with closing(rows):  # type: ignore[type-var]  # a generator
        next(rows)
        assert soon(ceilings)
    other.close()


def test_a_load_by_our_own_role_pins(ceilings: Ceilings) -> None:
    """A warehouse that is a source of another sync: the session that loads it writes, whatever its name."""
    ceilings.database.execute(f"{TABLE}; {ONE_ROW}")
    ceilings.database.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA public TO {role_of(ceilings.database.name)}")
    with postgres.connect(ceilings.database.dsn, who="warehouse", autocommit=False) as loading:
        loading.execute(NOTHING_YET)
        assert not at_once(ceilings)
