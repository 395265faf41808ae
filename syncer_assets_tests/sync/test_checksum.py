"""The checksum: red where source and warehouse differ in what is loaded, not for what is still to come."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ColumnRules, TableSpec
from syncer_assets.sync.checksum import Comparison, compare
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of, transaction

ROWS = """
INSERT INTO orders (status, updated_at)
SELECT 'x' || g, '2024-01-01'::timestamptz + g * interval '1 h' FROM generate_series(1, 100) g
"""
BY_TIME = spec_of()
BY_ID = spec_of(cursor=["id"])


def loaded(rig: Rig, spec: TableSpec) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(spec)
    rig.load(spec)


def comparison(rig: Rig, spec: TableSpec) -> Comparison:
    return compare(rig.source, rig.warehouse, spec, rig.target)


def differences(found: Comparison) -> tuple[bool, int, int, int, int]:
    return found.equal, found.rows_missing, found.rows_changed, found.rows_extra, found.rows_pending


@pytest.mark.parametrize("spec", [BY_TIME, BY_ID], ids=["time", "id"])
@pytest.mark.parametrize(
    ("behind_its_back", "missing", "changed", "extra"),
    [
        ("DELETE FROM shop.orders WHERE id = 7", 1, 0, 0),
        ("UPDATE shop.orders SET status = 'y' WHERE id IN (7, 8)", 0, 2, 0),
        ("UPDATE shop.orders SET status = NULL WHERE id = 7", 0, 1, 0),
        ("UPDATE shop.orders SET status = '' WHERE id = 7", 0, 1, 0),
        (
            "INSERT INTO shop.orders SELECT 1000, status, updated_at, _syncer_captured_at FROM shop.orders LIMIT 1",
            0,
            0,
            1,
        ),
        ("UPDATE shop.orders SET id = 1000 WHERE id = 7", 1, 0, 1),
        (
            "UPDATE shop.orders a SET status = b.status FROM shop.orders b WHERE a.id + b.id = 15 AND a.id IN (7, 8)",
            0,
            2,
            0,
        ),
    ],
)
def test_a_row_changed_behind_its_back_is_found(
    rig: Rig, spec: Any, behind_its_back: str, missing: int, changed: int, extra: int
) -> None:
    loaded(rig, spec)
    assert differences(comparison(rig, spec)) == (True, 0, 0, 0, 0)
    rig.warehouse_db.execute(behind_its_back)
    found = comparison(rig, spec)
    assert differences(found) == (False, missing, changed, extra, 0)
    assert "7" not in found.description.replace(str(found.rows_target), ""), "keys may be personal"


@pytest.mark.parametrize("spec", [BY_TIME, BY_ID], ids=["time", "id"])
def test_rows_that_are_still_to_come_are_pending(rig: Rig, spec: Any) -> None:
    loaded(rig, spec)
    rig.database.execute("INSERT INTO orders (status) VALUES ('new'), ('new')")
    assert differences(comparison(rig, spec)) == (True, 0, 0, 0, 2)
    rig.sync(spec)
    rig.load(spec)
    assert differences(comparison(rig, spec)) == (True, 0, 0, 0, 0)


def test_a_row_that_was_updated_since_is_pending(rig: Rig) -> None:
    loaded(rig, BY_TIME)
    rig.database.execute("UPDATE orders SET status = 'updated', updated_at = now() WHERE id = 7")
    assert differences(comparison(rig, BY_TIME)) == (True, 0, 0, 0, 1)


def test_an_update_that_an_id_cursor_cannot_see_is_red(rig: Rig) -> None:
    loaded(rig, BY_ID)
    rig.database.execute("UPDATE orders SET status = 'updated' WHERE id = 7")
    assert differences(comparison(rig, BY_ID)) == (False, 0, 1, 0, 0)


def test_a_row_loaded_from_above_safe_is_compared_as_it_is(rig: Rig) -> None:
    """What is not final yet may differ; what is final may not, though a writer pins the rest."""
    loaded(rig, BY_ID)
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')"):
        rig.database.execute("INSERT INTO orders (status) VALUES ('not final')")
        rig.sync(BY_ID, writers_open=True)
        rig.load(BY_ID)
        assert comparison(rig, BY_ID).equal
        rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id > 99")
        assert differences(comparison(rig, BY_ID)) == (False, 1, 0, 0, 1)


def test_each_partition_counts_by_its_own_mark(rig: Rig) -> None:
    spec = spec_of(partitions=PartitionScheme(by="time", every="day", start="2024-01-01"))
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for key in ("2024-01-01", "2024-01-02"):
        rig.sync(spec, key)
        rig.load(spec, key)
    found = comparison(rig, spec)
    assert found.equal and found.rows_pending == 100 - 47, "the rows of days that were not read yet"
    rig.warehouse_db.execute("DELETE FROM shop.orders WHERE id IN (20, 30)")
    assert differences(comparison(rig, spec)) == (False, 2, 0, 0, 53)


@pytest.mark.parametrize(
    ("behind_its_back", "missing", "extra"),
    [
        ("DELETE FROM shop.orders WHERE ctid = (SELECT min(ctid) FROM shop.orders)", 1, 0),
        ("INSERT INTO shop.orders SELECT * FROM shop.orders", 0, 6),
        ("UPDATE shop.orders SET status = 'c' WHERE ctid = (SELECT min(ctid) FROM shop.orders)", 0, 1),
    ],
)
def test_a_table_without_a_key_is_compared_by_whole_rows(
    rig: Rig, behind_its_back: str, missing: int, extra: int
) -> None:
    spec = spec_of(load="append")
    rig.database.execute("CREATE TABLE orders (status text, updated_at timestamptz NOT NULL)")
    rig.database.execute(
        "INSERT INTO orders SELECT s, '2024-01-01' FROM unnest('{a,b}'::text[]) s, generate_series(1, 3)"
    )
    rig.sync(spec)
    rig.load(spec)
    assert differences(comparison(rig, spec)) == (True, 0, 0, 0, 0)
    rig.warehouse_db.execute(behind_its_back)
    found = comparison(rig, spec)
    assert (found.equal, found.rows_missing, found.rows_extra) == (False, missing, extra)


def test_deletes_are_red_unless_they_are_to_be_ignored(rig: Rig) -> None:
    loaded(rig, BY_TIME)
    rig.database.execute("DELETE FROM orders WHERE id = 7")
    assert differences(comparison(rig, BY_TIME)) == (False, 0, 0, 1, 0)
    assert comparison(rig, replace(BY_TIME, deletes="ignore")).equal


def test_a_table_that_was_emptied_and_filled_beyond_its_mark_is_red(rig: Rig) -> None:
    """The sync reads on from its mark: it looks like a table that grew."""
    loaded(rig, BY_ID)
    rig.database.execute(f"TRUNCATE orders RESTART IDENTITY; {ROWS.replace('x', 'other')}; {ROWS}")
    assert rig.sync(BY_ID).rows == 100
    rig.load(BY_ID)
    assert differences(comparison(rig, BY_ID)) == (False, 0, 100, 0, 0)


def test_hashed_columns_are_left_out_and_a_hashed_key_is_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", "a key that is long enough")
    spec = replace(BY_TIME, columns=ColumnRules(hash=("status",)))
    loaded(rig, spec)
    found = comparison(rig, spec)
    assert found.equal and found.columns_left_out == ("status",)
    with pytest.raises(ConfigError, match="the key is hashed"):
        comparison(rig, replace(spec, columns=ColumnRules(hash=("id",))))


def test_a_table_of_which_the_ledger_knows_nothing_is_not_called_equal(rig: Rig) -> None:
    """Without marks every row would be one that is still to come."""
    spec = spec_of()
    rig.database.execute(f"{ORDERS}; INSERT INTO orders (status) VALUES ('x')")
    rig.sync(spec)
    rig.load(spec)
    rig.warehouse.forget(rig.target)
    assert compare(rig.source, rig.warehouse, spec, rig.target).equal, "it is: row for row"
    rig.warehouse_db.execute("DELETE FROM shop.orders")
    with pytest.raises(ConfigError, match=r"public\.orders: the ledger has nothing of shop\.orders"):
        compare(rig.source, rig.warehouse, spec, rig.target)
