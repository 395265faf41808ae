"""Every type of the lake arrives as it was, or its column is named; on a real Redshift too, where there is one."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import DbError, SchemaChanged
from syncer_assets.warehouses.redshift import types
from syncer_assets_tests.warehouses.contract import on_real_redshift, on_redshift
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Loads

ID = ORDERS[0]
UTC = datetime.UTC
NOON = datetime.datetime(2026, 2, 28, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["redshift", "real_redshift"])
def everywhere(request: pytest.FixtureRequest) -> Iterator[Loads]:
    with (on_redshift if request.param == "redshift" else on_real_redshift).opened(request) as opened:
        warehouse = opened.open()
        yield Loads(opened, warehouse)
        warehouse.close()


@pytest.mark.parametrize(
    ("column", "type_name", "value"),
    [
        (Column("v", "bool", "boolean"), "boolean", True),
        (Column("v", "int8", "tinyint"), "smallint", -128),
        (Column("v", "uint8", "tinyint unsigned"), "smallint", 255),
        (Column("v", "int16", "smallint"), "smallint", -32768),
        (Column("v", "uint16", "smallint unsigned"), "integer", 65535),
        (Column("v", "int32", "integer"), "integer", 2**31 - 1),
        (Column("v", "uint32", "int unsigned"), "bigint", 2**32 - 1),
        (Column("v", "int64", "bigint"), "bigint", -(2**63)),
        (Column("v", "uint64", "bigint unsigned"), "numeric(20,0)", Decimal(2**64 - 1)),
        (Column("v", "decimal128(38, 10)", "numeric(38,10)"), "numeric(38,10)", Decimal("1" * 28 + ".0000000001")),
        (Column("v", "decimal128(38, 38)", "numeric(38,38)"), "character varying(65535)", "0." + "1" * 38),
        (Column("v", "string", "numeric"), "character varying(65535)", "12345678901234567890.123456789012345678901"),
        (Column("v", "float", "real"), "real", 1.5),
        (Column("v", "double", "double precision"), "double precision", 0.1 + 0.2),
        (Column("v", "string", "text"), "character varying(65535)", "ünï 🙂"),
        (Column("v", "string", "character varying(3)"), "character varying(12)", "🙂🙂🙂"),
        (Column("v", "string", "varchar(20000)"), "character varying(65535)", "x" * 20_000),
        (Column("v", "string", "citext", portable=False), "character varying(65535)", "Mixed"),
        (Column("v", "binary", "bytea"), "binary varying(1024000)", b"\0\xff\\x"),
        (Column("v", "date32[day]", "date"), "date", datetime.date(1582, 10, 4)),
        (Column("v", "time64[us]", "time"), "time without time zone", datetime.time(23, 59, 59, 999999)),
        (Column("v", "timestamp[us]", "timestamp"), "timestamp without time zone", NOON.replace(tzinfo=None)),
        (Column("v", "timestamp[us, tz=UTC]", "timestamptz"), "timestamp with time zone", NOON),
    ],
    ids=lambda value: value.type if isinstance(value, Column) else "",
)
def test_a_value_arrives_as_it_was(everywhere: Loads, column: Column, type_name: str, value: Any) -> None:
    assert types.target_type(column, "postgres") == type_name
    everywhere.columns = (ID, column)
    given = Decimal(value) if column.type.startswith("decimal") else value
    everywhere.load([(1, given), (2, None)])
    assert everywhere.rows("id", "v") == [(1, value), (2, None)]
    assert everywhere.load([(1, given), (2, None)]).rows_unchanged == 2


def test_json_becomes_super(orders: Loads) -> None:
    orders.columns = (ID, Column("v", "string", "jsonb"))
    orders.load([(1, '{"b": [1, 2.50], "a": null}'), (2, None)])
    assert [column.type for column in orders.warehouse.table_columns(orders.target)][1].endswith("super")
    assert orders.under_test.query('SELECT "v" ->> \'b\' FROM "shop"."orders" ORDER BY "id"') == [
        ("[1, 2.50]",),
        (None,),
    ]
    assert orders.load([(1, '{"b": [1, 2.50], "a": null}'), (2, "{}")]).rows_updated == 1


def test_a_text_that_is_no_json_names_its_column_only(orders: Loads) -> None:
    orders.columns = (ID, Column("v", "string", "json"))
    with pytest.raises(DbError, match=r"'v' \(super\) cannot be read") as raised:
        orders.load([(1, "canary")])
    assert "canary" not in str(raised.value) and not raised.value.retryable


def test_a_type_without_a_place_is_refused() -> None:
    with pytest.raises(SchemaChanged, match="'v' has the lake type"):
        types.target_type(Column("v", "list<item: int32>", "integer[]"), "postgres")


def test_a_number_cannot_be_widened(orders: Loads) -> None:
    """Redshift alters the length of a VARCHAR, and nothing else."""
    orders.columns = (ID, Column("v", "int32", "integer"))
    orders.load([(1, 5)])
    orders.columns = (ID, Column("v", "int64", "bigint"))
    with pytest.raises(SchemaChanged, match=r"'v' is integer.*widens VARCHAR columns only"):
        orders.load([(1, 2**40)])


@pytest.mark.parametrize(
    ("wide", "narrow", "fits"),
    [
        ("character varying(20)", "character varying(20)", True),
        ("character varying(20)", "character varying(21)", False),
        ("bigint", "integer", True),
        ("integer", "bigint", False),
        ("numeric(20,0)", "bigint", True),
        ("super", "super", True),
        ("super", "character varying(20)", False),
        ("varbyte", "binary varying(1024000)", True),
    ],
)
def test_which_type_holds_which(wide: str, narrow: str, fits: bool) -> None:
    assert types.holds(wide, narrow) is fits


def test_a_table_of_a_person_keeps_its_own_columns(orders: Loads) -> None:
    """With MERGE, and with the UPDATE of text keys."""
    orders.under_test.query(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (note varchar(20), amount numeric(20,4), status varchar(65535),"
        " id bigint); INSERT INTO shop.orders VALUES ('kept', 1, 'old', 1), ('kept', 2, 'a', 2)"
    )
    report = orders.load([(1, "new", 1), (2, "a", 2), (3, "a", 3)])
    assert (report.rows_updated, report.rows_unchanged, report.rows_inserted) == (1, 1, 1)
    assert orders.rows("id", "status", "note") == [(1, "new", "kept"), (2, "a", "kept"), (3, "a", None)]


def test_a_table_of_a_person_with_a_text_key_keeps_its_own_columns(orders: Loads) -> None:
    orders.under_test.query(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (note varchar(20), amount numeric(20,4), status varchar(65535),"
        " id bigint); INSERT INTO shop.orders VALUES ('kept', 1, 'a', 1)"
    )
    orders.key, orders.cursor = ("status",), ("id",)
    report = orders.load([(9, "a", 1), (2, "b", 2)])
    assert (report.rows_updated, report.rows_inserted) == (1, 1)
    assert orders.rows("id", "status", "note") == [(2, "b", None), (9, "a", "kept")]


def test_a_view_is_no_target(orders: Loads) -> None:
    orders.under_test.query("CREATE SCHEMA shop; CREATE VIEW shop.orders AS SELECT 1 AS id")
    with pytest.raises(SchemaChanged, match="not a table"):
        orders.load([(1, "a")])
