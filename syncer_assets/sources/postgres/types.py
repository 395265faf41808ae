"""PostgreSQL types in the lake: the Arrow type, the SELECT expression, and how a cursor of it compares.

Read natively: what Arrow has a type for, and `drivers/postgres_rows` parses, exactly. Everything else travels as the
server's own text, which the warehouse casts back.
"""

import re
from dataclasses import dataclass

from ...drivers.columns import Finding
from ...model.columns import Column
from ...model.marks import CursorKind
from ..base import Guard, SourceColumn

NATIVE: dict[str, str] = {
    "bool": "bool",
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float",
    "float8": "double",
    "text": "string",
    "varchar": "string",
    "bpchar": "string",
    "bytea": "binary",
    "date": "date32[day]",
    "time": "time64[us]",
    "timestamp": "timestamp[us]",
    "timestamptz": "timestamp[us, tz=UTC]",
}

CURSOR_KINDS: dict[str, CursorKind] = {
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "timestamptz": "timestamptz",
    "timestamp": "timestamp",
    "date": "date",
    "text": "text",
    "varchar": "text",
    "numeric": "decimal",
}

NAN = Guard(
    finding=Finding.NOT_A_NUMBER,
    lossy="{}",  # the parser reads it as NULL
    holds="NaN, which a Parquet decimal cannot hold",
    loses="NaN becomes NULL",
)
MAX_DECIMAL_DIGITS = 38
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")


@dataclass(frozen=True)
class CatalogueType:
    """A column's type as pg_type has it, domains already resolved to their base."""

    name: str
    formatted: str
    is_enum: bool
    portable: bool


def source_column(name: str, kind: CatalogueType, collation: str | None, *, nullable: bool) -> SourceColumn:
    """The lake's column, and how the SELECT reads it."""
    arrow = arrow_type(kind)
    column = Column(
        name=name, type=arrow or "string", source_type=kind.formatted, nullable=nullable, portable=kind.portable
    )
    return SourceColumn(
        column=column,
        cursor_kind=cursor_kind(kind, collation),
        expression="{}" if arrow else "{}::text",
        as_text=arrow is None,
        guard=NAN if arrow and arrow.startswith("decimal") else None,
    )


def arrow_type(kind: CatalogueType) -> str | None:
    """The Arrow type that carries this type exactly, or None where only its text does."""
    if kind.name != "numeric":
        return NATIVE.get(kind.name)
    match = _NUMERIC.fullmatch(kind.formatted)
    if match is None:
        return None
    precision, scale = int(match[1]), int(match[2])
    return f"decimal128({precision}, {scale})" if precision <= MAX_DECIMAL_DIGITS and 0 <= scale <= precision else None


def cursor_kind(kind: CatalogueType, collation: str | None) -> CursorKind | None:
    """How a cursor of this type compares, or None if it cannot be one.

    Text counts only where the database itself compares it byte by byte (collation C), numeric only where the lake
    carries it as a number.
    """
    found = CURSOR_KINDS.get(kind.name)
    if found == "decimal" and arrow_type(kind) is None:
        return None
    return None if found == "text" and collation not in ("C", "POSIX", "ucs_basic") else found
