"""Values of every type arrive as they are, straight and by way of staging."""

import pyarrow as pa
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import SchemaChanged
from syncer_assets.warehouses.postgres.types import arrow_type, natural_type
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import ORDERS, Loads

ID = ORDERS[0]
INFINITY = 2**63 - 1

VALUES = [
    # Arrow type, source type, Arrow values, the texts that PostgreSQL shows
    ("bool", "boolean", [True, False], ["true", "false"]),
    ("int16", "smallint", [-32768, 32767], ["-32768", "32767"]),
    ("int32", "integer", [-(2**31), 2**31 - 1], ["-2147483648", "2147483647"]),
    ("int64", "bigint", [-(2**63), 2**63 - 1], ["-9223372036854775808", "9223372036854775807"]),
    ("float", "real", [0.1, float("inf"), float("nan")], ["0.1", "Infinity", "NaN"]),
    ("double", "double precision", [1 / 3, -0.0, 5e-324], ["0.3333333333333333", "-0", "5e-324"]),
    ("decimal128(12, 2)", "numeric(12,2)", ["-0.01", "9999999999.99", "0.00"], ["-0.01", "9999999999.99", "0.00"]),
    ("decimal128(38, 0)", "numeric(38,0)", ["9" * 38], ["9" * 38]),
    ("decimal128(38, 38)", "numeric(38,38)", ["0." + "9" * 38], ["0." + "9" * 38]),
    ("string", "text", ["", "ünï\n\t\\🙂"], ["", "ünï\n\t\\🙂"]),
    ("string", "character varying(5)", ["abcde"], ["abcde"]),
    ("string", "character(4)", ["ab  "], ["ab"]),
    ("binary", "bytea", [b"", b"\x00\xff"], ["\\x", "\\x00ff"]),
    ("time64[us]", "time without time zone", [0, 86_400_000_000 - 1], ["00:00:00", "23:59:59.999999"]),
    ("date32[day]", "date", [0, 2**31 - 1, -(2**31) + 1, -(2**31), -719_163],
     ["1970-01-01", "infinity", "-infinity", "-infinity", "0001-12-31 BC"]),
    ("timestamp[us]", "timestamp without time zone", [1, INFINITY, -INFINITY, -INFINITY - 1, -62_135_596_800_000_001],
     ["1970-01-01 00:00:00.000001", "infinity", "-infinity", "-infinity", "0001-12-31 23:59:59.999999 BC"]),
    ("timestamp[us, tz=UTC]", "timestamp with time zone", [0, INFINITY, -INFINITY],
     ["1970-01-01 00:00:00+00", "infinity", "-infinity"]),
    ("timestamp[us, tz=UTC]", "timestamp(3) with time zone", [1000], ["1970-01-01 00:00:00.001+00"]),
    ("string", "uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"],
     ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("string", "json", ['{"b": 1.0,  "a":[]}'], ['{"b": 1.0,  "a":[]}']),
    ("string", "jsonb", ['{"b": 1.00, "a": []}'], ['{"a": [], "b": 1.00}']),
    ("string", "numeric", ["1.0", "1.00", "NaN", "-Infinity", "1e200"],
     ["1.0", "1.00", "NaN", "-Infinity", "1" + "0" * 200]),
    ("string", "text[]", ['{a,NULL,"b,c"}', "{}", "{{1,2},{3,4}}"], ['{a,NULL,"b,c"}', "{}", "{{1,2},{3,4}}"]),
    ("string", "integer[]", ["[0:1]={1,2}"], ["[0:1]={1,2}"]),
    ("string", "numeric(10,2)[]", ["{1.50,NULL}"], ["{1.50,NULL}"]),
    ("string", "interval", ["1 mon", "30 days", "-00:00:01.5"], ["1 mon", "30 days", "-00:00:01.5"]),
    ("string", "time with time zone", ["10:00:00+02"], ["10:00:00+02"]),
    ("string", "tsvector", ["'a':1 'b':2A"], ["'a':1 'b':2A"]),
    ("string", "inet", ["10.0.0.1/24"], ["10.0.0.1/24"]),
    ("string", "point", ["(1,2.5)"], ["(1,2.5)"]),
    ("string", "box", ["(2,2),(0,0)"], ["(2,2),(0,0)"]),
    ("string", "int4range", ["[1,5)", "empty"], ["[1,5)", "empty"]),
    ("string", "bit(3)", ["101"], ["101"]),
    ("string", "bit varying(8)", ["10"], ["10"]),
    ("string", "oid", ["4294967295"], ["4294967295"]),
]  # fmt: skip


def case(arrow: str, values: list, nulls: bool = True) -> pa.Array:
    kind = arrow_type(arrow)
    values = [*values, None] if nulls else values
    if pa.types.is_temporal(kind):
        width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        return pa.array(values, width).view(kind)
    return pa.array(values, pa.string()).cast(kind) if pa.types.is_decimal(kind) else pa.array(values, kind)


@pytest.mark.parametrize(("arrow", "source_type", "values", "shown"), VALUES, ids=[v[1] for v in VALUES])
def test_values_arrive_as_they_are(
    orders: Loads, warehouse_db: Database, arrow: str, source_type: str, values: list, shown: list
) -> None:
    orders.columns = (ID, Column("v", arrow, source_type))
    array = case(arrow, values)
    ids = pa.array(range(len(array)), pa.int64())
    orders.load(pa.table({"id": ids, "v": array}))
    expected = [*shown, None]
    query = "SELECT v::text FROM shop.orders WHERE id >= %s ORDER BY id"
    assert [row[0] for row in warehouse_db.execute(query, [0])] == expected
    assert warehouse_db.scalar("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v'"
                               " AND attrelid = 'shop.orders'::regclass") == source_type  # fmt: skip
    again = orders.load(pa.table({"id": ids, "v": array}))
    assert (again.how, again.rows_unchanged) == ("merge", len(array))
    staged = orders.load(pa.table({"id": pa.array(range(100, 100 + len(array)), pa.int64()), "v": array}))
    assert staged.rows_inserted == len(array)
    assert [row[0] for row in warehouse_db.execute(query, [100])] == expected
    orders.load(pa.table({"id": ids, "v": pa.nulls(len(array), array.type)}))
    back = orders.load(pa.table({"id": ids, "v": array}))
    assert back.rows_updated == len(array) - 1


@pytest.mark.parametrize(
    ("source_type", "before", "after"),
    [
        ("numeric", "1.0", "1.00"),
        ("json", '{"a":1}', '{"a": 1}'),
        ("jsonb", '{"a":1.0}', '{"a":1.00}'),
        ("interval", "1 mon", "30 days"),
        ("numeric(10,2)[]", "{1.50}", "{1.51}"),
        ("box", "(2,2),(0,0)", "(4,1),(0,0)"),
    ],
)
def test_values_that_are_equal_only_to_the_server_are_updated(
    orders: Loads, warehouse_db: Database, source_type: str, before: str, after: str
) -> None:
    orders.columns = (ID, Column("v", "string", source_type))
    orders.load([(1, before)])
    assert orders.load([(1, after)]).rows_updated == 1
    assert orders.load([(1, after)]).rows_unchanged == 1


def test_a_key_may_be_a_uuid_or_a_time(orders: Loads, warehouse_db: Database) -> None:
    orders.columns = (
        Column("u", "string", "uuid"),
        Column("t", "timestamp[us, tz=UTC]", "timestamp with time zone"),
        Column("v", "string", "text"),
    )
    orders.key = ("u", "t")
    row = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 1_700_000_000_000_000]
    orders.load([[*row, "a"]])
    assert orders.load([[*row, "b"]]).rows_updated == 1
    assert orders.load([[*row, "b"], [*row, "c"]]).rows_deduplicated == 1


def test_another_engines_types_come_from_arrow(orders: Loads, warehouse_db: Database) -> None:
    orders.engine = "mysql"
    orders.columns = (
        ID,
        Column("u64", "uint64", "bigint unsigned"),
        Column("u8", "uint8", "tinyint unsigned"),
        Column("i8", "int8", "tinyint"),
        Column("u32", "uint32", "int unsigned"),
        Column("text", "string", "text"),
    )
    orders.load([(1, 2**64 - 1, 255, -128, 2**32 - 1, "x")])
    assert orders.load([(1, 2**64 - 1, 255, -128, 2**32 - 1, "x")]).rows_unchanged == 1
    assert warehouse_db.execute("SELECT u64, u8, i8, u32 FROM shop.orders") == [(2**64 - 1, 255, -128, 2**32 - 1)]
    assert [column.type for column in orders.warehouse.table_columns(orders.target)] == [
        "bigint", "numeric(20,0)", "smallint", "smallint", "bigint", "text",
    ]  # fmt: skip


@pytest.mark.parametrize("arrow", ["list<item: int64>", "decimal256(40, 2)", "duration[us]", "timestamp[ns]"])
def test_an_arrow_type_without_a_place_is_refused_by_name(arrow: str) -> None:
    with pytest.raises(SchemaChanged, match=r"shop\.t: column 'v' has the lake type .*Fix: exclude"):
        natural_type(arrow, "v", "shop.t")


def test_three_hundred_columns(orders: Loads, warehouse_db: Database) -> None:
    orders.columns = (ID, *(Column(f"c{n}", "int32", "integer") for n in range(320)))
    orders.load([[n, *range(320)] for n in range(10)])
    assert orders.load([[1, *range(319), -1], [2, *range(320)]]).rows_updated == 1
