"""Snowflake types in the lake: the Arrow type, the SELECT expression, and how a cursor of it compares.

Numbers keep their scale as decimals; a NUMBER of up to 18 digits without a scale is an int64. Semi-structured values
travel as JSON text, geographies as GeoJSON. Of a TIMESTAMP_TZ the instant is kept, the offset that it was written with
is not.
"""

from dataclasses import dataclass

from ...drivers.columns import Finding
from ...model.columns import Column
from ...model.marks import CursorKind
from ..base import Guard, SourceColumn

INT64_DIGITS = 18
MICROSECONDS = 6

SIMPLE: dict[str, str] = {
    "TEXT": "string",
    "FLOAT": "double",
    "BOOLEAN": "bool",
    "DATE": "date32[day]",
    "TIME": "time64[us]",
    "TIMESTAMP_NTZ": "timestamp[us]",
    "TIMESTAMP_LTZ": "timestamp[us, tz=UTC]",
    "TIMESTAMP_TZ": "timestamp[us, tz=UTC]",
    "BINARY": "binary",
}

AS_TEXT: dict[str, str] = {
    "VARIANT": "TO_JSON({})",
    "OBJECT": "TO_JSON({})",
    "ARRAY": "TO_JSON({})",
    "GEOGRAPHY": "TO_JSON(ST_ASGEOJSON({}))",
    "GEOMETRY": "TO_JSON(ST_ASGEOJSON({}))",
}
OTHERWISE = "TO_VARCHAR({})"
"""Types without an Arrow type of their own: by their text."""

CURSOR_KINDS: dict[str, CursorKind] = {
    "TEXT": "text",
    "DATE": "date",
    "TIMESTAMP_NTZ": "timestamp",
    "TIMESTAMP_LTZ": "timestamptz",
    "TIMESTAMP_TZ": "timestamptz",
}

IS_FINER = "DATE_PART(nanosecond, {}) % 1000 <> 0"
"""True of a value that NANOSECONDS guards against. The service is asked: some batches come without its last digits."""

NANOSECONDS = Guard(
    finding=Finding.OUT_OF_RANGE,
    lossy="DATE_TRUNC('microsecond', {})",
    holds="a time finer than microseconds, which the lake keeps",
    loses="the time is cut to microseconds",
)


@dataclass(frozen=True)
class CatalogueType:
    """A column's type as INFORMATION_SCHEMA.COLUMNS has it. `digits` are those of a fraction of a second."""

    name: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    digits: int | None = None

    @property
    def spelt(self) -> str:
        """As SQL spells it."""
        if self.name == "NUMBER":
            return f"NUMBER({self.precision},{self.scale or 0})"
        argument = self.length if self.name in ("TEXT", "BINARY") else self.digits
        name = "VARCHAR" if self.name == "TEXT" else self.name
        return name if argument is None else f"{name}({argument})"


def source_column(name: str, kind: CatalogueType, collation: str | None, *, nullable: bool) -> SourceColumn:
    """The lake's column, and how the SELECT reads it."""
    arrow = arrow_type(kind)
    return SourceColumn(
        column=Column(name=name, type=arrow or "string", source_type=kind.spelt, nullable=nullable),
        cursor_kind=cursor_kind(kind, collation),
        expression="{}" if arrow else AS_TEXT.get(kind.name, OTHERWISE),
        as_text=arrow is None,
        guard=NANOSECONDS if _is_finer(kind) else None,
    )


def arrow_type(kind: CatalogueType) -> str | None:
    """The Arrow type that carries this type exactly, or None where only its text does."""
    if kind.name != "NUMBER":
        return SIMPLE.get(kind.name)
    precision, scale = kind.precision or 38, kind.scale or 0
    return "int64" if not scale and precision <= INT64_DIGITS else f"decimal128({precision}, {scale})"


def cursor_kind(kind: CatalogueType, collation: str | None) -> CursorKind | None:
    """How a cursor of this type compares, or None if it cannot be one. Text without a collation compares by bytes."""
    if kind.name == "NUMBER":
        return "integer" if arrow_type(kind) == "int64" else "decimal"
    if kind.name == "TEXT" and collation:
        return None
    return CURSOR_KINDS.get(kind.name)


def _is_finer(kind: CatalogueType) -> bool:
    return kind.name.startswith("TIME") and (9 if kind.digits is None else kind.digits) > MICROSECONDS
