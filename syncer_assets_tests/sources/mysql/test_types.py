"""What each type of MySQL 8 and MariaDB becomes, as their catalogues spell it; and what their guards refuse."""

from dataclasses import replace

import pyarrow as pa
import pytest

from syncer_assets.drivers.columns import Finding
from syncer_assets.model.columns import Column
from syncer_assets.model.errors import SyncError
from syncer_assets.sources import guard
from syncer_assets.sources.arrow import arrow_type as arrow_of
from syncer_assets.sources.base import Read, SourceColumn
from syncer_assets.sources.mysql.query import select
from syncer_assets.sources.mysql.types import EWKB, CatalogueType, source_column
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
    ("decimal", "decimal(19,0)", "decimal128(19, 0)", "numeric(19,0)", True, "decimal"),
    ("decimal", "decimal(12,11)", "decimal128(12, 11)", "numeric(12,11)", True, "decimal"),
    ("decimal", "decimal(38,0)", "decimal128(38, 0)", "numeric(38,0)", True, "decimal"),
    ("decimal", "decimal(39,10)", "string", "numeric(39,10)", False, None),
    ("float", "float(7,2)", "float", "real", True, None),
    ("double", "double unsigned", "double", "double precision", True, None),
    ("bit", "bit(1)", "string", "bit(1)", False, None),
    ("year", "year(4)", "int16", "smallint", True, "integer"),
    ("date", "date", "date32[day]", "date", True, "date"),
    ("datetime", "datetime(6)", "timestamp[us]", "timestamp without time zone", True, "timestamp"),
    ("timestamp", "timestamp", "timestamp[us, tz=UTC]", "timestamp with time zone", True, "timestamptz"),
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


def date_column(label: str) -> SourceColumn:
    return source_column(label, CatalogueType("date", "date"), nullable=True)


def text_column(label: str) -> SourceColumn:
    return source_column(label, CatalogueType("text", "text"), nullable=True)


def test_a_guard_refuses_what_was_found_of_its_kind_alone() -> None:
    columns = [date_column("d"), text_column("s"), replace(date_column("lossy"), guard=None), text_column("t")]
    read = read_of(*columns)
    nothing_else = Finding.NOT_UTF8 | Finding.OUT_OF_RANGE
    guard.check(read, {})
    guard.check(read, {0: Finding.NUL_CHARACTER | nothing_else, 1: Finding.IMPOSSIBLE_DATE, 2: Finding.IMPOSSIBLE_DATE})
    for findings, names in (
        ({0: Finding.IMPOSSIBLE_DATE, 1: Finding.IMPOSSIBLE_DATE}, "d"),
        ({3: Finding.NUL_CHARACTER | nothing_else}, "t"),
        ({0: Finding.IMPOSSIBLE_DATE, 1: Finding.NUL_CHARACTER, 2: Finding.IMPOSSIBLE_DATE}, "d, s"),
    ):
        with pytest.raises(SyncError, match=rf"allow_lossy: \[{names}\]"):
            guard.check(read, findings)


def test_an_expression_stands_for_its_column_wherever_it_names_it() -> None:
    column = source_column("a{}`%s", CatalogueType("point", "point"), nullable=False)
    statement = select(read_of(column), mariadb=True)
    assert statement.count("t.`a{}``%s`") == EWKB.count("{}") == 5


def test_every_lake_type_is_one_that_arrow_knows() -> None:
    for kind, spelt, *_ in MAPPED:
        found = source_column("v", CatalogueType(kind, spelt), nullable=True).column
        assert isinstance(arrow_of(found.type), pa.DataType)
        assert Column.from_json(found.to_json()) == found
