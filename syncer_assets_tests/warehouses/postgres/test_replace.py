"""Re-reads: what is deleted, what is not, and what the guard refuses."""

from decimal import Decimal

import pytest

from syncer_assets.model.errors import RefusedByGuard
from syncer_assets.warehouses.base import DeleteMissing
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Extraction, Loads, at, whole_table


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


def test_a_re_read_deletes_only_within_its_range(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a") for n in range(1, 41)])
    rule = DeleteMissing(captured_at=at(2), column="id", start=10, end=30, upto=25)
    report = orders.load([(12, "a"), (13, "b")], delete_missing=rule, mode="replace")
    assert ids(warehouse_db) == [*range(1, 10), 12, 13, *range(26, 41)]
    assert report.rows_deleted == 14
    assert warehouse_db.scalar("SELECT sum(rows_deleted) FROM _syncer.loads") == 14


def test_rows_of_a_later_extraction_stay(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a")], captured=10)
    orders.load([(3, "late")], captured=30)
    orders.load([(1, "a")], captured=20, delete_missing=whole_table(20), mode="replace")
    assert ids(warehouse_db) == [1, 3]


def test_rows_staged_before_the_re_read_do_not_come_back(orders: Loads, warehouse_db: Database) -> None:
    """Key 2 was read by a pending manifest, and was gone from the source when the range was read again."""
    orders.load([(1, "a"), (90, "a")])
    rule = DeleteMissing(captured_at=at(6), column="id", end=50)
    report = orders.load_all(
        [Extraction([(2, "short-lived"), (91, "elsewhere")], 5), Extraction([(1, "a")], 6, mode="replace")],
        delete_missing=rule,
    )
    assert (report.rows_stale, report.rows_deleted) == (1, 0)
    assert ids(warehouse_db) == [1, 90, 91]


def test_tombstones_are_neither_counted_nor_deleted(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a"), (4, "a")])
    warehouse_db.execute("UPDATE shop.orders SET _syncer_deleted_at = now() WHERE id = 1")
    report = orders.load([(2, "a"), (3, "a")], delete_missing=whole_table(2, max_shrink=0.34), mode="replace")
    assert report.rows_deleted == 1
    assert ids(warehouse_db) == [1, 2, 3]


@pytest.mark.parametrize("key", [("id",), ()])
def test_an_empty_source_is_refused(orders: Loads, warehouse_db: Database, key: tuple[str, ...]) -> None:
    orders.key, orders.load_kind = key, "replace"
    orders.load([(1, "a"), (2, "a")], delete_missing=whole_table(1))
    with pytest.raises(RefusedByGuard, match=r"shop\.orders.*source is empty.*2 rows.*allow_empty"):
        orders.load([], delete_missing=whole_table(2), mode="replace")
    assert ids(warehouse_db) == [1, 2]
    assert orders.warehouse.watermark(orders.target, "all").seq == 1
    report = orders.load([], delete_missing=whole_table(2, max_shrink=0.1, allow_empty=True), mode="replace")
    assert (report.rows_deleted, ids(warehouse_db)) == (2, [])


@pytest.mark.parametrize("key", [("id",), ()])
def test_a_suddenly_shrunken_source_is_refused(orders: Loads, warehouse_db: Database, key: tuple[str, ...]) -> None:
    orders.key, orders.load_kind = key, "replace"
    orders.load([(n, "a") for n in range(10)], delete_missing=whole_table(1))
    with pytest.raises(RefusedByGuard, match=r"4 of 10 rows would be deleted.*0\.3 allows.*above 0\.40"):
        orders.load([(n, "a") for n in range(6)], delete_missing=whole_table(2, max_shrink=0.3), mode="replace")
    assert ids(warehouse_db) == list(range(10))
    orders.load([(n, "a") for n in range(7)], delete_missing=whole_table(2, max_shrink=0.3), mode="replace")
    assert ids(warehouse_db) == list(range(7))


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
