"""REINDEX CONCURRENTLY: what is bloated shrinks, what is valid is never dropped, and nobody waits for long."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.model.report import silent
from syncer_assets.model.table import Target
from syncer_assets.model.upkeep import (
    BloatLimit,
    BloatLimits,
    MaintenanceReport,
    MaintenanceRequest,
    RepairLimits,
    Upkeep,
)
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets.warehouses.postgres.reindex import is_leftover
from syncer_assets_tests.servers import Database, poll

TARGET = Target("w", "shop", "orders")
SMALL = BloatLimits(warn=BloatLimit(30, 0.2), act=BloatLimit(50, 0.2), error=BloatLimit(70, 0.5))
QUICK = RepairLimits(lock_timeout_seconds=0.5)
BLOATED = """

CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text, at timestamptz) WITH (autovacuum_enabled = false);
CREATE INDEX orders_status ON shop.orders (status);
CREATE INDEX orders_lower ON shop.orders (upper(status));
INSERT INTO shop.orders SELECT i, 'status-' || (i % 7), now() FROM generate_series(1, 15000) i;
UPDATE shop.orders SET status = 'status-' || ((id + 1) % 7);
UPDATE shop.orders SET status = 'status-' || ((id + 2) % 7);
UPDATE shop.orders SET status = 'status-' || ((id + 3) % 7);
ANALYZE shop.orders;
"""
INDEXES = """
SELECT c.relname, i.indisvalid, pg_relation_size(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'shop.orders'::regclass ORDER BY 1
"""


@pytest.fixture
def bloated(warehouse: PostgresWarehouse, warehouse_db: Database) -> Database:
    warehouse_db.execute("CREATE EXTENSION amcheck")
    warehouse_db.execute(BLOATED)
    return warehouse_db


@pytest.fixture
def amchecked(bloated: Database) -> Iterator[None]:
    """After the test every valid index has an entry for every row."""
    yield
    bloated.execute(
        "SELECT bt_index_check(i.indexrelid, heapallindexed => true) FROM pg_index i JOIN pg_class c"
        " ON c.oid = i.indexrelid WHERE c.relnamespace = 'shop'::regnamespace AND c.relkind = 'i' AND i.indisvalid"
    )


pytestmark = pytest.mark.usefixtures("amchecked")


def repair(
    warehouse: PostgresWarehouse, limits: RepairLimits = QUICK, until: datetime | None = None
) -> MaintenanceReport:
    upkeep = Upkeep(bloat=SMALL, repair=limits)
    return warehouse.maintain(TARGET, upkeep, MaintenanceRequest("repair", until=until), emit=silent)


def indexes(database: Database) -> dict[str, tuple[bool, int]]:
    return {name: (valid, size) for name, valid, size in database.execute(INDEXES)}


def test_bloated_indexes_are_rebuilt_and_the_bytes_told(warehouse: PostgresWarehouse, bloated: Database) -> None:
    before = indexes(bloated)
    told = sum(relation.wasted_bytes for relation in warehouse.bloat(TARGET, SMALL).indexes)
    report = repair(warehouse)
    after = indexes(bloated)
    assert sorted(report.indexes_rebuilt) == ["orders_lower", "orders_pkey", "orders_status"]
    assert after.keys() == before.keys() and all(valid for valid, _ in after.values())
    gained = sum(before[name][1] - after[name][1] for name in before)
    assert gained > sum(size for _, size in before.values()) / 2
    assert abs(told - gained) < 0.1 * sum(size for _, size in before.values())
    assert report.bytes_reclaimed == pytest.approx(gained, abs=64 * 1024), "VACUUM adds the free space map"
    assert report.bytes_reclaimed == report.bytes_before - report.bytes_after
    assert repair(warehouse).indexes_rebuilt == [], "nothing is left to be done"


def test_analyze_mode_rebuilds_nothing(warehouse: PostgresWarehouse, bloated: Database) -> None:
    before = indexes(bloated)
    report = warehouse.maintain(TARGET, Upkeep(bloat=SMALL), MaintenanceRequest(), emit=silent)
    assert (report.vacuumed, report.indexes_rebuilt, indexes(bloated)) == (False, [], before)


def read(connection: psycopg.Connection, isolation: str) -> None:
    """A transaction that has read the table and stays open: with REPEATABLE READ it needs the old rows, too."""
    connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
    connection.execute("SELECT count(*) FROM shop.orders")


def test_a_long_reader_ends_the_attempt_not_the_reader(warehouse: PostgresWarehouse, bloated: Database) -> None:
    """The invalid index that the attempt leaves cannot be dropped before the reader ends; the next repair does."""
    before = indexes(bloated)
    with bloated.connect(autocommit=False) as reader:
        read(reader, "REPEATABLE READ")
        with pytest.raises(DbError, match=r"from being rebuilt for 0\.5 s; rebuilt were 0 indexes") as raised:
            repair(warehouse)
        assert raised.value.retryable and raised.value.code == "55P03"
        assert reader.execute("SELECT count(*) FROM shop.orders").fetchone() == (15000,)
        with pytest.raises(DbError, match="rebuilt were 0 indexes"):
            repair(warehouse)
        left = indexes(bloated)
        assert {name for name, (valid, _) in left.items() if not valid} == {f"{name}_ccnew" for name in before}
        assert {name for name, (valid, _) in left.items() if valid} == before.keys()
    report = repair(warehouse)
    assert sorted(report.leftovers_dropped) == sorted(f"{name}_ccnew" for name in before)
    assert len(report.indexes_rebuilt) == 3
    assert indexes(bloated).keys() == before.keys()


def test_a_reader_who_only_holds_the_table_keeps_the_old_index_for_a_while(
    warehouse: PostgresWarehouse, bloated: Database
) -> None:
    before = indexes(bloated)
    with bloated.connect(autocommit=False) as reader:
        read(reader, "READ COMMITTED")
        assert len(repair(warehouse).indexes_rebuilt) == 3
        after = indexes(bloated)
        assert all(after[name][0] and after[name][1] < before[name][1] for name in before)
        assert {name for name, (valid, _) in after.items() if not valid} == {f"{name}_ccold" for name in before}
    report = repair(warehouse)
    assert (len(report.leftovers_dropped), report.indexes_rebuilt) == (3, [])
    assert indexes(bloated).keys() == before.keys()


def test_a_killed_rebuild_is_cleaned_up_by_the_next_run(warehouse: PostgresWarehouse, bloated: Database) -> None:
    before = indexes(bloated).keys()
    working = (
        "SELECT pid FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool, bloated.connect(autocommit=False) as reader:
        read(reader, "REPEATABLE READ")
        running = pool.submit(repair, warehouse, replace(QUICK, lock_timeout_seconds=60))
        ((pid,),) = poll(lambda: bloated.execute(working), 60)
        bloated.execute(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(DbError) as raised:
            running.result()
        assert raised.value.retryable
    (left,) = indexes(bloated).keys() - before
    assert left.endswith("_ccnew")
    report = warehouse.maintain(TARGET, Upkeep(bloat=SMALL), MaintenanceRequest(), emit=silent)
    assert report.leftovers_dropped == [left], "any run cleans up: every write would keep the leftover up to date"
    assert indexes(bloated).keys() == before


def test_only_leftovers_of_valid_indexes_are_dropped(warehouse: PostgresWarehouse, bloated: Database) -> None:
    """A valid index may bear such a name, an invalid one may be all that is left, or somebody's business."""
    bloated.execute(
        "CREATE INDEX valid_ccnew ON shop.orders (at); CREATE INDEX orders_status_ccnew ON shop.orders (status);"
        "CREATE INDEX alone ON shop.orders (at); ALTER INDEX shop.alone RENAME TO alone_ccnew;"
        "CREATE INDEX broken ON shop.orders (at); CREATE INDEX broken_ccnew ON shop.orders (at);"
        "CREATE INDEX of_a_person ON shop.orders (at); CREATE INDEX orders_status_ccold1 ON shop.orders (status);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('shop.alone_ccnew'::regclass,"
        " 'shop.broken'::regclass, 'shop.broken_ccnew'::regclass,"
        " 'shop.of_a_person'::regclass, 'shop.orders_status_ccold1'::regclass)"
    )
    before = indexes(bloated).keys()
    report = repair(warehouse)
    assert report.leftovers_dropped == ["orders_status_ccold1"]
    left = ["alone_ccnew", "broken", "broken_ccnew", "of_a_person"]
    assert report.drift == [f"index {name} is invalid: drop it, or REINDEX it" for name in left]
    assert before - indexes(bloated).keys() == {"orders_status_ccold1"}


def test_long_names_are_cut_before_the_suffix() -> None:
    long = "a" * 63
    assert is_leftover("a" * 57 + "_ccnew", [long])
    assert is_leftover("a" * 56 + "_ccold2", [long])
    assert not is_leftover("b" * 57 + "_ccnew", [long])
    assert is_leftover("orders_pkey_ccnew1", ["orders_pkey"])
    assert not is_leftover("orders_pkey_ccnew", ["orders_pk"])
    assert not is_leftover("orders_pkey", ["orders_pkey"])


def test_an_index_that_does_not_fit_the_free_space_is_left(warehouse: PostgresWarehouse, bloated: Database) -> None:
    report = repair(warehouse, RepairLimits(free_space_mb=1))
    (skipped,) = report.skipped
    assert re.fullmatch(r"index orders_pkey: it needs 1\.\d MB of free space, and `free_space_mb` is 1", skipped)
    assert sorted(report.indexes_rebuilt) == ["orders_lower", "orders_status"]


def test_an_old_transaction_is_not_waited_for(warehouse: PostgresWarehouse, bloated: Database) -> None:
    with bloated.connect(autocommit=False) as idle:
        idle.execute("SELECT 1")
        poll(
            lambda: bloated.scalar(
                "SELECT bool_or(now() - xact_start > '1 s') FROM pg_stat_activity WHERE datname = current_database()"
            ),
            60,
        )
        bloated.grant("pg_read_all_stats")
        report = repair(warehouse, replace(QUICK, longest_transaction_seconds=1))
    assert len(report.skipped) == 3 and all("a transaction has been open for" in text for text in report.skipped)
    assert report.indexes_rebuilt == []


def test_a_slot_that_holds_back_wal_is_waited_for(warehouse: PostgresWarehouse, bloated: Database) -> None:
    slot = f"slot_{bloated.name}"
    bloated.execute(f"SELECT pg_create_physical_replication_slot('{slot}', true)")
    try:
        bloated.execute("INSERT INTO shop.orders SELECT i, 'x', now() FROM generate_series(15001, 60000) i")
        report = repair(warehouse, replace(QUICK, max_replication_lag_mb=1))
        assert report.indexes_rebuilt == []
        assert all("MB of WAL behind" in text for text in report.skipped) and report.skipped
    finally:
        bloated.execute(f"SELECT pg_drop_replication_slot('{slot}')")


def test_nothing_is_begun_after_the_window(warehouse: PostgresWarehouse, bloated: Database) -> None:
    report = repair(warehouse, until=datetime.now(UTC) - timedelta(seconds=1))
    assert report.indexes_rebuilt == []
    assert len(report.skipped) == 3 and all("the repair window has ended" in text for text in report.skipped)


def test_an_exclusion_constraint_is_skipped_with_its_reason(warehouse: PostgresWarehouse, bloated: Database) -> None:
    bloated.execute("ALTER TABLE shop.orders ADD CONSTRAINT once EXCLUDE USING btree (id WITH =)")
    bloated.execute("UPDATE shop.orders SET status = status || 'x'")
    report = repair(warehouse)
    assert [text for text in report.skipped if "exclusion constraint" in text and text.startswith("index once")]
    assert "orders_pkey" in report.indexes_rebuilt


def test_the_indexes_of_partitions_are_rebuilt(warehouse: PostgresWarehouse, bloated: Database) -> None:
    bloated.execute(
        "ALTER TABLE shop.orders RENAME TO orders_1; ALTER INDEX shop.orders_pkey RENAME TO orders_1_pkey;"
        "CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text, at timestamptz) PARTITION BY RANGE (id);"
        "ALTER TABLE shop.orders ATTACH PARTITION shop.orders_1 FOR VALUES FROM (0) TO (100000);"
        "CREATE TABLE shop.orders_2 PARTITION OF shop.orders FOR VALUES FROM (100000) TO (200000)"
    )
    report = repair(warehouse)
    assert sorted(report.indexes_rebuilt) == ["orders_1_pkey", "orders_lower", "orders_status"]
    assert report.analyzed and report.vacuumed and report.facts["rows_estimate"] == 15000


def test_a_role_that_does_not_own_the_table_is_told(bloated: Database) -> None:
    role = f"guest_{bloated.name}"
    bloated.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {bloated.name} TO {role};"
        f"GRANT USAGE ON SCHEMA shop TO {role}; GRANT ALL ON shop.orders TO {role}"
    )
    bloated.execute(f"REVOKE MAINTAIN ON shop.orders FROM {role}")
    guest = PostgresWarehouse("w", bloated.dsn_as(role))
    try:
        with pytest.raises(DbError, match="does not own the table"):
            repair(guest)
    finally:
        guest.close()
        bloated.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
