"""The canonical text of a value, as `drivers/postgres_checksum` has it, in MySQL's and MariaDB's SQL.

The session's time zone has to be UTC.
"""

from ...model.columns import Column
from .names import quoted
from .types import EWKB, GEOMETRIES, INTEGERS, NUL_BYTE, TEXT, TIMES, ZERO_DATE, CatalogueType, expression

TRIMMED = "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM " + TEXT + "))"

DOUBLE = "CAST({} AS DOUBLE)"

SHORTEST = """
CASE WHEN {x} <> 0 AND ABS({x}) < 1e-4 AND {text} NOT LIKE '%e%' THEN CONCAT(
    IF({x} < 0, '-', ''), LEFT({digits}, 1), IF(LENGTH({digits}) > 1, CONCAT('.', SUBSTR({digits}, 2)), ''),
    'e-', LPAD(LENGTH(SUBSTRING_INDEX({text}, '.', -1)) - LENGTH({digits}) + 1, 2, '0'))
WHEN ABS({x}) >= 1e15 AND ABS({x}) < 151115727451828646838272e0 THEN CONCAT(CAST({x} / 268435456e0 AS CHAR), 'p28')
ELSE REPLACE(REPLACE({text}, 'e', 'e+'), 'e+-', 'e-') END
"""
"""A double as the contract has it: the digits are PostgreSQL's, which writes 1e-05 and 1e+30 for 0.00001 and 1e30."""

CANONICAL: dict[str, str] = {
    "date": "IF(YEAR({}) = 0, CONCAT('0001', DATE_FORMAT({}, '-%m-%d'), ' BC'), DATE_FORMAT({}, '%Y-%m-%d'))",
    "datetime": (
        "IF(YEAR({}) = 0, CONCAT('0001', DATE_FORMAT({}, '-%m-%dT%H:%i:%s.%f'), ' BC'),"
        " DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f'))"
    ),
    "timestamp": "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f')",
    "inet4": "LOWER(HEX(CAST({} AS BINARY(4))))",
    "inet6": "LOWER(HEX(CAST({} AS BINARY(16))))",
    "uuid": TEXT,
    "time": TEXT,
}
"""By type; every other is text. See `canonical` for those whose text depends on their arguments."""


def canonical(column: Column, alias: str = "") -> str:
    """The text of a column's value as an SQL expression; NULL where it is NULL, or a date that does not exist."""
    name, kind = f"{alias}{quoted(column.name)}", CatalogueType.of(column)
    template = CANONICAL.get(kind.name, "CONVERT({} USING utf8mb4)")
    if kind.name in INTEGERS or kind.name in ("year", "decimal"):
        template = (TRIMMED if kind.name == "decimal" and kind.args[1] else TEXT).replace("{}", "({} + 0)")
    elif kind.name == "time" and kind.args:
        template = TRIMMED
    elif kind.name == "bit":
        template = expression(kind)
    elif column.type == "binary":
        template = f"LOWER(HEX({EWKB if kind.name in GEOMETRIES else '{}'}))"
    elif kind.name in ("float", "double"):
        digits = "TRIM(LEADING '0' FROM SUBSTRING_INDEX({text}, '.', -1))"
        template = SHORTEST.replace("{digits}", digits).replace("{text}", "CAST({x} AS CHAR)").replace("{x}", DOUBLE)
    elif kind.name in TIMES:
        template = ZERO_DATE.lossy.replace(", {},", f", {template},")
    elif column.transform == "lossy":
        template = f"CONVERT({NUL_BYTE.lossy} USING utf8mb4)"
    return template.replace("{}", name)
