"""Re-reads: what is deleted, what is not, and what the guard refuses."""

from decimal import Decimal

from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Loads, whole_table


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
