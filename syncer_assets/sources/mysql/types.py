"""MySQL and MariaDB types in the lake: the Arrow type, the SELECT expression, and how a cursor of it compares.

Read natively: what the binary protocol carries, and `drivers/mysql_rows` parses, exactly. The SELECT gives the rest as
text (TIME, BIT, JSON, decimals of more than 38 digits) or as bytes (geometries).
An expression may name its column several times: `expression.replace("{}", quoted)`.
"""

import re
from dataclasses import dataclass

from ...drivers.columns import Finding
from ...model.columns import Column
from ...model.marks import CursorKind
from ..base import Guard, SourceColumn

NATIVE: dict[str, str] = {
    "tinyint": "int8",
    "smallint": "int16",
    "mediumint": "int32",
    "int": "int32",
    "bigint": "int64",
    "float": "float",
    "double": "double",
    "year": "int16",
    "date": "date32[day]",
    "datetime": "timestamp[us]",
    "timestamp": "timestamp[us, tz=UTC]",
    "binary": "binary",
    "varbinary": "binary",
    "tinyblob": "binary",
    "blob": "binary",
    "mediumblob": "binary",
    "longblob": "binary",
}
"""Everything else comes as text: strings, enum, set, uuid and inet as they are, the rest by `expression`."""

INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
GEOMETRIES = frozenset(
    {
        *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
        *("geometrycollection", "geomcollection"),
    }
)
TIMES: dict[str, CursorKind] = {"date": "date", "datetime": "timestamp", "timestamp": "timestamptz"}

EXISTS = "DAYOFMONTH({}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({}))"
"""True of a date of the calendar: not of 0000-00-00, 2024-00-15 or (ALLOW_INVALID_DATES) 2024-02-31."""

ZERO_DATE = Guard(
    finding=Finding.IMPOSSIBLE_DATE,
    lossy="IF(" + EXISTS + ", {}, NULL)",
    holds="a date that does not exist, such as 0000-00-00 or 2024-00-15",
    loses="a date that does not exist becomes NULL",
)

NUL_BYTE = Guard(
    finding=Finding.NUL_CHARACTER,
    lossy="REPLACE({}, CHAR(0 USING utf8mb4), '')",
    holds="the character U+0000, which PostgreSQL's text cannot hold",
    loses="U+0000 is taken out of the text",
)

GUARDS: dict[str, Guard] = {
    **dict.fromkeys(("date", "datetime", "timestamp"), ZERO_DATE),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), NUL_BYTE),
}

EWKB = (
    "IF(ST_SRID({}) = 0, SUBSTR(CAST({} AS BINARY), 5), CONCAT(SUBSTR(CAST({} AS BINARY), 5, 4), x'20',"
    " SUBSTR(CAST({} AS BINARY), 1, 4), SUBSTR(CAST({} AS BINARY), 10)))"
)
"""A geometry is stored as its SRID (4 bytes, little-endian) and its WKB. With an SRID it is read as PostGIS's EWKB."""

TEXT = "CAST({} AS CHAR)"

NO_PAD_BINARY = frozenset({"utf8mb4_0900_bin", "utf8mb4_nopad_bin", "utf8mb3_nopad_bin", "utf8_nopad_bin"})
"""Collations that compare by UTF-8 byte; of `utf8mb4_bin` 'a' and 'a ' are the same."""

MAX_DECIMAL_DIGITS = 38
_SPELLING = re.compile(r"(?P<base>[a-z0-9]+)(?:\((?P<args>\d+(?:,\d+)?)\))?")


@dataclass(frozen=True)
class CatalogueType:
    """A column's type as information_schema.COLUMNS has it: DATA_TYPE, COLUMN_TYPE, COLLATION_NAME.

    `is_json` is true of MySQL's json, and of MariaDB's, which is longtext with a `json_valid` check.
    """

    name: str
    formatted: str
    collation: str | None = None
    is_json: bool = False

    @classmethod
    def of(cls, column: Column) -> "CatalogueType":
        """The type that a lake's column came from."""
        match = _SPELLING.match(column.source_type)
        return cls(match["base"] if match else "", column.source_type)

    @property
    def args(self) -> tuple[int, ...]:
        """The numbers in brackets: (12, 2) of `decimal(12,2)`."""
        match = _SPELLING.match(self.formatted)
        return tuple(int(part) for part in match["args"].split(",")) if match and match["args"] else ()

    @property
    def unsigned(self) -> bool:
        return " unsigned" in self.formatted


def source_column(name: str, kind: CatalogueType, *, nullable: bool) -> SourceColumn:
    """The lake's column, and how the SELECT reads it."""
    arrow = arrow_type(kind)
    spelt = "json" if kind.is_json else kind.formatted
    return SourceColumn(
        column=Column(name=name, type=arrow, source_type=spelt, nullable=nullable),
        cursor_kind=cursor_kind(kind),
        expression=expression(kind),
        as_text=kind.name in ("time", "bit", "json") or is_long_decimal(kind),
        guard=None if kind.is_json else GUARDS.get(kind.name),
    )


def arrow_type(kind: CatalogueType) -> str:
    """The Arrow type that carries this type exactly; `string` where only its text does."""
    if kind.name == "decimal":
        precision, scale = kind.args
        return "string" if is_long_decimal(kind) else f"decimal128({precision}, {scale})"
    if kind.name in GEOMETRIES:
        return "binary"
    found = NATIVE.get(kind.name, "string")
    return f"u{found}" if kind.unsigned and kind.name in INTEGERS else found


def expression(kind: CatalogueType) -> str:
    """What the SELECT reads, `{}` being the column."""
    if kind.name in GEOMETRIES:
        return EWKB
    if kind.name == "bit":
        return f"LPAD(BIN({{}}), {kind.args[0]}, '0')"
    return TEXT if kind.name in ("time", "json") or is_long_decimal(kind) else "{}"


def is_long_decimal(kind: CatalogueType) -> bool:
    """A decimal of more digits than Arrow's decimal128 has."""
    return kind.name == "decimal" and kind.args[0] > MAX_DECIMAL_DIGITS


def cursor_kind(kind: CatalogueType) -> CursorKind | None:
    """How a cursor of this type compares, or None if it cannot be one."""
    if kind.name in INTEGERS or kind.name == "year":
        return "integer"
    if kind.name == "decimal":
        return None if is_long_decimal(kind) else "decimal"
    if kind.collation in NO_PAD_BINARY and kind.name in ("char", "varchar"):
        return "text"
    return TIMES.get(kind.name)
