"""Which version of a row wins, what is counted, and what is left alone."""

from decimal import Decimal

import pyarrow as pa
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import AssertionFailed
from syncer_assets.model.report import LoadReport
from syncer_assets.model.table import IndexSpec
from syncer_assets.warehouses.postgres.staging import SLICE_ROWS
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import ORDERS, Loads, arrow

ROWS = [(1, "new", Decimal("1.00")), (2, "paid", Decimal("2.50")), (3, None, None)]


def rows(database: Database) -> list[tuple]:
    return database.execute("SELECT id, status, amount FROM shop.orders ORDER BY id")


def numbers(report: LoadReport) -> tuple[int, int, int, int, int]:
    """inserted, updated, unchanged, stale, deduplicated"""
    assert report.rows == sum(
        (
            report.rows_inserted,
            report.rows_updated,
            report.rows_unchanged,
            report.rows_stale,
            report.rows_deduplicated,
        )
    )
    return (
        report.rows_inserted,
        report.rows_updated,
        report.rows_unchanged,
        report.rows_stale,
        report.rows_deduplicated,
    )


def test_first_load_is_copied_straight_into_the_new_table(orders: Loads, warehouse_db: Database) -> None:
    report = orders.load(ROWS)
    assert (report.how, numbers(report)) == ("copy", (3, 0, 0, 0, 0))
    assert rows(warehouse_db) == ROWS
    assert report.checks[0].metadata == {"staged": 3, "manifest": 3, "in_target": 3}
    assert warehouse_db.execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)"
        " WHERE indrelid = 'shop.orders'::regclass AND indisprimary"
    ) == [("id",)]


def test_duplicate_keys_in_a_first_load_are_staged_instead(orders: Loads, warehouse_db: Database) -> None:
    report = orders.load([(1, "old"), (2, "x"), (1, "new")])
    assert (report.how, numbers(report)) == ("merge", (2, 0, 0, 0, 1))
    assert rows(warehouse_db) == [(1, "new", None), (2, "x", None)]


def test_the_same_data_again_writes_nothing(orders: Loads, warehouse_db: Database) -> None:
    many = [(n, "done", Decimal(n)) for n in range(5000)]
    orders.load(many)
    before = warehouse_db.execute("SELECT id, ctid::text, xmin::text FROM shop.orders ORDER BY id")
    report = orders.load(many)
    assert numbers(report) == (0, 0, 5000, 0, 0)
    assert warehouse_db.execute("SELECT id, ctid::text, xmin::text FROM shop.orders ORDER BY id") == before
    warehouse_db.execute("SELECT pg_stat_force_next_flush()")
    assert warehouse_db.execute(
        "SELECT n_tup_upd, n_tup_hot_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables WHERE relname = 'orders'"
    ) == [(0, 0, 0, 0)]
    assert report.wal_bytes is not None and report.wal_bytes < 50_000


def test_within_one_extraction_the_last_row_wins(orders: Loads, warehouse_db: Database) -> None:
    """Rows of very different width: the order of rows in the staging table's pages is not the order of the file."""
    orders.load([(0, "x")])
    wide = [(n % 700, ("w" * (n * 37 % 3000)) + str(n)) for n in range(2100)]
    report = orders.load(wide)
    assert (report.rows_deduplicated, report.rows_inserted, report.rows_updated) == (1400, 699, 1)
    assert {i: s for i, s, _ in rows(warehouse_db)} == {n % 700: s for n, (_, s) in enumerate(wide)}


def test_key_columns_may_have_any_name_when_versions_are_compared(orders: Loads, warehouse_db: Database) -> None:
    named = ("newest", "place", "source", "verdict", "s", "t")
    orders.columns = tuple(Column(name, "int64", "bigint", nullable=False) for name in named)
    orders.key = named[:5]
    orders.load([(1, 2, 3, 4, 5, 6)])
    report = orders.load([(1, 2, 3, 4, 5, 7), (1, 2, 3, 4, 5, 8)])
    assert (report.rows_updated, report.rows_deduplicated) == (1, 1)
    assert warehouse_db.scalar("SELECT t FROM shop.orders") == 8


def test_the_last_row_of_a_long_file_wins(orders: Loads, warehouse_db: Database) -> None:
    """Files are encoded in slices: the row's number counts from the file's start."""
    orders.load([(0, "x")])
    numbered = [(n, str(n)) for n in range(SLICE_ROWS)]
    orders.load([*numbered[:100], (-1, "first"), *numbered[100:], (SLICE_ROWS, ""), (-1, "last")])
    assert warehouse_db.scalar("SELECT status FROM shop.orders WHERE id = -1") == "last"


@pytest.mark.parametrize(
    "trigger",
    ["RETURN NULL", "NEW._syncer_captured_at := OLD._syncer_captured_at; NEW.status := OLD.status; RETURN NEW"],
)
def test_a_trigger_that_swallows_rows_is_caught(orders: Loads, warehouse_db: Database, trigger: str) -> None:
    orders.load([(1, "a"), (2, "a")])
    warehouse_db.execute(
        f"CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {trigger}; END$$;"
        "CREATE TRIGGER eat BEFORE UPDATE ON shop.orders FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION eat()"
    )
    with pytest.raises(AssertionFailed, match=r"shop\.orders.*1 staged rows are not in the table.*trigger"):
        orders.load([(1, "b"), (2, "b")])
    assert rows(warehouse_db) == [(1, "a", None), (2, "a", None)]
    assert orders.warehouse.watermark(orders.target, "all").seq == 1


def test_a_trigger_that_swallows_appended_rows_is_caught(orders: Loads, warehouse_db: Database) -> None:
    orders.load_kind = "append"
    orders.load([(1, "a")])
    warehouse_db.execute(
        "CREATE FUNCTION eat() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
        "CREATE TRIGGER eat BEFORE INSERT ON shop.orders FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION eat()"
    )
    with pytest.raises(AssertionFailed, match="1 staged rows are not in the table"):
        orders.load([(2, "b"), (3, "b")])
    assert rows(warehouse_db) == [(1, "a", None)]


def test_a_declared_index_is_made_with_the_new_table(orders: Loads, warehouse_db: Database) -> None:
    orders.load(ROWS, indexes=(IndexSpec(("status",), where="status <> 'done'"),))
    assert warehouse_db.scalar("SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass") == 2


def test_batches_of_any_size(orders: Loads, warehouse_db: Database) -> None:
    table = arrow(ORDERS, [(n, str(n)) for n in range(40_000)])
    uneven = pa.Table.from_batches(
        [b for size in (1, 17_000, 3) for b in table.slice(0, 20_000).to_batches(size)][:20_000]
    )
    assert orders.load(uneven).rows == uneven.num_rows
    orders.load(table)
    assert warehouse_db.scalar("SELECT count(*), sum(id) FROM shop.orders") == 40_000
