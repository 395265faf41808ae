"""The canonical texts of `drivers/postgres_checksum` in Snowflake's SQL: what PostgreSQL says of the same value."""

from ...drivers import snowflake
from ...model.columns import Column
from .types import AS_TEXT, OTHERWISE

STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.FF6'

WITHOUT_ZEROS = r"REGEXP_REPLACE(REGEXP_REPLACE({}, '(\\.[0-9]*[1-9])0+$', '\\1'), '\\.0*$', '')"
"""A number or time without the zeros behind its last digit."""

DOUBLE = r"""
CASE WHEN ABS({0}) >= 1e15 AND ABS({0}) < 151115727451828646838272 THEN TO_VARCHAR({0} / 268435456) || 'p28'
     ELSE REGEXP_REPLACE(TO_VARCHAR({0}), '\\.0$', '') END
"""
"""As far as Snowflake's own text of a double is PostgreSQL's: its digits beyond 1e15 and below 1e-4 are unproven."""


def canonical(column: Column) -> str:
    """The text of a column's value, as the contract has it; NULL where it is NULL."""
    name = f"t.{snowflake.name(column.name)}"
    base = column.source_type.partition("(")[0]
    match column.type:
        case "double":
            return DOUBLE.replace("{0}", name)
        case "binary":
            return f"LOWER(HEX_ENCODE({name}))"
        case "date32[day]":
            return f"TO_CHAR({name}, 'YYYY-MM-DD')"
        case "time64[us]":
            return WITHOUT_ZEROS.replace("{}", f"TO_CHAR({name}, 'HH24:MI:SS.FF6')")
        case "timestamp[us]":
            return f"TO_CHAR({name}::TIMESTAMP_NTZ, '{STAMP}')"
        case "timestamp[us, tz=UTC]":
            return f"TO_CHAR(CONVERT_TIMEZONE('UTC', {name}), '{STAMP}')"
        case "string" if base not in ("VARCHAR", "TEXT"):
            return AS_TEXT.get(base, OTHERWISE).replace("{}", name)
        case "string":
            return name
        case _ if column.type.startswith("decimal"):
            return WITHOUT_ZEROS.replace("{}", f"TO_VARCHAR({name})")
        case _:
            return f"TO_VARCHAR({name})"
