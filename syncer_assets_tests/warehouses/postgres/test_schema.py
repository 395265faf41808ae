"""The target's columns: made, compared, changed only where nothing can be lost."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import ConfigError, DbError, SchemaChanged, SyncError
from syncer_assets.model.table import Target
from syncer_assets.warehouses.postgres import types
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import ORDERS, Loads

ID = ORDERS[0]


def text(name: str, source_type: str = "text") -> Column:
    return Column(name, "string", source_type)


def columns(database: Database, table: str = "shop.orders") -> dict[str, str]:
    return dict(
        database.execute(
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END"
            " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [table],
        )
    )


def refused(loads: Loads, rows: Sequence[Sequence[object]], match: str, **plan: Any) -> None:
    """The load raises SchemaChanged, and neither the table nor the ledger has changed."""
    before = loads.warehouse.table_columns(loads.target), loads.warehouse.ledger(loads.target)
    with pytest.raises(SchemaChanged, match=match) as raised:
        loads.load(rows, **plan)
    assert "Fix: " in str(raised.value)
    assert (loads.warehouse.table_columns(loads.target), loads.warehouse.ledger(loads.target)) == before


def test_a_new_table_has_the_sources_types_and_only_the_key_not_null(orders: Loads, warehouse_db: Database) -> None:
    orders.columns = (
        *ORDERS,
        text("code", "character varying(10)"),
        Column("mail", "string", "citext", portable=False),
    )
    orders.load([(1, "a", None, "c", "m")])
    assert columns(warehouse_db) == {
        "id": "bigint NOT NULL",
        "status": "text",
        "amount": "numeric(12,2)",
        "code": "character varying(10)",
        "mail": "text",
        "_syncer_captured_at": "timestamp with time zone NOT NULL",
        "_syncer_deleted_at": "timestamp with time zone",
    }
    assert [column.name for column in orders.warehouse.table_columns(orders.target)] == [
        "id", "status", "amount", "code", "mail",
    ]  # fmt: skip


def test_a_column_that_must_not_be_null_cannot_go(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a", 1)])
    warehouse_db.execute("ALTER TABLE shop.orders ALTER COLUMN amount SET NOT NULL")
    orders.columns = ORDERS[:2]
    refused(orders, [(2, "b")], "'amount'.*NOT NULL.*DROP NOT NULL")


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (Column("v", "int32", "integer"), Column("v", "int64", "bigint"), 2**40),
        (text("v", "character varying(3)"), text("v", "character varying(9)"), "ninechars"),
        (text("v", "character varying(3)"), text("v"), "much longer"),
        (Column("v", "decimal128(4, 2)", "numeric(4,2)"), Column("v", "decimal128(9, 3)", "numeric(9,3)"), 12345),
    ],
)
def test_a_widened_column_is_widened(
    orders: Loads, warehouse_db: Database, before: Column, after: Column, value: object
) -> None:
    orders.columns = (ID, before)
    orders.load([(1, None)])
    orders.columns = (ID, after)
    refused(orders, [(1, value)], f"'v'.*{after.source_type.split('(')[0]}.*evolve", schema_changes="freeze")
    orders.load([(1, value)])
    assert columns(warehouse_db)["v"] == after.source_type
    assert warehouse_db.scalar("SELECT v::text FROM shop.orders").startswith(str(value))


@pytest.mark.parametrize(
    ("there", "comes"),
    [
        ("integer", Column("v", "string", "text")),
        ("character varying(50)", Column("v", "string", "text")),
        ("numeric(10,2)", Column("v", "decimal128(12, 2)", "numeric(12,2)")),
        ("numeric(12,2)", Column("v", "string", "numeric")),
        ("integer", Column("v", "int64", "bigint")),
        ("timestamp without time zone", Column("v", "timestamp[us, tz=UTC]", "timestamp with time zone")),
        ("date", Column("v", "timestamp[us]", "timestamp without time zone")),
        ("text[]", Column("v", "string", "text")),
    ],
)
def test_a_table_of_a_person_with_another_type_is_refused(
    orders: Loads, warehouse_db: Database, there: str, comes: Column
) -> None:
    warehouse_db.execute(f"CREATE TABLE shop.orders (id bigint PRIMARY KEY, v {there})")
    orders.columns = (ID, comes)
    refused(orders, [(1, None)], rf"shop\.orders.*'v' is {re.escape(there)} .*{re.escape(comes.source_type)}")


def test_a_table_of_a_person_that_can_hold_it_all_is_kept(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(
        "CREATE TABLE shop.orders (note text DEFAULT 'mine', amount numeric(20,4),"
        ' status text COLLATE "C", id numeric);'
        "INSERT INTO shop.orders VALUES ('kept', 1, 'old', 1), ('kept', 2, 'a', 2)"
    )
    report = orders.load([(1, "new", 1), (2, "a", 2), (3, "a", 3)])
    assert (report.how, report.rows_updated, report.rows_unchanged, report.rows_inserted) == ("merge", 1, 1, 1)
    assert warehouse_db.execute("SELECT id, status, amount, note FROM shop.orders ORDER BY id") == [
        (1, "new", 1, "kept"), (2, "a", 2, "kept"), (3, "a", 3, "mine"),
    ]  # fmt: skip
    assert warehouse_db.scalar("SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass") == 1


def test_rows_of_a_person_are_appended_to_without_a_key(orders: Loads, warehouse_db: Database) -> None:
    """They are none that a load has written, and that a lost ledger would bring again."""
    warehouse_db.execute("CREATE TABLE shop.orders AS SELECT 1::bigint AS id, 'theirs' AS status")
    orders.load_kind, orders.key, orders.columns = "append", (), ORDERS[:2]
    orders.load([(2, "ours")])
    orders.load([(3, "ours")])
    assert [row[0] for row in warehouse_db.execute("SELECT id FROM shop.orders ORDER BY id")] == [1, 2, 3]


def test_a_table_of_a_person_with_duplicate_keys_is_refused(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(
        "CREATE TABLE shop.orders (id bigint, status text, amount numeric(12,2));"
        "INSERT INTO shop.orders VALUES (1), (1)"
    )
    refused(orders, [(2, "a", None)], r"rows that share a key")


def test_a_view_is_no_target(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE VIEW shop.orders AS SELECT 1 AS id")
    refused(orders, [(1, "a", None)], "not a table")


def test_a_partitioned_target_is_loaded(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(
        "CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text, amount numeric(12,2))"
        " PARTITION BY HASH (id);"
        "CREATE TABLE shop.orders_0 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
    )
    orders.load([(n, "a") for n in range(10)])
    assert orders.load([(n, "b" if n == 3 else "a") for n in range(11)]).rows_updated == 1
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 11


HOSTILE = ['a"b', "a;drop", "a%s", "%(x)s", "a.b", "ünï 🙂", "select", "Upper", "$1", "a'b", "{}", "x" * 63]


@pytest.mark.parametrize("straight", [True, False])
def test_hostile_names_are_only_names(orders: Loads, warehouse_db: Database, straight: bool) -> None:
    warehouse_db.execute("CREATE TABLE canary (id int)")
    warehouse_db.grant("CREATE ON DATABASE")
    orders.target = Target("w", 'sch"e%s', 'ta.b"l%(e)s;--')
    orders.columns = tuple(Column(name, "string", "text") for name in HOSTILE)
    orders.key = ('a"b', "a%s", "$1")
    row = [f"v{n}" for n in range(len(HOSTILE))]
    orders.load([row] if straight else [row, row])
    changed = [*row[:1], "other", *row[2:]]
    assert orders.load([changed]).rows_updated == 1
    assert orders.load([changed]).rows_unchanged == 1
    assert [column.name for column in orders.warehouse.table_columns(orders.target)] == HOSTILE
    assert len(orders.warehouse.checksum(orders.target, orders.columns, orders.key, 4)) == 1
    with warehouse_db.connect() as connection:
        stored = connection.execute('SELECT * FROM "sch""e%s"."ta.b""l%(e)s;--"').fetchall()
    assert [list(each[: len(HOSTILE)]) for each in stored] == [changed]
    assert warehouse_db.scalar("SELECT to_regclass('canary') IS NOT NULL")


def test_columns_that_the_server_would_make_one_are_refused_by_name(orders: Loads) -> None:
    orders.columns = (ID, text("ü" * 32 + "1"), text("ü" * 32 + "2"))
    with pytest.raises(SchemaChanged, match=f"{'ü' * 32}1.*{'ü' * 32}2.*63 bytes"):
        orders.load([(1, "a", "b")])


def test_one_long_name_is_cut_and_found_again(orders: Loads, warehouse_db: Database) -> None:
    orders.columns = (ID, text("ü" * 40))
    orders.load([(1, "a")])
    assert orders.load([(1, "b")]).rows_updated == 1
    assert "ü" * 31 in columns(warehouse_db)


def test_a_long_table_name_is_refused(orders: Loads) -> None:
    orders.target = Target("w", "shop", "t" * 64)
    with pytest.raises(ConfigError, match="64 bytes and PostgreSQL keeps 63"):
        orders.load([(1, "a")])


def test_a_type_with_sql_in_it_is_not_believed(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE TABLE canary (id int)")
    orders.columns = (ID, text("v", "text); DROP TABLE canary; --"), text("w", "canary"))
    orders.load([(1, "a", "b")])
    assert columns(warehouse_db)["v"] == columns(warehouse_db)["w"] == "text"
    assert warehouse_db.scalar("SELECT to_regclass('canary') IS NOT NULL")


CANARY = "canary-4711"


@pytest.mark.parametrize(
    ("target_type", "column"),
    [
        ("character varying(5)", text("v", "character varying(5)")),
        ("text[]", text("v", "text[]")),
        ("jsonb", text("v", "jsonb")),
        ("uuid", text("v", "uuid")),
        ("inet", text("v", "inet")),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_no_value_is_in_the_text_of_an_error(
    orders: Loads, warehouse_db: Database, target_type: str, column: Column, first: bool
) -> None:
    if not first:
        warehouse_db.execute(f"CREATE TABLE shop.orders (id bigint PRIMARY KEY, v {target_type})")
    orders.columns = (ID, column)
    with pytest.raises(SyncError) as raised:
        orders.load([(1, CANARY)])
    assert "canary" not in str(raised.value) and raised.value.__cause__ is None
    assert "'v'" in str(raised.value) and "shop.orders" in str(raised.value)
    assert isinstance(raised.value, DbError | SchemaChanged) and not raised.value.retryable


def test_a_unique_index_of_a_person_tells_no_value(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, CANARY)])
    warehouse_db.execute("CREATE UNIQUE INDEX one_status ON shop.orders (status)")
    with pytest.raises(DbError, match="one_status") as raised:
        orders.load([(2, CANARY)])
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("wide", "narrow", "fits"),
    [
        ("text", "character varying(50)", True),
        ("character varying(50)", "text", False),
        ("character varying(50)", "character varying(20)", True),
        ("character varying", "character varying(20)", True),
        ("character varying(20)", "character varying", False),
        ("bigint", "integer", True),
        ("integer", "bigint", False),
        ("numeric", "numeric(12,2)", True),
        ("numeric(12,2)", "numeric", False),
        ("numeric(14,2)", "numeric(12,2)", True),
        ("numeric(13,4)", "numeric(12,2)", False),
        ("numeric(10,0)", "integer", True),
        ("numeric(9,0)", "integer", False),
        ("timestamp(6) with time zone", "timestamp(3) with time zone", True),
        ("timestamp with time zone", "timestamp without time zone", False),
        ("text", "text[]", False),
        ("text", "timestamp with time zone", False),
        ("double precision", "real", True),
        ("real", "double precision", False),
    ],
)
def test_which_type_holds_which(wide: str, narrow: str, fits: bool) -> None:
    assert types.holds(wide, narrow) is fits
