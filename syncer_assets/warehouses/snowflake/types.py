"""Types: which one a column has in the target, and from which to which nothing can be lost."""

import re

from ...model.columns import Column
from ...model.errors import SchemaChanged

INTEGER = "NUMBER(38,0)"
"""Of every integer: precision costs nothing in Snowflake, and a wider source type needs no change."""

FROM_ARROW = {
    "bool": "BOOLEAN",
    **dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"), INTEGER),
    **dict.fromkeys(("halffloat", "float", "float32", "double", "float64"), "FLOAT"),
    **dict.fromkeys(("string", "large_string", "string_view"), "VARCHAR"),
    **dict.fromkeys(("binary", "large_binary"), "BINARY"),
    **dict.fromkeys(("date32", "date32[day]"), "DATE"),
}

JSON_TYPES = frozenset({"json", "jsonb", "variant", "object", "array"})
"""As PostgreSQL, MySQL and Snowflake spell them in their catalogues, in small letters."""
NAMES = {
    **dict.fromkeys(("TEXT", "STRING", "CHAR", "CHARACTER"), "VARCHAR"),
    **dict.fromkeys(("DECIMAL", "NUMERIC", "FIXED"), "NUMBER"),
    **dict.fromkeys(("DOUBLE", "REAL"), "FLOAT"),
    **dict.fromkeys(("DATETIME",), "TIMESTAMP_NTZ"),
}
"""Other spellings of the catalogue."""


def target_type(column: Column, table: str | None = None) -> str:
    """The type of a manifest's column. Raises SchemaChanged for an Arrow type without one."""
    if column.hidden:
        return "VARCHAR"
    if column.type == "string" and column.portable and column.source_type.lower() in JSON_TYPES:
        return "VARIANT"
    if column.type in FROM_ARROW:
        return FROM_ARROW[column.type]
    decimal = re.fullmatch(r"decimal(?:32|64|128)\((\d+), ?(-?\d+)\)", column.type)
    if decimal and int(decimal[2]) >= 0:
        return f"NUMBER(38,{decimal[2]})"
    if re.fullmatch(r"timestamp\[(s|ms|us)\]", column.type):
        return "TIMESTAMP_NTZ"
    if re.fullmatch(r"timestamp\[(s|ms|us), tz=[^\]]+\]", column.type):
        return "TIMESTAMP_TZ"
    if re.fullmatch(r"time(32|64)\[(s|ms|us)\]", column.type):
        return "TIME"
    raise SchemaChanged(
        f"column {column.name!r} has the lake type {column.type}, which has no place in Snowflake",
        table=table,
        fix="exclude the column, or cast it to text at the source",
    )


def spelt(data_type: str, precision: int | None, scale: int | None, length: int | None) -> str:
    """A type as INFORMATION_SCHEMA.COLUMNS tells it, in the words of `target_type`."""
    base = NAMES.get(data_type.upper(), data_type.upper())
    if base == "NUMBER":
        return f"NUMBER({precision or 38},{scale or 0})"
    return f"{base}({length})" if base in ("VARCHAR", "BINARY") and length and length < _whole(base) else base


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`, and reads the same."""
    if wide == narrow:
        return True
    if wide == "VARCHAR":
        return narrow.startswith("VARCHAR") or narrow == "VARIANT"  # a person keeps JSON as its text
    if wide == "BINARY":
        return narrow.startswith("BINARY")
    into, of = _number(wide), _number(narrow)
    return into is not None and of is not None and into[1] >= of[1] and into[0] - into[1] >= of[0] - of[1]


def can_widen(there: str, wanted: str) -> bool:
    """Whether ALTER COLUMN can make the wanted type of the present one: a NUMBER's scale is fixed for ever."""
    into, of = _number(wanted), _number(there)
    return holds(wanted, there) and (into is None or (of is not None and into[1] == of[1]))


def _number(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"NUMBER\((\d+),(\d+)\)", text)
    return (int(match[1]), int(match[2])) if match else None


def _whole(base: str) -> int:
    """The length from which on a column holds whatever the engine may send: Snowflake's default of the type."""
    return 16_777_216 if base == "VARCHAR" else 8_388_608
