"""Types: which one a column has in the target, and from which to which nothing can be lost."""

import re
from dataclasses import dataclass

import pyarrow as pa

from ...model.columns import Column
from ...model.errors import SchemaChanged

SPELLING = re.compile(
    r"(?P<base>[a-z][a-z0-9_]*(?: [a-z]+)*?)"
    r"(?:\((?P<args>\d+(?:,-?\d+)?)\))?"
    r"(?P<zone> with(?:out)? time zone)?"
    r"(?P<dims>(?:\[\])*)"
)

MYSQL_SPELLING = re.compile(r"(?P<base>[a-z0-9]+)(?:\((?P<args>\d+(?:,\d+)?)\))?")
FROM_MYSQL = {"time": "interval", "json": "json", "uuid": "uuid", "inet4": "inet", "inet6": "inet"}
"""MySQL's TIME is a span of -838 to 838 hours."""

PORTABLE = frozenset(
    {
        *("boolean", "smallint", "integer", "bigint", "numeric", "real", "double precision", "oid", "pg_lsn"),
        *("text", "character varying", "character", "name", "bytea", "bit", "bit varying", "uuid"),
        *("date", "time", "timestamp", "interval", "json", "jsonb", "jsonpath", "tsvector", "tsquery"),
        *("inet", "cidr", "macaddr", "macaddr8", "point", "line", "lseg", "box", "path", "polygon", "circle"),
        *("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange"),
        *("int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange"),
    }
)
"""Types that every PostgreSQL reads from text, whatever its settings (unlike `money`) and build (unlike `xml`)."""

ALIASES = {
    "bool": "boolean",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "decimal": "numeric",
    "char": "character",
    "bpchar": "character",
    "varchar": "character varying",
    "varbit": "bit varying",
    "timetz": "time with time zone",
    "timestamptz": "timestamp with time zone",
}

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
    "halffloat": "real",
    "float": "real",
    "float32": "real",
    "double": "double precision",
    "float64": "double precision",
    "string": "text",
    "large_string": "text",
    "string_view": "text",
    "binary": "bytea",
    "large_binary": "bytea",
    "date32": "date",
    "date32[day]": "date",
}

INTEGERS = {"smallint": 5, "integer": 10, "bigint": 19}
"""Integer types and the decimal digits that hold them, narrow to wide."""

TEXTS = frozenset({"character varying", "character", "text", "name"})
AS_TEXT = TEXTS | {"json", "jsonb", "xml", "uuid"}
"""Types whose values a text column holds without a loss."""


@dataclass(frozen=True)
class PgType:
    """A type as `format_type` spells it, taken apart. `zone` is part of the base of times and timestamps."""

    base: str
    args: tuple[int, ...] = ()
    dims: int = 0


def target_type(column: Column, engine: str, table: str | None = None) -> str:
    """The type of a manifest's column in a PostgreSQL table. Raises SchemaChanged for an Arrow type without one."""
    if column.hidden:
        return "text"
    if engine == "mysql" and (found := _from_mysql(column)):
        return found
    spelt = parse(column.source_type) if engine == "postgres" and column.portable else None
    if spelt and spelt.base.removesuffix(" with time zone").removesuffix(" without time zone") in PORTABLE:
        return column.source_type
    return natural_type(column.type, column.name, table)


def _from_mysql(column: Column) -> str | None:
    """The type of a MySQL column whose Arrow type does not tell it; its other types are those of their Arrow type.

    Strings become text, since PostgreSQL gains nothing by a length that the source may widen at any time.
    """
    match = MYSQL_SPELLING.match(column.source_type)
    if match is None or column.type != "string":
        return None
    if match["base"] in ("decimal", "bit"):
        return f"{'numeric' if match['base'] == 'decimal' else 'bit'}({match['args']})"
    return FROM_MYSQL.get(match["base"])


def natural_type(arrow: str, column: str, table: str | None = None) -> str:
    """The PostgreSQL type of an Arrow type."""
    if arrow in FROM_ARROW:
        return FROM_ARROW[arrow]
    if decimal := re.fullmatch(r"decimal(?:32|64|128)\((\d+), ?(-?\d+)\)", arrow):
        return f"numeric({decimal[1]},{decimal[2]})"
    if re.fullmatch(r"timestamp\[(s|ms|us)\]", arrow):
        return "timestamp without time zone"
    if re.fullmatch(r"timestamp\[(s|ms|us), tz=[^\]]+\]", arrow):
        return "timestamp with time zone"
    if re.fullmatch(r"time(32|64)\[(s|ms|us)\]", arrow):
        return "time without time zone"
    raise SchemaChanged(
        f"column {column!r} has the lake type {arrow}, which has no place in PostgreSQL",
        table=table,
        fix="exclude the column, or cast it to text at the source",
    )


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type of a manifest's spelling that `natural_type` accepted."""
    if decimal := re.fullmatch(r"decimal\d+\((\d+), ?(-?\d+)\)", text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if stamp := re.fullmatch(r"timestamp\[\w+(, tz=[^\]]+)?\]", text):
        return pa.timestamp("us", "UTC" if stamp[1] else None)
    if text.startswith("time"):
        return pa.time64("us")
    simple = {"large_string": "string", "string_view": "string", "large_binary": "binary"}.get(text, text)
    return pa.type_for_alias(simple.removesuffix("[day]"))


def parse(text: str) -> PgType | None:
    """A type taken apart, or None if it is not spelt as the catalogue spells its own types."""
    match = SPELLING.fullmatch(text)
    if match is None:
        return None
    base = ALIASES.get(match["base"], match["base"])
    if match["zone"]:
        base += match["zone"]
    elif base in ("time", "timestamp"):
        base += " without time zone"
    args = tuple(int(part) for part in match["args"].split(",")) if match["args"] else ()
    if base == "numeric" and len(args) == 1:
        args = (args[0], 0)
    return PgType(base, args, len(match["dims"]) // 2)


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of `narrow` is a value of `wide`, and reads the same."""
    if wide == narrow:
        return True
    into, of = parse(wide), parse(narrow)
    if into is None or of is None or into.dims or of.dims:
        return False
    if into.base == "text":
        return of.base in AS_TEXT
    if into.base == "character varying":
        return of.base in ("character varying", "character") and _longer(into, of)
    if into.base in INTEGERS:
        return INTEGERS.get(of.base, 99) <= INTEGERS[into.base]
    if into.base == "numeric":
        return _numeric_holds(into, of)
    if into.base == "double precision":
        return of.base == "real"
    if into.base == of.base and into.base.startswith(("timestamp", "time", "bit varying", "interval")):
        return _longer(into, of)
    return False


def _longer(into: PgType, of: PgType) -> bool:
    return not into.args or (bool(of.args) and into.args[0] >= of.args[0])


def _numeric_holds(into: PgType, of: PgType) -> bool:
    if of.base in INTEGERS:
        of = PgType("numeric", (INTEGERS[of.base], 0))
    if of.base != "numeric":
        return False
    if not into.args:
        return True
    if not of.args:
        return False
    return into.args[1] >= of.args[1] and into.args[0] - into.args[1] >= of.args[0] - of.args[1]
