"""Types: which one a column has in Redshift, how it travels in a COPY of Parquet, and the text of its values."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from ...model.columns import Column
from ...model.errors import SchemaChanged
from ..postgres import types as postgres
from . import names

VARCHAR_BYTES = 65_535
VARBYTE_BYTES = 1_024_000
LONGEST_TEXT = f"character varying({VARCHAR_BYTES})"
DIGITS = 38
SCALE_MOST = 37
WIDEST_CHARACTER = 4
"""Bytes of a character in UTF-8: Redshift's VARCHAR counts bytes, the source's characters."""

FROM_ARROW = {
    "bool": "boolean",
    "int8": "smallint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "bigint",
    "int64": "bigint",
    "uint64": "numeric(20,0)",
    "float": "real",
    "double": "double precision",
    "string": LONGEST_TEXT,
    "large_string": LONGEST_TEXT,
    "binary": f"binary varying({VARBYTE_BYTES})",
    "large_binary": f"binary varying({VARBYTE_BYTES})",
    "date32": "date",
    "date32[day]": "date",
    "time64[us]": "time without time zone",
    "timestamp[us]": "timestamp without time zone",
    "timestamp[us, tz=UTC]": "timestamp with time zone",
}

COPIED: dict[str, tuple[str, str]] = {
    "bool": ("BOOLEAN", "{}"),
    "int16": ("SMALLINT", "{}"),
    "int32": ("INTEGER", "{}"),
    "int64": ("BIGINT", "{}"),
    "float": ("REAL", "{}"),
    "double": ("DOUBLE PRECISION", "{}"),
    "date32": ("DATE", "{}"),
    "date32[day]": ("DATE", "{}"),
    "timestamp[us]": ("TIMESTAMP", "{}"),
    "timestamp[us, tz=UTC]": ("TIMESTAMP", "{} AT TIME ZONE 'UTC'"),
}
"""What COPY of Parquet takes as it is, by Arrow type: the column that it is copied into, and the way on from there. A
Parquet time in UTC has no zone there: TIMESTAMPTZ is none of Spectrum's types."""

Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Wire:
    """How a column travels: the Parquet column, the column of the table that COPY fills, and the expression (`{}` is
    that column) by which the staging table of type `target` reads it. `convert` is None where the lake's file will do.
    """

    name: str
    arrow: pa.DataType
    copied: str
    expression: str
    target: str
    convert: Convert | None = None


def target_type(column: Column, engine: str, table: str | None = None) -> str:
    """The type of a manifest's column as Redshift's catalogue spells it. Raises SchemaChanged where it has none."""
    if column.hidden:
        return "character varying(256)" if str(column.transform).startswith("hash") else LONGEST_TEXT
    if column.type in ("string", "large_string") and column.portable:
        spelt = _spelt(column.source_type, engine)
        if spelt:
            return spelt
    if decimal := _decimal(column.type):
        precision, scale = decimal
        return f"numeric({precision},{scale})" if precision <= DIGITS and 0 <= scale <= SCALE_MOST else LONGEST_TEXT
    if column.type in FROM_ARROW:
        return FROM_ARROW[column.type]
    raise SchemaChanged(
        f"column {column.name!r} has the lake type {column.type}, which has no place in Redshift",
        table=table,
        fix="exclude the column, or cast it to text at the source",
    )


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`, and reads the same."""
    if base(wide) == base(narrow) and base(wide) in ("super", "binary varying"):
        return True
    return postgres.holds(wide, narrow)


def base(type_name: str) -> str:
    """The type without its length: `character varying(20)` is `character varying`."""
    plain = re.sub(r"\([\d,]+\)", "", type_name)
    return {"varbyte": "binary varying", "varbinary": "binary varying"}.get(plain, plain)


def is_text(type_name: str) -> bool:
    """Whether values are VARCHARs, whose trailing blanks comparisons pass over."""
    return base(type_name) == "character varying"


def sql_type(type_name: str) -> sql.SQL:
    """A type in a statement. It comes from the catalogue or from this module, which let no other SQL through."""
    words = {"super": "SUPER", "character varying": "VARCHAR", "binary varying": "VARBYTE", "numeric": "DECIMAL"}
    head, rest = base(type_name), "".join(re.findall(r"\([\d,]+\)", type_name)[:1])
    if head == "binary varying":
        rest = rest or f"({VARBYTE_BYTES})"
    return sql.SQL(f"{words.get(head, head.upper())}{rest}")  # type: ignore[arg-type]  # checked spellings


def wire(column: Column, target: str) -> Wire:
    """The way of a lake column into a column of type `target`."""
    arrow, convert = _portable(column.type)
    if base(target) == "super":
        return Wire(column.name, arrow, f"VARCHAR({VARCHAR_BYTES})", "JSON_PARSE({})", target, convert)
    if pa.types.is_decimal(arrow):
        copied, expression = f"DECIMAL({arrow.precision},{arrow.scale})", "{}"
    elif pa.types.is_string(arrow):
        text = base(target) == "character varying"
        copied = sql_type(target).as_string(None) if text else f"VARCHAR({VARCHAR_BYTES})"
        expression = "{}" if text else f"CAST({{}} AS {sql_type(target).as_string(None)})"
    elif pa.types.is_binary(arrow):
        copied, expression = f"VARBYTE({VARBYTE_BYTES})", "{}"
    else:
        copied, expression = COPIED[str(arrow)]
    return Wire(column.name, arrow, copied, expression, target, convert)


def text_of(name: str, type_name: str, alias: sql.Composable | None = None) -> sql.Composed:
    """A value as text, the same for equal values; NULL where it is NULL. Of a timestamp it is that of the contract."""
    column = sql.SQL("{}.{}").format(alias, names.column(name)) if alias else names.column(name)
    template = TEXTS.get(base(type_name), "CAST({0} AS VARCHAR)")
    return sql.SQL(template).format(column)  # type: ignore[arg-type]  # the constants below


STAMP = (
    "TO_CHAR({0}, 'YYYY-MM-DD') || 'T' || TO_CHAR({0}, 'HH24:MI:SS.US')"
    " || CASE WHEN {0} < '0001-01-01 00:00:00' THEN ' BC' ELSE '' END"
)

TEXTS = {
    "character varying": "{0}",
    "boolean": "CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END",
    "numeric": (
        "CASE WHEN POSITION('.' IN CAST({0} AS VARCHAR)) > 0"
        " THEN RTRIM(RTRIM(CAST({0} AS VARCHAR), '0'), '.') ELSE CAST({0} AS VARCHAR) END"
    ),
    "time without time zone": (
        "CASE WHEN POSITION('.' IN CAST({0} AS VARCHAR)) > 0"
        " THEN RTRIM(RTRIM(CAST({0} AS VARCHAR), '0'), '.') ELSE CAST({0} AS VARCHAR) END"
    ),
    "timestamp without time zone": STAMP,
    "timestamp with time zone": STAMP.replace("{0}", "({0} AT TIME ZONE 'UTC')"),
    "date": "TO_CHAR({0}, 'YYYY-MM-DD') || CASE WHEN {0} < '0001-01-01' THEN ' BC' ELSE '' END",
    "binary varying": "LOWER(FROM_VARBYTE({0}, 'hex'))",
    "super": "JSON_SERIALIZE({0})",
}
"""A BOOLEAN has no cast to VARCHAR in Redshift, and a number keeps the zeros of its scale."""


def _spelt(source_type: str, engine: str) -> str | None:
    """The type of a column that travels as text, by its name at the source."""
    name = source_type.lower()
    if name in ("json", "jsonb"):
        return "super"
    if length := re.fullmatch(r"(?:character varying|character|varchar|char)\((\d+)\)", name):
        return f"character varying({min(WIDEST_CHARACTER * int(length[1]), VARCHAR_BYTES)})"
    return None


def _decimal(arrow: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"decimal\d+\((\d+), ?(-?\d+)\)", arrow)
    return (int(found[1]), int(found[2])) if found else None


def _portable(arrow: str) -> tuple[pa.DataType, Convert | None]:
    """The Arrow type in a file that COPY takes, and the way there where the lake's own column is none of its types."""
    narrow = {"int8": pa.int16(), "uint8": pa.int16(), "uint16": pa.int32(), "uint32": pa.int64()}
    if arrow in narrow:
        return narrow[arrow], _cast(narrow[arrow])
    if arrow == "uint64":
        return pa.decimal128(20, 0), _cast(pa.decimal128(20, 0))
    if arrow == "time64[us]":
        return pa.string(), _cast(pa.string())
    if decimal := _decimal(arrow):
        fits = decimal[0] <= DIGITS and 0 <= decimal[1] <= SCALE_MOST
        return (pa.decimal128(*decimal), None) if fits else (pa.string(), _cast(pa.string()))
    simple = {"large_string": "string", "large_binary": "binary", "float": "float32", "double": "float64"}
    plain = simple.get(arrow, arrow).removesuffix("[day]")
    if stamp := re.fullmatch(r"timestamp\[us(, tz=UTC)?\]", arrow):
        return pa.timestamp("us", "UTC" if stamp[1] else None), None
    return pa.type_for_alias(plain), None


def _cast(into: pa.DataType) -> Convert:
    return lambda array: pc.cast(array, into)
