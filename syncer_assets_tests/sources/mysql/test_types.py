"""What each type of MySQL 8 and MariaDB becomes, as their catalogues spell it; and the guards, batch by batch."""

from itertools import product

import pyarrow as pa
import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import SyncError
from syncer_assets.sources.arrow import arrow_type as arrow_of
from syncer_assets.sources.base import Read, SourceColumn
from syncer_assets.sources.mysql import guard
from syncer_assets.sources.mysql.query import name, select
from syncer_assets.sources.mysql.types import CatalogueType, source_column
from syncer_assets.warehouses.postgres.types import target_type

MAPPED = [
    # DATA_TYPE, COLUMN_TYPE (without a width as MySQL 8 spells it), Arrow, PostgreSQL, read as it is, cursor
    ("tinyint", "tinyint(1)", "int8", "smallint", True, "integer"),
    ("tinyint", "tinyint unsigned", "uint8", "smallint", True, "integer"),
    ("smallint", "smallint", "int16", "smallint", True, "integer"),
    ("smallint", "smallint(5) unsigned", "uint16", "integer", True, "integer"),
    ("mediumint", "mediumint", "int32", "integer", True, "integer"),
    ("int", "int", "int32", "integer", True, "integer"),
    ("int", "int(5) unsigned zerofill", "uint32", "bigint", True, "integer"),
    ("bigint", "bigint", "int64", "bigint", True, "integer"),
    ("bigint", "bigint unsigned", "uint64", "numeric(20,0)", True, "integer"),
    ("decimal", "decimal(15,2)", "decimal128(15, 2)", "numeric(15,2)", True, "decimal"),
    ("decimal", "decimal(28,10) unsigned", "decimal128(28, 10)", "numeric(28,10)", True, "decimal"),
    ("decimal", "decimal(19,0)", "decimal128(19, 0)", "numeric(19,0)", False, "decimal"),
    ("decimal", "decimal(12,11)", "decimal128(12, 11)", "numeric(12,11)", False, "decimal"),
    ("decimal", "decimal(38,0)", "decimal128(38, 0)", "numeric(38,0)", False, "decimal"),
    ("decimal", "decimal(39,10)", "string", "numeric(39,10)", False, None),
    ("float", "float(7,2)", "float", "real", True, None),
    ("double", "double unsigned", "double", "double precision", True, None),
    ("bit", "bit(1)", "string", "bit(1)", False, None),
    ("year", "year(4)", "int16", "smallint", True, "integer"),
    ("date", "date", "date32[day]", "date", False, "date"),
    ("datetime", "datetime(6)", "timestamp[us]", "timestamp without time zone", False, "timestamp"),
    ("timestamp", "timestamp", "timestamp[us, tz=UTC]", "timestamp with time zone", False, "timestamptz"),
    ("time", "time(3)", "string", "interval", False, None),
    ("varchar", "varchar(10)", "string", "text", True, None),
    ("longtext", "longtext", "string", "text", True, None),
    ("json", "json", "string", "json", False, None),
    ("enum", "enum('decimal(3,1)','b')", "string", "text", True, None),
    ("set", "set('a','b')", "string", "text", True, None),
    ("varbinary", "varbinary(16)", "binary", "bytea", True, None),
    ("blob", "blob /*M!100301 COMPRESSED*/", "binary", "bytea", True, None),
    ("point", "point", "binary", "bytea", False, None),
    ("geomcollection", "geomcollection", "binary", "bytea", False, None),
    ("uuid", "uuid", "string", "uuid", True, None),
    ("inet6", "inet6", "string", "inet", True, None),
    ("inet4", "inet4", "string", "inet", True, None),
]


@pytest.mark.parametrize(("kind", "spelt", "arrow", "target", "native", "cursor"), MAPPED, ids=[m[1] for m in MAPPED])
def test_each_type_has_one_place(
    kind: str, spelt: str, arrow: str, target: str, native: bool, cursor: str | None
) -> None:
    found = source_column("v", CatalogueType(kind, spelt, None, kind == "json"), nullable=True)
    assert (found.column.type, target_type(found.column, "mysql")) == (arrow, target)
    assert (found.expression == "{}", found.cursor_kind) == (native, cursor)
    assert CatalogueType.of(found.column).name == kind


def test_mariadbs_json_is_a_longtext_that_has_a_check() -> None:
    found = source_column("v", CatalogueType("longtext", "longtext", "utf8mb4_bin", True), nullable=True)
    assert (found.column.source_type, target_type(found.column, "mysql"), found.guard) == ("json", "json", None)


@pytest.mark.parametrize(
    ("collation", "cursor"),
    [("utf8mb4_0900_bin", "text"), ("utf8mb4_nopad_bin", "text"), ("utf8mb4_bin", None), ("utf8mb4_0900_ai_ci", None)],
)
def test_text_is_a_cursor_only_where_it_is_compared_byte_by_byte(collation: str, cursor: str | None) -> None:
    """By utf8mb4_bin 'a' and 'a ' are the same."""
    assert source_column("v", CatalogueType("varchar", "varchar(9)", collation), nullable=True).cursor_kind == cursor


def read_of(*columns: SourceColumn) -> Read:
    return Read(table="t", columns=columns, order=())


def date_column(number: int, *, nullable: bool) -> SourceColumn:
    return source_column(f"d{number}", CatalogueType("date", "date"), nullable=nullable)


def text_column(label: str) -> SourceColumn:
    return source_column(label, CatalogueType("text", "text"), nullable=True)


def test_only_nullable_dates_cost_a_column_of_the_select() -> None:
    columns = [date_column(n, nullable=n != 5) for n in range(70)]
    assert guard.columns(read_of(date_column(0, nullable=False), text_column("s")), name) == []
    assert len(guard.columns(read_of(*columns), name)) == 3
    assert guard.columns(read_of(date_column(0, nullable=True)), name) == ["(t.`d0` IS NULL) * 1 AS guard0"]


@pytest.mark.parametrize("bad", [0, 5, 31, 32, 33, 69])
def test_a_date_read_as_null_is_found_among_many_that_are_null(bad: int) -> None:
    """The server's masks say what is NULL; `bad` alone is NULL only here."""
    columns = [date_column(n, nullable=n != 5) for n in range(70)]
    read = read_of(*columns)
    rows = 1000
    null = {(row, n) for row, n in product(range(rows), range(70)) if n != 5 and (row * 7 + n) % 3 == 0}
    unlucky = next(row for row in range(rows) if (row, bad) not in null)
    arrays = [
        pa.array([None if (row, n) in null or (row, n) == (unlucky, bad) else 0 for row in range(rows)], pa.int32())
        for n in range(70)
    ]
    dates = [n for n in range(70) if n != 5]
    masks = [
        pa.array([sum(((row, n) in null) << bit for bit, n in enumerate(part)) for row in range(rows)], pa.int64())
        for part in (dates[:32], dates[32:64], dates[64:])
    ]
    batch = pa.RecordBatch.from_arrays([*arrays, *masks], names=[f"c{n}" for n in range(73)])
    with pytest.raises(SyncError, match=rf"allow_lossy: \[d{bad}\]"):
        guard.checked(read, batch)
    arrays[bad] = pa.array([None if (row, bad) in null else 0 for row in range(rows)], pa.int32())
    good = pa.RecordBatch.from_arrays([*arrays, *masks], names=[f"c{n}" for n in range(73)])
    assert guard.checked(read, good).num_columns == 70


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_nul_byte_is_found_in_its_rows_alone(kind: pa.DataType) -> None:
    read = read_of(text_column("s"), text_column("t"))
    texts = pa.array(["a\0", "b", None, "", "c\0d"], kind)
    plain = pa.array(["x"] * 5, kind)
    whole = pa.RecordBatch.from_arrays([plain, texts], names=["s", "t"])
    with pytest.raises(SyncError, match=r"allow_lossy: \[t\]") as refused:
        guard.checked(read, whole)
    assert "c\0d" not in str(refused.value)
    assert guard.checked(read, whole.slice(1, 3)).num_rows == 3
    with pytest.raises(SyncError):
        guard.checked(read, whole.slice(4))
    assert guard.checked(read, whole.slice(0, 0)).num_rows == 0


def test_an_expression_stands_for_its_column_wherever_it_names_it() -> None:
    column = source_column("a{}`%s", CatalogueType("date", "date"), nullable=False)
    statement = select(read_of(column), mariadb=True)
    assert statement.count("t.`a{}``%s`") == 3


def test_every_lake_type_is_one_that_arrow_knows() -> None:
    for kind, spelt, *_ in MAPPED:
        found = source_column("v", CatalogueType(kind, spelt), nullable=True).column
        assert isinstance(arrow_of(found.type), pa.DataType)
        assert Column.from_json(found.to_json()) == found
