"""Re-reads: what is deleted, what is not, and what the guard refuses."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from syncer_assets.model.errors import AssertionFailed, LostRace
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import Extraction, Loads, whole_table


def ids(database: Database) -> list[int]:
    return [row[0] for row in database.execute("SELECT id FROM shop.orders ORDER BY id")]


def test_a_full_refresh_writes_only_what_differs(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a")], delete_missing=whole_table(1))
    oid = warehouse_db.scalar("SELECT 'shop.orders'::regclass::oid")
    report = orders.load([(1, "a"), (2, "b"), (4, "a")], delete_missing=whole_table(2, max_shrink=0.5), mode="replace")
    assert (report.how, report.rows_inserted, report.rows_updated, report.rows_unchanged, report.rows_deleted) == (
        "diff", 1, 1, 1, 1,
    )  # fmt: skip
    assert ids(warehouse_db) == [1, 2, 4]
    assert warehouse_db.scalar("SELECT 'shop.orders'::regclass::oid") == oid


def test_a_table_without_a_key_is_made_equal_row_for_row(orders: Loads, warehouse_db: Database) -> None:
    orders.key, orders.load_kind = (), "replace"
    first = [(1, "a"), (1, "a"), (2, None), (3, "")]
    orders.load(first, delete_missing=whole_table(1))
    before = warehouse_db.execute("SELECT ctid::text FROM shop.orders ORDER BY 1")
    report = orders.load(first, delete_missing=whole_table(2), mode="replace")
    assert (report.rows_unchanged, report.rows_inserted, report.rows_deleted) == (4, 0, 0)
    assert warehouse_db.execute("SELECT ctid::text FROM shop.orders ORDER BY 1") == before
    report = orders.load([(1, "a"), (2, ""), (3, ""), (3, "")], delete_missing=whole_table(3), mode="replace")
    assert (report.rows_unchanged, report.rows_inserted, report.rows_deleted) == (2, 2, 2)
    assert warehouse_db.execute("SELECT id, status FROM shop.orders ORDER BY 1, 2") == [
        (1, "a"), (2, ""), (3, ""), (3, ""),
    ]  # fmt: skip


def test_readers_never_see_a_refresh_half_done(orders: Loads, warehouse_db: Database) -> None:
    orders.key, orders.load_kind = (), "replace"
    orders.load([(n, "a", Decimal(n)) for n in range(100)], delete_missing=whole_table(1))
    with warehouse_db.connect(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM shop.orders").fetchone() == (100,)
        orders.load([(n, "b") for n in range(90)], delete_missing=whole_table(2), mode="replace")
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'a'").fetchone() == (100,)
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'b'") == 90


def test_without_a_key_only_the_row_that_is_gone_goes_of_a_partitioned_table(
    orders: Loads, warehouse_db: Database
) -> None:
    """The first row of each partition has the same place."""
    warehouse_db.execute(
        "CREATE TABLE shop.orders (id bigint, status text, amount numeric) PARTITION BY LIST (id);"
        "CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES IN (1, 2);"
        "CREATE TABLE shop.orders_2 PARTITION OF shop.orders DEFAULT"
    )
    orders.key, orders.load_kind = (), "replace"
    orders.load([(1,), (2,), (3,), (4,)], delete_missing=whole_table(1))
    assert orders.load([(2,), (3,), (4,)], delete_missing=whole_table(2), mode="replace").rows_deleted == 1
    assert ids(warehouse_db) == [2, 3, 4]


@pytest.mark.parametrize("key", [("id",), ()], ids=["by key", "without a key"])
def test_a_row_that_the_table_keeps_is_not_told_as_deleted(
    orders: Loads, warehouse_db: Database, key: tuple[str, ...]
) -> None:
    orders.key, orders.load_kind = key, "replace"
    orders.load([(1, "a"), (2, "a"), (3, "a")], delete_missing=whole_table(1))
    warehouse_db.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON shop.orders FOR EACH ROW WHEN (OLD.id = 3) EXECUTE FUNCTION keep()"
    )
    with pytest.raises(AssertionFailed, match=r"shop\.orders.*1 rows .*still in the table.*trigger"):
        orders.load([(1, "b")], delete_missing=whole_table(2), mode="replace")
    assert warehouse_db.execute("SELECT id, status FROM shop.orders ORDER BY 1") == [(1, "a"), (2, "a"), (3, "a")]
    assert orders.warehouse.watermark(orders.target, "all").seq == 1


@pytest.mark.parametrize("key", [("id",), ()], ids=["by key", "without a key"])
def test_a_table_that_somebody_rewrites_meanwhile_is_not_taken_for_empty(
    orders: Loads, warehouse_db: Database, key: tuple[str, ...]
) -> None:
    """The rows that ALTER TABLE wrote anew are not there for a snapshot that was taken before its COMMIT."""
    orders.key, orders.load_kind = key, "replace"
    orders.load([(1, "a"), (2, "a"), (3, "a")], delete_missing=whole_table(1))
    plan = orders.plan([Extraction([(4, "a")], mode="replace")], delete_missing=whole_table(2))
    with warehouse_db.connect(autocommit=False) as person, ThreadPoolExecutor(1) as pool:
        person.execute("ALTER TABLE shop.orders ALTER COLUMN status TYPE text USING status || ''")
        load = pool.submit(orders.warehouse.load, plan)
        poll(lambda: warehouse_db.scalar("SELECT count(*) FROM pg_locks WHERE NOT granted"), deadline_seconds=60)
        person.commit()
        with pytest.raises(LostRace, match="rewrote the table"):
            load.result(timeout=200)
    assert ids(warehouse_db) == [1, 2, 3]
    assert orders.warehouse.load(plan).rows_deleted == 3
    assert ids(warehouse_db) == [4]
