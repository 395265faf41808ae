"""The ledger: what is written with the rows, what a replay finds, and whose table and lake it is."""

from dataclasses import replace

import pytest

from syncer_assets.model.errors import AssertionFailed, IdentityChanged, LostRace, SyncError
from syncer_assets.warehouses.base import LiveFile
from syncer_assets_tests.warehouses.contract.under_test import GENERATION, Extraction, Loads, WarehouseUnderTest


def test_ledger_and_marks_are_written_with_the_rows(orders: Loads) -> None:
    orders.load([(1, "a"), (2, "a")])
    orders.load([(2, "b")])
    mark = orders.warehouse.watermark(orders.target, "all")
    assert (mark.seq, mark.low, mark.safe) == (2, '["00000000000000000001"]', '["00000000000000000002"]')
    ledger = orders.warehouse.ledger(orders.target, "all")
    assert [(row.seq, row.rows_in, row.run_id) for row in ledger] == [(1, 2, "test"), (2, 1, "test")]


def test_the_ledger_has_what_a_load_took(orders: Loads) -> None:
    """Bytes and files a manifest; seconds and COPYs with the last one of the load."""
    plan = orders.plan([Extraction([(1, "a"), (2, "a")]), Extraction([(3, "b")])])
    report = orders.warehouse.load(plan)
    first, last = orders.warehouse.ledger(orders.target)
    assert (first.files, last.files) == (1, 1)
    assert [first.bytes, last.bytes] == [live.file.bytes for live in plan.files]
    assert (first.seconds, first.copies) == (None, None)
    assert last.seconds is not None and 0 < last.seconds <= report.seconds
    assert last.copies == report.copies == 1
    orders.load_all([Extraction([])])
    nothing = orders.warehouse.ledger(orders.target)[-1]
    assert (nothing.files, nothing.bytes, nothing.copies) == (0, 0, 0)


def test_a_superseded_manifest_has_its_row_in_the_ledger(orders: Loads) -> None:
    plan = orders.plan([Extraction([(1, "provisional")]), Extraction([(1, "final")])])
    orders.warehouse.load(replace(plan, files=plan.files[1:], superseded={1: 2}))
    rows = orders.warehouse.ledger(orders.target)
    assert [(row.seq, row.superseded_by, row.rows_in) for row in rows] == [(1, 2, 0), (2, None, 1)]


def test_a_carried_file_keeps_its_own_extraction_time(orders: Loads) -> None:
    """Manifest 3 names a file again that was read before manifest 2: the row that was read last wins."""
    orders.load([(9, "x")])
    plan = orders.plan(
        [Extraction([(1, "between")], 15), Extraction([(1, "late")], 20), Extraction([(1, "carried")], 10)]
    )
    between, late, carried = plan.files
    files = (late, between, LiveFile(late.seq, carried.captured_at, carried.file))
    orders.warehouse.load(replace(plan, manifests=plan.manifests[:2], files=files))
    assert (1, "late", None) in orders.rows()
    assert [row.rows_deduplicated for row in orders.warehouse.ledger(orders.target)] == [0, 1, 1]


def test_a_plan_that_was_loaded_already_changes_nothing(orders: Loads) -> None:
    plan = orders.plan([Extraction([(1, "a")])])
    orders.warehouse.load(plan)
    before = orders.state()
    with pytest.raises(LostRace, match=r"shop\.orders \[all\].*has loaded manifest 1, not 0"):
        orders.warehouse.load(plan)
    assert orders.state() == before


def test_a_gap_in_the_manifests_is_refused(orders: Loads) -> None:
    plan = orders.plan([Extraction([(1, "a")]), Extraction([(2, "a")])])
    with pytest.raises(AssertionFailed, match="not numbers 1 to 1"):
        orders.warehouse.load(replace(plan, manifests=plan.manifests[1:], files=plan.files[1:]))


def test_nothing_pending_is_nothing_new(orders: Loads) -> None:
    assert orders.load_all([]).nothing_new


@pytest.mark.parametrize("first", [True, False])
def test_a_file_with_fewer_rows_than_its_manifest_is_refused(orders: Loads, first: bool) -> None:
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b"), (2, "b")])])
    before = orders.state()
    short = replace(plan.files[0], file=replace(plan.files[0].file, rows=3))
    with pytest.raises(AssertionFailed, match=r"2 rows.*names? 3"):
        orders.warehouse.load(replace(plan, files=(short,)))
    assert orders.state() == before


@pytest.mark.parametrize("first", [True, False])
def test_a_file_of_another_size_than_its_manifest_says_is_refused(orders: Loads, first: bool) -> None:
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b"), (2, "b")])])
    before = orders.state()
    other = replace(plan.files[0], file=replace(plan.files[0].file, bytes=plan.files[0].file.bytes + 1))
    with pytest.raises(SyncError) as raised:
        orders.warehouse.load(replace(plan, files=(other,)))
    assert not raised.value.retryable
    assert orders.state() == before


def test_another_lake_is_refused_until_adopted(orders: Loads) -> None:
    orders.load([(1, "a")])
    with pytest.raises(IdentityChanged, match=r"generation-1, not generation-2.*syncer adopt"):
        orders.warehouse.register(orders.target, "generation-2")
    orders.warehouse.adopt(orders.target, "generation-2")
    orders.warehouse.register(orders.target, "generation-2")
    assert orders.load([(2, "a")]).rows_inserted == 1


def test_a_dropped_table_is_refused_and_loaded_anew_when_forgotten(
    orders: Loads, under_test: WarehouseUnderTest
) -> None:
    orders.load([(1, "a")])
    under_test.query('DROP TABLE "shop"."orders"')
    with pytest.raises(IdentityChanged, match=r"dropped after it was loaded.*--full"):
        orders.warehouse.register(orders.target, GENERATION)
    with pytest.raises(IdentityChanged, match="dropped"):
        orders.load([(2, "a")])
    with pytest.raises(IdentityChanged, match="nothing to adopt"):
        orders.warehouse.adopt(orders.target, GENERATION)
    orders.warehouse.forget(orders.target)
    orders.warehouse.register(orders.target, GENERATION)
    assert orders.load([(1, "a"), (2, "a")]).rows_inserted == 2


def test_a_table_made_anew_is_refused_until_adopted(orders: Loads, under_test: WarehouseUnderTest) -> None:
    orders.load([(1, "a")])
    under_test.query('CREATE TABLE "shop"."copy" AS SELECT * FROM "shop"."orders"')
    under_test.query('DROP TABLE "shop"."orders"')
    under_test.query('CREATE TABLE "shop"."orders" AS SELECT * FROM "shop"."copy"')
    with pytest.raises(IdentityChanged, match=r"another one than was loaded.*syncer adopt"):
        orders.warehouse.register(orders.target, GENERATION)
    orders.warehouse.adopt(orders.target, GENERATION)
    assert orders.load([(1, "a")]).rows_unchanged == 1


def test_without_a_key_rows_that_a_lost_ledger_had_are_not_appended_again(orders: Loads) -> None:
    """As where the table is restored without the schema of the ledger."""
    orders.load_kind, orders.key = "append", ()
    orders.load([(1, "a")])
    orders.warehouse.forget(orders.target)
    orders.warehouse.adopt(orders.target, GENERATION)
    with pytest.raises(IdentityChanged, match=r"rows of loads that the ledger does not know.*empty the table"):
        orders.load([(1, "a"), (2, "a")])
    assert orders.ids() == [1]


def test_without_a_key_a_second_partition_is_appended_to_the_first(orders: Loads) -> None:
    orders.load_kind, orders.key = "append", ()
    orders.load([(1, "a")])
    replace(orders, partition="other").load([(2, "a")])
    assert orders.ids() == [1, 2]


def test_forgetting_one_partition_keeps_the_others(orders: Loads) -> None:
    other = replace(orders, partition="other")
    orders.load([(1, "a")])
    other.load([(2, "a")])
    orders.warehouse.forget(orders.target, "all")
    assert [mark.partition for mark in orders.warehouse.watermarks(orders.target)] == ["other"]
    orders.warehouse.register(orders.target, GENERATION)
    assert orders.load([(1, "a")]).rows_unchanged == 1


@pytest.mark.parametrize("partition", ["it's", "back\\slash", "a\\'; --", "100 %s $1", "ü🙂"])
def test_a_partitions_key_is_only_a_value(orders: Loads, partition: str) -> None:
    orders.partition = partition
    orders.load([(1, "a")])
    orders.load([(1, "b")])
    assert [(mark.partition, mark.seq) for mark in orders.warehouse.watermarks(orders.target)] == [(partition, 2)]
    assert [row.partition for row in orders.warehouse.ledger(orders.target, partition)] == [partition] * 2
    orders.warehouse.forget(orders.target, partition)
    assert orders.warehouse.watermarks(orders.target) == []


def test_an_unregistered_target_is_refused(orders: Loads) -> None:
    """As after a failover that lost the registration: the engine registers it, and asks for the marks, anew."""
    orders.warehouse.register(replace(orders.target, table="another"), GENERATION)
    orders.registered = True
    with pytest.raises(LostRace, match="lost the target since it was registered"):
        orders.load([(1, "a")])
