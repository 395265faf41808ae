"""Which version of a row wins, what is counted, and what is left alone."""

from decimal import Decimal

import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import AssertionFailed, ConfigError
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads, numbers

ROWS = [(1, "new", Decimal("1.00")), (2, "paid", Decimal("2.50")), (3, None, None)]


def test_a_first_load_makes_the_table(orders: Loads) -> None:
    report = orders.load(ROWS)
    assert numbers(report) == (3, 0, 0, 0, 0)
    assert orders.rows() == ROWS
    assert report.checks[0].metadata == {"staged": 3, "manifest": 3, "in_target": 3}


def test_duplicate_keys_in_a_first_load_are_one_row(orders: Loads) -> None:
    orders.cursor = ("amount",)
    report = orders.load([(1, "old", 1), (2, "x", 2), (1, "new", 3)])
    assert numbers(report) == (2, 0, 0, 0, 1)
    assert orders.rows() == [(1, "new", Decimal(3)), (2, "x", Decimal(2))]


def test_changed_rows_are_updated_and_new_ones_inserted(orders: Loads) -> None:
    orders.load(ROWS)
    report = orders.load([(1, "paid", Decimal("1.00")), ROWS[1], (4, "new", None)])
    assert numbers(report) == (1, 1, 1, 0, 0)
    assert orders.rows() == [(1, "paid", Decimal("1.00")), *ROWS[1:], (4, "new", None)]


def test_null_and_value_differ_both_ways(orders: Loads) -> None:
    orders.load([(1, None), (2, "x")])
    assert numbers(orders.load([(1, ""), (2, None)])) == (0, 2, 0, 0, 0)
    assert orders.rows() == [(1, "", None), (2, None, None)]


def test_a_blank_at_the_end_is_a_change(orders: Loads) -> None:
    orders.load([(1, "x")])
    assert numbers(orders.load([(1, "x ")])) == (0, 1, 0, 0, 0)
    assert orders.rows() == [(1, "x ", None)]


def test_the_same_data_again_writes_nothing(orders: Loads) -> None:
    many = [(n, "done", Decimal(n)) for n in range(1000)]
    orders.load(many)
    before = orders.state()[0]
    assert numbers(orders.load(many)) == (0, 0, 1000, 0, 0)
    assert orders.state()[0] == before  # with the time at which each row was read


def test_the_newest_extraction_wins_whatever_the_load_order(orders: Loads) -> None:
    """A backfill of an older partition arrives late: its rows were read earlier, so they are stale."""
    orders.load([(1, "newest")], captured=100)
    report = orders.load([(1, "older"), (2, "only here")], captured=50)
    assert numbers(report) == (1, 0, 0, 1, 0)
    assert orders.rows() == [(1, "newest", None), (2, "only here", None)]


def test_the_newest_extraction_wins_whatever_the_cursor_says(orders: Loads) -> None:
    """The amount plays the cursor: a corrected clock sent it backwards."""
    orders.load([(1, "before", Decimal(900))])
    assert orders.load([(1, "after", Decimal(100))]).rows_updated == 1
    assert orders.rows() == [(1, "after", Decimal(100))]


def test_pending_manifests_are_loaded_at_once_and_counted_one_by_one(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a")])
    report = orders.load_all(
        [
            Extraction([(1, "b"), (3, "b")]),
            Extraction([(1, "c"), (2, "a")]),
            Extraction([(3, "b"), (4, "d")]),
        ]
    )
    assert (numbers(report), report.copies) == ((2, 1, 1, 0, 2), 1)
    ledger = orders.warehouse.ledger(orders.target)
    assert [numbers(row) for row in ledger] == [(2, 0, 0, 0, 0), (0, 0, 0, 0, 2), (0, 1, 1, 0, 0), (2, 0, 0, 0, 0)]
    assert orders.rows() == [(1, "c", None), (2, "a", None), (3, "b", None), (4, "d", None)]


def test_within_one_extraction_the_row_read_last_wins(orders: Loads) -> None:
    """A row that moved up the cursor while it was read comes twice; rows are read in the cursor's order."""
    orders.load([(0, "x")])
    orders.cursor = ("amount",)
    moved = [(n % 70, ("w" * (n * 37 % 300)) + str(n), n) for n in range(210)]
    report = orders.load(moved)
    assert numbers(report) == (69, 1, 0, 0, 140)
    assert {i: s for i, s, _ in orders.rows()} == {n % 70: s for n, (_, s, _) in enumerate(moved)}


def test_append_leaves_rows_that_exist_alone(orders: Loads) -> None:
    orders.load_kind = "append"
    orders.load([(1, "a")])
    assert numbers(orders.load([(1, "b"), (2, "b")])) == (1, 0, 1, 0, 0)
    assert orders.rows() == [(1, "a", None), (2, "b", None)]


def test_a_re_read_of_an_append_table_corrects_it(orders: Loads) -> None:
    orders.load_kind = "append"
    orders.load([(1, "a")])
    assert numbers(orders.load([(1, "b")], mode="replace")) == (0, 1, 0, 0, 0)
    assert orders.rows() == [(1, "b", None)]


def test_append_without_a_key_inserts_every_row(orders: Loads) -> None:
    orders.load_kind, orders.key = "append", ()
    orders.load([(1, "a"), (1, "a")])
    assert numbers(orders.load([(1, "a")])) == (1, 0, 0, 0, 0)
    assert orders.rows() == [(1, "a", None)] * 3


def test_a_re_read_without_a_key_is_refused(orders: Loads) -> None:
    orders.load_kind, orders.key = "append", ()
    orders.load([(1, "a")])
    with pytest.raises(ConfigError, match=r"shop\.orders.*twice.*declare a key"):
        orders.load([(1, "a")], mode="replace", delete_missing=None)
    assert orders.rows() == [(1, "a", None)]


def test_upsert_without_a_key_is_refused(orders: Loads) -> None:
    orders.key = ()
    with pytest.raises(ConfigError, match="upsert needs a key"):
        orders.load([(1, "a")])


@pytest.mark.parametrize("first", [True, False])
def test_null_in_the_key_is_refused(orders: Loads, first: bool) -> None:
    if not first:
        orders.load([(1, "a")])
    with pytest.raises(AssertionFailed, match=r"shop\.orders.*key \(id\) is NULL"):
        orders.load([(None, "a")])
    assert orders.warehouse.watermark(orders.target, "all").seq == (0 if first else 1)


def test_composite_keys_and_a_table_that_is_all_key(orders: Loads) -> None:
    orders.columns = (Column("a", "int32", "integer"), Column("b", "string", "text"))
    orders.key, orders.cursor = ("a", "b"), ("a",)
    orders.load([(1, "x"), (1, "y")])
    assert numbers(orders.load([(1, "y"), (2, "y"), (2, "y")])) == (1, 0, 1, 0, 1)
    assert orders.rows("a", "b") == [(1, "x"), (1, "y"), (2, "y")]


def test_a_text_key_that_ends_with_a_blank_is_another_key(orders: Loads) -> None:
    orders.columns = (Column("code", "string", "text"), Column("n", "int32", "integer"))
    orders.key = orders.cursor = ("code",)
    orders.load([("x", 1)])
    assert numbers(orders.load([("x ", 2), ("x", 3)])) == (1, 1, 0, 0, 0)
    assert sorted(orders.rows("code", "n")) == [("x", 3), ("x ", 2)]
