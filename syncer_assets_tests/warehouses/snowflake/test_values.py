"""Values arrive as they were, or stop the load; and their checksums are those of PostgreSQL for the same rows.

The double proves little of this: the same tests run against a real Snowflake where the environment names one.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from syncer_assets.drivers.postgres_checksum import canonical_type
from syncer_assets.model.columns import Column
from syncer_assets.model.errors import SchemaChanged
from syncer_assets.model.keys import Buckets
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.contract import on_real_snowflake, on_snowflake
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads, WarehouseUnderTest

ID = Column("id", "int64", "bigint", nullable=False)
COMPARED = (
    ID,
    Column("flag", "bool", "boolean"),
    Column("small", "int16", "smallint"),
    Column("huge", "uint64", "bigint unsigned"),
    Column("amount", "decimal128(12, 2)", "numeric(12,2)"),
    Column("wide", "decimal128(38, 10)", "numeric(38,10)"),
    Column("free", "string", "numeric"),
    Column("name", "string", "text"),
    Column("body", "binary", "bytea"),
    Column("day", "date32[day]", "date"),
    Column("at", "time64[us]", "time without time zone"),
    Column("local", "timestamp[us]", "timestamp without time zone"),
    Column("moment", "timestamp[us, tz=UTC]", "timestamp with time zone"),
)
ROWS: list[tuple[Any, ...]] = [
    (
        *(1, True, -32768, 2**64 - 1, Decimal("-0.50"), Decimal("1234567890123456789012345678.0123456789"), "1.500"),
        *(
            "ünï 🙂 'x' \\ \n",
            b"\x00\xff",
            date(1, 1, 1),
            time(12, 30),
            datetime.fromisoformat("9999-12-31T23:59:59.999999"),
        ),
        datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC),
    ),
    (
        *(2, False, 0, 0, Decimal("100.00"), Decimal(0), "-10", "", b"", date(9999, 12, 31), time(0, 0, 0, 500000)),
        *(datetime.fromisoformat("0001-01-01"), datetime(1582, 10, 4, tzinfo=UTC)),
    ),
    (3, *[None] * 12),
]


@pytest.fixture(params=["snowflake", "real_snowflake"])
def under_test(request: pytest.FixtureRequest) -> Iterator[WarehouseUnderTest]:
    place = on_snowflake if request.param == "snowflake" else on_real_snowflake
    with place.opened(request) as opened:
        yield opened


def test_values_are_what_they_were(orders: Loads) -> None:
    orders.columns = COMPARED
    orders.load(ROWS)
    names = [column.name for column in COMPARED]
    assert sorted(orders.rows(*names)) == sorted(ROWS)


def test_checksums_are_those_of_postgres(orders: Loads, warehouse_db: Database) -> None:
    """The same files of the lake in both: every bucket, every key, every row hash."""
    orders.columns = COMPARED
    plan = orders.plan([Extraction(ROWS)])
    orders.warehouse.load(plan)
    postgres = PostgresWarehouse("p", warehouse_db.dsn)
    postgres.register(orders.target, "generation-1")
    postgres.load(plan)
    columns = [column for column in COMPARED if column.name not in orders.warehouse.incomparable(COMPARED)]
    assert [canonical_type(column) for column in columns][:2] == ["text", "text"]
    for key in (("id",), ("name", "id"), ("moment", "id")):
        assert orders.warehouse.checksum(orders.target, columns, key, 7) == postgres.checksum(
            orders.target, columns, key, 7
        )
        every, beside = Buckets(7, tuple(range(7))), [COMPARED[4], COMPARED[12]]
        here, there = (
            warehouse.key_rows(orders.target, columns, key, every, beside) for warehouse in (orders.warehouse, postgres)
        )
        assert here.schema == there.schema
        assert here.sort_by("k0").to_pylist() == there.sort_by("k0").to_pylist()
    postgres.close()


@pytest.mark.parametrize("column", [column.name for column in COMPARED[1:]])
def test_a_checksum_sees_each_column(orders: Loads, column: str) -> None:
    orders.columns = COMPARED
    orders.load(ROWS)
    before = orders.warehouse.checksum(orders.target, COMPARED, ("id",), 4)
    where = f'UPDATE "shop"."orders" SET "{column}" = NULL WHERE "id" = 1'
    orders.under_test.query(where)
    after = orders.warehouse.checksum(orders.target, COMPARED, ("id",), 4)
    assert before != after and {b: n for b, (n, _) in before.items()} == {b: n for b, (n, _) in after.items()}


def test_floats_and_documents_are_named_as_incomparable(orders: Loads) -> None:
    columns = (
        ID,
        Column("ratio", "double", "double precision"),
        Column("doc", "string", "jsonb"),
        Column("address", "string", "inet4"),
        Column("name", "string", "text"),
    )
    assert orders.warehouse.incomparable(columns) == ("ratio", "doc", "address")


def test_json_becomes_a_variant_and_an_equal_document_is_no_change(orders: Loads) -> None:
    orders.columns = (ID, Column("doc", "string", "jsonb"), Column("plain", "string", "text"))
    orders.load([(1, '{"a": [1, 2]}', "{}"), (2, None, None)])
    assert [column.type for column in orders.warehouse.table_columns(orders.target)] == [
        *("NUMBER(38,0)", "VARIANT", "VARCHAR")
    ]
    report = orders.load([(1, '{"a": [1, 2]}', "{}"), (2, "3", None)])
    assert (report.rows_unchanged, report.rows_updated) == (1, 1)


def test_floats_keep_their_bits(orders: Loads) -> None:
    orders.columns = (ID, Column("ratio", "double", "double precision"))
    values = [0.1, 1e300, -5e-324, float("inf"), 1 / 3]
    orders.load(list(enumerate(values)))
    assert [row[1] for row in sorted(orders.rows("id", "ratio"))] == values


@pytest.mark.parametrize(
    ("kind", "source_type", "stored"),
    [
        ("timestamp[us]", "timestamp without time zone", 2**63 - 1),
        ("timestamp[us]", "timestamp without time zone", -(2**62)),
        ("timestamp[us, tz=UTC]", "timestamp with time zone", -(2**62)),
        ("date32[day]", "date", 2**31 - 1),
        ("date32[day]", "date", -800_000),
    ],
)
def test_a_time_that_snowflake_does_not_have_is_refused(
    orders: Loads, kind: str, source_type: str, stored: int
) -> None:
    """PostgreSQL's infinities and years before Christ, as the lake has them."""
    orders.columns = (ID, Column("at", kind, source_type))
    arrow = pa.date32() if kind.startswith("date") else pa.timestamp("us", "UTC" if "tz" in kind else None)
    number = pa.array([stored], pa.int32() if kind.startswith("date") else pa.int64())
    table = pa.table({"id": pa.array([1], pa.int64()), "at": number.cast(arrow)})
    with pytest.raises(SchemaChanged, match=r"'at'.*outside of the years 1 to 9999"):
        orders.load(table)
    assert orders.warehouse.watermark(orders.target, "all").seq == 0
