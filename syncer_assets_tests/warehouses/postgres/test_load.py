"""The order of a load: epoch, staging, one transaction, and a COMMIT that may give no answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from syncer_assets.model.errors import (
    DbError,
    LakeCorrupt,
    LostRace,
    SchemaChanged,
    SyncError,
)
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres import load as load_module
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import Extraction, Loads, at


def state(database: Database) -> tuple[list, list, list]:
    """Everything that a load may change; the epoch moves on with each attempt."""
    table = database.scalar("SELECT to_regclass('shop.orders')::text")
    return (
        database.execute("SELECT id, status, xmin::text FROM shop.orders ORDER BY 1, 2") if table else [],
        database.execute("SELECT partition_key, seq, low, safe, high FROM _syncer.watermarks ORDER BY 1"),
        database.execute("SELECT partition_key, seq, rows_in, manifest_sha256 FROM _syncer.loads ORDER BY 1, 2"),
    )


def test_a_stale_epoch_is_fenced_even_at_the_right_position(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other load has taken the epoch but loaded nothing yet: only the epoch tells that two are at it."""
    orders.load([(1, "a")])
    before = state(warehouse_db)
    fence = load_module.ledger.fence

    def late_fence(connection: psycopg.Connection, plan, epoch: int) -> None:
        warehouse_db.execute("UPDATE _syncer.targets SET epoch = epoch + 1")
        fence(connection, plan, epoch)

    monkeypatch.setattr(load_module.ledger, "fence", late_fence)
    with pytest.raises(LostRace, match="another load took the target over"):
        orders.load([(1, "b")])
    assert state(warehouse_db) == before


def test_a_table_that_changed_while_rows_were_staged_is_looked_at_anew(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.load([(1, "a")])
    fence = load_module.ledger.fence

    def late_fence(connection: psycopg.Connection, plan, epoch: int) -> None:
        warehouse_db.execute("ALTER TABLE shop.orders ALTER COLUMN status TYPE varchar(1)")
        fence(connection, plan, epoch)

    with monkeypatch.context() as patch, pytest.raises(SyncError) as raised:
        patch.setattr(load_module.ledger, "fence", late_fence)
        orders.load([(1, "b")])
    assert isinstance(raised.value, LostRace | SchemaChanged)
    assert orders.warehouse.watermark(orders.target, "all").seq == 1


def test_whatever_words_a_lost_connection_finds_the_ledger_is_asked(
    orders: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(connection: psycopg.Connection) -> None:
        connection.execute("COMMIT")
        raise psycopg.OperationalError("SSL SYSCALL error: EOF detected")

    monkeypatch.setattr(load_module, "commit", commit)
    assert orders.load([(1, "a")]).rows_inserted == 1


def test_the_ledger_is_not_read_before_the_lost_session_has_ended(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has lost its connection, but the server is still busy and will commit a moment later."""
    orders.load([(1, "a")])
    handed_over: list[psycopg.Connection] = []

    def commit(connection: psycopg.Connection) -> None:
        handed_over.append(connection)
        threading.Timer(1.0, lambda: psycopg.Connection.execute(connection, "COMMIT")).start()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    @contextmanager
    def leave_open(connection: psycopg.Connection) -> Iterator[None]:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        yield

    monkeypatch.setattr(load_module, "commit", commit)
    monkeypatch.setattr(load_module, "transaction", leave_open)
    report = orders.load([(1, "b")])
    assert report.rows_updated == 1 and len(handed_over) == 1
    assert [row[:2] for row in state(warehouse_db)[0]] == [(1, "b")]


@pytest.mark.parametrize("first", [True, False])
def test_a_corrupt_file_leaves_the_target_untouched(orders: Loads, warehouse_db: Database, first: bool) -> None:
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b")]), Extraction([(2, "b")])])
    before, good = state(warehouse_db), plan.open_file

    @contextmanager
    def open_file(file):
        if file.path == plan.files[-1].file.path:
            raise LakeCorrupt("part-0.parquet has another hash")
        with good(file) as batches:
            yield batches

    with pytest.raises(LakeCorrupt):
        orders.warehouse.load(replace(plan, open_file=open_file))
    assert state(warehouse_db) == before


def test_a_killed_backend_while_staging_is_worth_a_retry(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    plan = orders.plan([Extraction([(n, "b" * 1000) for n in range(20_000)])])
    good = plan.open_file

    @contextmanager
    def open_file(file):
        with good(file) as batches:
            warehouse_db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'COPY%'"
            )
            yield batches

    with pytest.raises(DbError) as raised:
        orders.warehouse.load(replace(plan, open_file=open_file))
    assert raised.value.retryable
    assert orders.load([(1, "b")]).rows_updated == 1


def test_a_load_waits_for_the_one_that_merges(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    impatient = Loads(PostgresWarehouse("w", warehouse_db.dsn, {"lock_timeout": "200ms"}), registered=True)
    plan = impatient.plan([Extraction([(1, "b")])])
    with warehouse_db.connect(autocommit=False) as other:
        other.execute("UPDATE _syncer.targets SET updated_at = now()")
        with pytest.raises(DbError) as raised:
            impatient.warehouse.load(plan)
    assert (raised.value.code, raised.value.retryable) == ("55P03", True)
    impatient.warehouse.close()


def test_no_session_and_no_staging_table_is_left(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    orders.load([(1, "b")])
    orders.warehouse.close()
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'syncer_assets' AND datname = %s"
    poll(lambda: warehouse_db.scalar(sessions, [warehouse_db.name]) == 0, 60)
    assert warehouse_db.scalar("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_syncer%%'") == 0


def test_captured_at_is_kept_to_the_microsecond(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")], captured=0.123457)
    assert warehouse_db.scalar("SELECT _syncer_captured_at FROM shop.orders") == at(0.123457)


def test_the_ledger_has_what_a_load_took(orders: Loads) -> None:
    """Bytes and files a manifest; seconds, COPYs and WAL with the last one of the load."""
    plan = orders.plan([Extraction([(1, "a"), (2, "a")]), Extraction([(3, "b")])])
    report = orders.warehouse.load(plan)
    first, last = orders.warehouse.ledger(orders.target)
    assert (first.files, last.files) == (1, 1)
    assert [first.bytes, last.bytes] == [live.file.bytes for live in plan.files]
    assert (first.seconds, first.copies, first.wal_bytes) == (None, None, None)
    assert last.seconds is not None and 0 < last.seconds <= report.seconds
    assert last.copies == 1
    assert last.wal_bytes is not None and report.wal_bytes is not None and 0 < last.wal_bytes <= report.wal_bytes
    orders.load_all([Extraction([])])
    nothing = orders.warehouse.ledger(orders.target)[-1]
    assert (nothing.files, nothing.bytes, nothing.copies) == (0, 0, 0)


def test_a_ledger_of_an_earlier_release_is_read_and_then_extended(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    for column in ("bytes", "files", "copies", "wal_bytes"):
        warehouse_db.execute(f"ALTER TABLE _syncer.loads DROP COLUMN {column}")
    (old,) = orders.warehouse.ledger(orders.target)
    assert (old.rows_in, old.bytes, old.copies) == (1, None, None)
    orders.register()
    orders.load([(2, "b")])
    old, new = orders.warehouse.ledger(orders.target)
    assert (old.bytes, old.copies, new.copies) == (None, None, 1)
