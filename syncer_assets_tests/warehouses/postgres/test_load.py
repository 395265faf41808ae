"""The order of a load: epoch, staging, one transaction, and a COMMIT that may give no answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from syncer_assets.model.errors import (
    AssertionFailed,
    DbError,
    IdentityChanged,
    LakeCorrupt,
    LostRace,
    SchemaChanged,
    SyncError,
)
from syncer_assets.warehouses.base import LiveFile
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres import load as load_module
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import GENERATION, Extraction, Loads, at


def state(database: Database) -> tuple[list, list, list]:
    """Everything that a load may change; the epoch moves on with each attempt."""
    table = database.scalar("SELECT to_regclass('shop.orders')::text")
    return (
        database.execute("SELECT id, status, xmin::text FROM shop.orders ORDER BY 1, 2") if table else [],
        database.execute("SELECT partition_key, seq, low, safe, high FROM _syncer.watermarks ORDER BY 1"),
        database.execute("SELECT partition_key, seq, rows_in, manifest_sha256 FROM _syncer.loads ORDER BY 1, 2"),
    )


def test_ledger_and_marks_are_written_with_the_rows(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a")])
    orders.load([(2, "b")])
    mark = orders.warehouse.watermark(orders.target, "all")
    assert (mark.seq, mark.low, mark.safe) == (2, '["00000000000000000001"]', '["00000000000000000002"]')
    ledger = orders.warehouse.ledger(orders.target, "all")
    assert [(row.seq, row.rows_in, row.run_id) for row in ledger] == [(1, 2, "test"), (2, 1, "test")]


def test_a_superseded_manifest_has_its_row_in_the_ledger(orders: Loads) -> None:
    plan = orders.plan([Extraction([(1, "provisional")]), Extraction([(1, "final")])])
    orders.warehouse.load(replace(plan, files=plan.files[1:], superseded={1: 2}))
    rows = orders.warehouse.ledger(orders.target)
    assert [(row.seq, row.superseded_by, row.rows_in) for row in rows] == [(1, 2, 0), (2, None, 1)]


def test_a_carried_file_keeps_its_own_extraction_time(orders: Loads, warehouse_db: Database) -> None:
    """Manifest 3 names a file again that was read before manifest 2: the row that was read last wins."""
    orders.load([(9, "x")])
    plan = orders.plan(
        [Extraction([(1, "between")], 15), Extraction([(1, "late")], 20), Extraction([(1, "carried")], 10)]
    )
    between, late, carried = plan.files
    files = (late, between, LiveFile(late.seq, carried.captured_at, carried.file))
    orders.warehouse.load(replace(plan, manifests=plan.manifests[:2], files=files))
    assert warehouse_db.scalar("SELECT status FROM shop.orders WHERE id = 1") == "late"
    assert [row.rows_deduplicated for row in orders.warehouse.ledger(orders.target)] == [0, 1, 1]


def test_a_plan_that_was_loaded_already_changes_nothing(orders: Loads, warehouse_db: Database) -> None:
    plan = orders.plan([Extraction([(1, "a")])])
    orders.warehouse.load(plan)
    before = state(warehouse_db)
    with pytest.raises(LostRace, match=r"shop\.orders \[all\].*has loaded manifest 1, not 0"):
        orders.warehouse.load(plan)
    assert state(warehouse_db) == before


def test_a_gap_in_the_manifests_is_refused(orders: Loads, warehouse_db: Database) -> None:
    plan = orders.plan([Extraction([(1, "a")]), Extraction([(2, "a")])])
    with pytest.raises(AssertionFailed, match="not numbers 1 to 1"):
        orders.warehouse.load(replace(plan, manifests=plan.manifests[1:], files=plan.files[1:]))


def test_nothing_pending_is_nothing_new(orders: Loads) -> None:
    assert orders.load_all([]).nothing_new


@pytest.mark.parametrize("first", [True, False])
def test_a_load_that_was_overtaken_changes_nothing(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """The slow one has staged when the fast one takes the epoch and loads the same manifest."""
    if not first:
        orders.load([(7, "x")])
    slow, fast = orders.plan([Extraction([(1, "slow")])]), orders.plan([Extraction([(1, "fast")])])
    fence = load_module.ledger.fence

    def late_fence(connection: psycopg.Connection, plan, epoch: int) -> None:
        if plan is slow:
            orders.warehouse.load(fast)
        fence(connection, plan, epoch)

    monkeypatch.setattr(load_module.ledger, "fence", late_fence)
    with pytest.raises(LostRace, match=r"shop\.orders \[all\]"):
        orders.warehouse.load(slow)
    assert state(warehouse_db)[0][0][:2] == (1, "fast")
    assert [row.manifest_sha256 for row in orders.warehouse.ledger(orders.target)][-1] == fast.manifests[-1].sha256


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


def test_loads_of_one_target_at_once_lose_nothing(warehouse_db: Database) -> None:
    """Every thread loads partitions of its own; who loses the race tries again."""
    first = Loads(PostgresWarehouse("w", warehouse_db.dsn))
    first.register()
    first.warehouse.close()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        loads = Loads(PostgresWarehouse("w", warehouse_db.dsn), partition=f"p{number}", registered=True)
        try:
            for step in range(4):
                while True:
                    try:
                        loads.load([(number * 1000 + step * 10 + n, "x") for n in range(10)])
                        break
                    except (LostRace, DbError) as error:
                        if not error.retryable:
                            raise
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)
        finally:
            loads.warehouse.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warehouse_db.execute("SELECT count(*), count(DISTINCT id) FROM shop.orders") == [(120, 120)]
    assert warehouse_db.execute("SELECT count(*), sum(rows_inserted) FROM _syncer.loads") == [(12, 120)]


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


@pytest.fixture
def lost_connection(monkeypatch: pytest.MonkeyPatch, warehouse_db: Database) -> Callable[[bool], None]:
    """The next COMMIT loses its connection, before the server got it or after the server did it; then all is well."""

    def arrange(committed: bool) -> None:
        real = load_module.commit

        def commit(connection: psycopg.Connection) -> None:
            monkeypatch.setattr(load_module, "commit", real)
            if committed:
                connection.execute("COMMIT")
            warehouse_db.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
            connection.execute("COMMIT")

        monkeypatch.setattr(load_module, "commit", commit)

    return arrange


def test_whatever_words_a_lost_connection_finds_the_ledger_is_asked(
    orders: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(connection: psycopg.Connection) -> None:
        connection.execute("COMMIT")
        raise psycopg.OperationalError("SSL SYSCALL error: EOF detected")

    monkeypatch.setattr(load_module, "commit", commit)
    assert orders.load([(1, "a")]).rows_inserted == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_lost_answer_to_commit_is_found_in_the_ledger(
    orders: Loads, warehouse_db: Database, lost_connection: Callable[[bool], None], first: bool
) -> None:
    if not first:
        orders.load([(1, "a")])
    lost_connection(True)
    report = orders.load([(1, "b"), (2, "b")])
    assert (report.rows, report.seq) == (2, 1 if first else 2)
    assert [row[:2] for row in state(warehouse_db)[0]] == [(1, "b"), (2, "b")]
    assert warehouse_db.scalar("SELECT count(*) FROM _syncer.loads WHERE seq = %s", [report.seq]) == 1


def test_a_commit_that_never_arrived_is_an_error_worth_a_retry(
    orders: Loads, warehouse_db: Database, lost_connection: Callable[[bool], None]
) -> None:
    orders.load([(1, "a")])
    before = state(warehouse_db)
    lost_connection(False)
    with pytest.raises(DbError, match="nothing was committed") as raised:
        orders.load([(1, "b")])
    assert raised.value.retryable and raised.value.phase == "commit"
    assert state(warehouse_db) == before
    assert orders.load([(1, "b")]).rows_updated == 1


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


@pytest.mark.parametrize("first", [True, False])
def test_a_file_with_fewer_rows_than_its_manifest_is_refused(
    orders: Loads, warehouse_db: Database, first: bool
) -> None:
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b"), (2, "b")])])
    before = state(warehouse_db)
    short = replace(plan.files[0], file=replace(plan.files[0].file, rows=3))
    with pytest.raises(AssertionFailed, match="holds 2 rows, its manifest names 3"):
        orders.warehouse.load(replace(plan, files=(short,)))
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
    poll(lambda: warehouse_db.scalar(sessions, [warehouse_db.name]) == 0, 5)
    assert warehouse_db.scalar("SELECT count(*) FROM pg_class WHERE relname LIKE '\\_syncer%%'") == 0


class TestIdentity:
    def test_another_lake_is_refused_until_adopted(self, orders: Loads) -> None:
        orders.load([(1, "a")])
        with pytest.raises(IdentityChanged, match=r"shop\.orders.*generation-1, not other.*--full.*syncer adopt"):
            orders.warehouse.register(orders.target, "other")
        orders.warehouse.adopt(orders.target, "other")
        orders.warehouse.register(orders.target, "other")
        assert orders.warehouse.watermark(orders.target, "all").seq == 1

    def test_a_dropped_table_is_refused_until_forgotten(self, orders: Loads, warehouse_db: Database) -> None:
        orders.load([(1, "a")])
        warehouse_db.execute("DROP TABLE shop.orders")
        with pytest.raises(IdentityChanged, match=r"shop\.orders.*was dropped.*--full"):
            orders.warehouse.register(orders.target, GENERATION)
        with pytest.raises(IdentityChanged, match="nothing to adopt"):
            orders.warehouse.adopt(orders.target, GENERATION)
        with pytest.raises(IdentityChanged, match="was dropped"):
            orders.load([(2, "a")])
        orders.warehouse.forget(orders.target)
        orders.warehouse.register(orders.target, GENERATION)
        assert orders.load([(1, "a"), (2, "a")]).how == "copy"

    def test_a_table_made_anew_is_refused_until_adopted(self, orders: Loads, warehouse_db: Database) -> None:
        orders.load([(1, "a")])
        warehouse_db.execute(
            "ALTER TABLE shop.orders RENAME TO old; CREATE TABLE shop.orders (LIKE shop.old INCLUDING ALL);"
            "INSERT INTO shop.orders SELECT * FROM shop.old"
        )
        with pytest.raises(IdentityChanged, match=r"another one than was loaded.*syncer adopt"):
            orders.warehouse.register(orders.target, GENERATION)
        orders.warehouse.adopt(orders.target, GENERATION)
        assert orders.load([(1, "a")]).rows_unchanged == 1

    def test_forget_makes_a_running_load_stale(
        self, orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        orders.load([(1, "a")])
        fence = load_module.ledger.fence

        def late_fence(connection: psycopg.Connection, plan, epoch: int) -> None:
            orders.warehouse.forget(orders.target, "elsewhere")
            fence(connection, plan, epoch)

        monkeypatch.setattr(load_module.ledger, "fence", late_fence)
        with pytest.raises(LostRace):
            orders.load([(1, "b")])

    def test_forgetting_one_partition_keeps_the_others(self, orders: Loads, warehouse_db: Database) -> None:
        other = replace(orders, partition="other")
        orders.load([(1, "a")])
        other.load([(2, "a")])
        orders.warehouse.forget(orders.target, "all")
        assert [mark.partition for mark in orders.warehouse.watermarks(orders.target)] == ["other"]
        orders.warehouse.register(orders.target, GENERATION)
        assert orders.load([(1, "a")]).rows_unchanged == 1

    def test_an_unregistered_target_is_refused(self, warehouse: PostgresWarehouse, orders: Loads) -> None:
        warehouse.register(replace(orders.target, table="another"), GENERATION)
        orders.registered = True
        with pytest.raises(IdentityChanged, match="not registered"):
            orders.load([(1, "a")])

    def test_registering_at_once_is_safe(self, warehouse_db: Database, orders: Loads) -> None:
        failures: list[BaseException] = []

        def register() -> None:
            warehouse = PostgresWarehouse("w", warehouse_db.dsn)
            try:
                warehouse.register(orders.target, GENERATION)
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                failures.append(error)
            finally:
                warehouse.close()

        threads = [threading.Thread(target=register) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert warehouse_db.scalar("SELECT count(*) FROM _syncer.targets") == 1


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
