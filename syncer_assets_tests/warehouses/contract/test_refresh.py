"""Re-reads and deletes: what goes, what stays, and what the guard refuses."""

from typing import Any

import pytest

from syncer_assets.model.errors import RefusedByGuard
from syncer_assets.warehouses.base import DeleteMissing
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads, at, numbers


def whole_table(captured: float, **changes: Any) -> DeleteMissing:
    return DeleteMissing(captured_at=at(captured), **changes)


def bury(orders: Loads, *ids: int, captured: float) -> None:
    """Make tombstones of these rows, which were read at `captured`."""
    deleted = [(each, captured) for each in ids]
    orders.load_all([Extraction([], mode="repair", deleted=deleted)], hard_deletes=False)


def tombstones(orders: Loads) -> list[int]:
    return sorted(i for i, gone in orders.rows("id", "_syncer_deleted_at") if gone is not None)


def test_a_full_refresh_writes_only_what_differs(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a")], delete_missing=whole_table(1))
    report = orders.load([(1, "a"), (2, "b"), (4, "a")], delete_missing=whole_table(2, max_shrink=0.5), mode="replace")
    assert (numbers(report), report.rows_deleted) == ((1, 1, 1, 0, 0), 1)
    assert orders.rows("id", "status") == [(1, "a"), (2, "b"), (4, "a")]


def test_a_re_read_deletes_only_within_its_range(orders: Loads) -> None:
    orders.load([(n, "a") for n in range(1, 41)])
    rule = DeleteMissing(captured_at=at(2), column="id", start=10, end=30, upto=25)
    report = orders.load([(12, "a"), (13, "b")], delete_missing=rule, mode="replace")
    assert orders.ids() == [*range(1, 10), 12, 13, *range(26, 41)]
    assert report.rows_deleted == 14
    assert sum(row.rows_deleted for row in orders.warehouse.ledger(orders.target)) == 14


def test_rows_of_a_later_extraction_stay(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a")], captured=10)
    orders.load([(3, "late")], captured=30)
    orders.load([(1, "a")], captured=20, delete_missing=whole_table(20), mode="replace")
    assert orders.ids() == [1, 3]


def test_rows_staged_before_the_re_read_do_not_come_back(orders: Loads) -> None:
    """Key 2 was read by a pending manifest, and was gone from the source when the range was read again."""
    orders.load([(1, "a"), (90, "a")])
    plan = orders.plan(
        [Extraction([(2, "short-lived"), (91, "elsewhere")], 5), Extraction([(1, "a")], 6)],
        delete_missing=DeleteMissing(captured_at=at(6), column="id", end=50),
    )
    report = orders.warehouse.load(plan)
    assert (report.rows_stale, report.rows_deleted) == (1, 0)
    assert orders.ids() == [1, 90, 91]


def test_tombstones_are_neither_counted_nor_deleted(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a"), (4, "a")])
    bury(orders, 1, captured=1)
    report = orders.load([(2, "a"), (3, "a")], delete_missing=whole_table(3, max_shrink=0.34), mode="replace")
    assert report.rows_deleted == 1
    assert orders.ids() == [1, 2, 3]


@pytest.mark.parametrize("key", [("id",), ()])
def test_an_empty_source_is_refused(orders: Loads, key: tuple[str, ...]) -> None:
    orders.key, orders.load_kind = key, "replace"
    orders.load([(1, "a"), (2, "a")], delete_missing=whole_table(1))
    with pytest.raises(RefusedByGuard, match=r"shop\.orders.*source is empty.*2 rows.*allow_empty"):
        orders.load([], delete_missing=whole_table(2), mode="replace")
    assert orders.ids() == [1, 2]
    assert orders.warehouse.watermark(orders.target, "all").seq == 1
    report = orders.load([], delete_missing=whole_table(2, max_shrink=0.1, allow_empty=True), mode="replace")
    assert (report.rows_deleted, orders.ids()) == (2, [])


@pytest.mark.parametrize("key", [("id",), ()])
def test_a_suddenly_shrunken_source_is_refused(orders: Loads, key: tuple[str, ...]) -> None:
    orders.key, orders.load_kind = key, "replace"
    orders.load([(n, "a") for n in range(10)], delete_missing=whole_table(1))
    with pytest.raises(RefusedByGuard, match=r"4 of 10 rows would be deleted.*0\.3 allows.*above 0\.40"):
        orders.load([(n, "a") for n in range(6)], delete_missing=whole_table(2, max_shrink=0.3), mode="replace")
    assert orders.ids() == list(range(10))
    orders.load([(n, "a") for n in range(7)], delete_missing=whole_table(2, max_shrink=0.3), mode="replace")
    assert orders.ids() == list(range(7))


def test_a_table_without_a_key_is_made_equal_row_for_row(orders: Loads) -> None:
    orders.key, orders.load_kind = (), "replace"
    first = [(1, "a"), (1, "a"), (2, None), (3, "")]
    orders.load(first, delete_missing=whole_table(1))
    before = orders.state()[0]
    report = orders.load(first, delete_missing=whole_table(2), mode="replace")
    assert (numbers(report), report.rows_deleted) == ((0, 0, 4, 0, 0), 0)
    assert orders.state()[0] == before
    report = orders.load([(1, "a"), (2, ""), (3, ""), (3, "")], delete_missing=whole_table(3), mode="replace")
    assert (numbers(report), report.rows_deleted) == ((2, 0, 2, 0, 0), 2)
    assert sorted(orders.rows("id", "status")) == [(1, "a"), (2, ""), (3, ""), (3, "")]


def test_a_row_that_is_gone_is_deleted_unless_it_is_newer(orders: Loads) -> None:
    """Reconcile judged rows 1 and 2 by versions of 1 s; row 2 was read again since."""
    orders.load([(1, "a"), (2, "a"), (3, "a")], captured=1)
    orders.load([(2, "newer")], captured=5)
    gone = Extraction([], 6, mode="repair", deleted=[(1, 1), (2, 1), (99, 1)])
    report = orders.load_all([gone], hard_deletes=True)
    assert (report.rows_deleted, orders.ids()) == (1, [2, 3])


def test_a_row_that_is_gone_is_stamped_where_deletes_are_soft(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a"), (3, "a")], captured=1)
    orders.load([(2, "newer")], captured=5)
    gone = Extraction([], 6, mode="repair", deleted=[(1, 1), (2, 1)])
    report = orders.load_all([gone], hard_deletes=False)
    assert (report.rows_deleted, orders.ids(), tombstones(orders)) == (1, [1, 2, 3], [1])


def test_a_row_that_comes_back_loses_its_tombstone(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a")])
    bury(orders, 1, captured=1)
    assert tombstones(orders) == [1]
    assert numbers(orders.load([(1, "a"), (2, "a")])) == (0, 1, 1, 0, 0)
    assert tombstones(orders) == []
