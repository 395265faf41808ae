"""The target's columns follow the manifest's where nothing can be lost; names are only names."""

from collections.abc import Sequence
from typing import Any

import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import SchemaChanged, SyncError
from syncer_assets.model.table import Target
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Extraction, Loads

ID = ORDERS[0]
HOSTILE = ['a"b', "a;drop", "a%s", "%(x)s", "a.b", "ünï 🙂", "select", "Upper", "$1", "a'b", "{}", "back\\slash"]
CANARY = "canary-4711"


def text(name: str, source_type: str = "text") -> Column:
    return Column(name, "string", source_type)


def refused(loads: Loads, rows: Sequence[Sequence[object]], match: str, **plan: Any) -> None:
    """The load raises SchemaChanged, and neither the table nor the ledger has changed."""
    before = loads.warehouse.table_columns(loads.target), loads.state()
    with pytest.raises(SchemaChanged, match=match) as raised:
        loads.load(rows, **plan)
    assert "Fix: " in str(raised.value)
    assert (loads.warehouse.table_columns(loads.target), loads.state()) == before


def test_a_new_column_is_added(orders: Loads) -> None:
    orders.load([(1, "a", None)])
    orders.columns = (*ORDERS, Column("qty", "int32", "integer"), text("note"))
    assert orders.load([(1, "a", None, 5), (2, "b", None, None, "n")]).rows_updated == 1
    assert orders.rows("id", "qty", "note") == [(1, 5, None), (2, None, "n")]


def test_a_new_column_is_refused_when_frozen(orders: Loads) -> None:
    orders.load([(1, "a", None)])
    orders.columns = (*ORDERS, Column("qty", "int32", "integer"))
    refused(orders, [(1, "a", None, 5)], r"shop\.orders \[all\].*'qty'.*freeze", schema_changes="freeze")


def test_a_column_that_is_gone_stays_and_is_null_in_new_rows(orders: Loads) -> None:
    orders.load([(1, "a", 7)])
    orders.columns = (ID, text("status"))
    orders.load([(2, "b")])
    assert orders.rows("id", "status", "amount") == [(1, "a", 7), (2, "b", None)]


def test_a_column_that_is_gone_is_refused_when_frozen(orders: Loads) -> None:
    orders.load([(1, "a", None)])
    orders.columns = ORDERS[:2]
    refused(orders, [(2, "b")], "'amount'.*no longer comes from the source", schema_changes="freeze")


def test_a_widened_text_is_widened(orders: Loads) -> None:
    orders.columns = (ID, text("v", "character varying(3)"))
    orders.load([(1, "abc")])
    orders.columns = (ID, text("v", "character varying(90)"))
    orders.load([(1, "n" * 90)])
    assert orders.rows("id", "v") == [(1, "n" * 90)]


def test_pending_manifests_of_two_shapes_are_loaded_at_once(orders: Loads) -> None:
    narrow, wide = (ID, Column("v", "int32", "integer")), (ID, Column("v", "int64", "bigint"), text("added"))
    orders.load_all([Extraction([(1, 7)], columns=narrow), Extraction([(2, 2**40, "x")], columns=wide)])
    assert orders.rows("id", "v", "added") == [(1, 7, None), (2, 2**40, "x")]


def test_columns_in_another_order_are_found_by_name(orders: Loads) -> None:
    orders.load([(1, "a", 1)])
    orders.columns = (ORDERS[2], ORDERS[1], ORDERS[0])
    assert orders.load([(2, "b", 2)]).rows_inserted == 1
    assert orders.rows() == [(1, "a", 1), (2, "b", 2)]


def test_another_type_is_refused(orders: Loads) -> None:
    orders.columns = (ID, Column("v", "int32", "integer"))
    orders.load([(1, 5)])
    orders.columns = (ID, Column("v", "timestamp[us]", "timestamp without time zone"))
    refused(orders, [(1, None)], r"shop\.orders.*'v' is ")


def test_a_hashed_column_is_text_whatever_it_was(orders: Loads) -> None:
    orders.columns = (ID, Column("ssn", "string", "bigint", transform="hash"))
    orders.load([(1, "6f1e")])
    assert orders.rows("id", "ssn") == [(1, "6f1e")]


@pytest.mark.parametrize("name", ["_syncer_captured_at", "_syncer_deleted_at", "_syncer_order"])
def test_a_column_with_a_name_of_ours_is_refused(orders: Loads, name: str) -> None:
    orders.columns = (ID, text(name))
    with pytest.raises(SchemaChanged, match=f"{name}.*exclude the column"):
        orders.load([(1, "a")])


def test_hostile_names_are_only_names(orders: Loads, request: pytest.FixtureRequest) -> None:
    if orders.under_test.name == "postgres":
        request.getfixturevalue("warehouse_db").grant("CREATE ON DATABASE")  # the schema is not there yet
    orders.target = Target("w", 'sch"e%s', 'ta.b"l%(e)s;--')
    orders.columns = tuple(text(name) for name in HOSTILE)
    orders.key = orders.cursor = ('a"b', "a%s", "$1")
    row = ["it's", '"', "%s", "$1", "\\", "\\'", "back\\slash", "{}", "\n", "ü🙂", ";--", "'"]
    orders.load([row])
    changed = [*row[:1], "other", *row[2:]]
    assert orders.load([changed]).rows_updated == 1
    assert orders.load([changed]).rows_unchanged == 1
    assert [column.name for column in orders.warehouse.table_columns(orders.target)] == HOSTILE
    assert len(orders.warehouse.checksum(orders.target, orders.columns, orders.key, 4)) == 1
    quoted = ", ".join('"{}"'.format(name.replace('"', '""')) for name in HOSTILE)
    query = f'SELECT {quoted} FROM "sch""e%s"."ta.b""l%(e)s;--"'
    assert [list(each) for each in orders.under_test.query(query)] == [changed]


def test_a_type_with_sql_in_it_is_not_believed(orders: Loads) -> None:
    orders.under_test.query('CREATE TABLE "canary" ("id" int)')
    orders.columns = (ID, text("v", 'text); DROP TABLE "canary"; --'), text("w", "canary"))
    orders.load([(1, "a", "b")])
    assert orders.rows("id", "v", "w") == [(1, "a", "b")]
    assert orders.under_test.query('SELECT count(*) FROM "canary"')[0][0] == 0


def test_a_text_that_is_too_long_is_refused_by_its_columns_name(orders: Loads) -> None:
    """Five characters; a warehouse that counts bytes must hold any five."""
    if orders.under_test.name.endswith("snowflake"):
        pytest.skip("a VARCHAR is made without a length there: it holds every text")
    orders.columns = (ID, text("v", "character varying(5)"))
    orders.load([(1, "🙂🙂🙂🙂🙂")])
    before = orders.state()
    with pytest.raises(SyncError, match=r"shop\.orders.*'v'") as raised:
        orders.load([(1, CANARY * 20)])
    assert "canary" not in str(raised.value) and raised.value.__cause__ is None and not raised.value.retryable
    assert orders.state() == before
