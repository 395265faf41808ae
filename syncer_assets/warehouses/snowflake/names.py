"""Identifiers: always quoted, folded to upper case where nobody needs quotes, refused where two become one.

Snowflake reads `orders` as ORDERS. A name in small letters is therefore kept in capitals, so that analysts write it
without quotes; any other name (`OrderID`, `order-id`) is kept as it is.
"""

import re
from collections.abc import Iterable, Sequence

from ...model.errors import ConfigError, SchemaChanged
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT

SCHEMA = '"_SYNCER"'
FILE, ROW, SOURCE = "_SYNCER_FILE", "_SYNCER_ROW", "_SYNCER_SOURCE"
"""Of a staged row: its file, its row number there, and the number of the extraction that read it."""
LONGEST = 255
"""Characters of a name."""


def fold(name: str) -> str:
    """The name as the warehouse keeps it."""
    return name.upper() if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else name


def unfold(name: str) -> str:
    """The name as a source has it, where that can be told."""
    return name.lower() if re.fullmatch(r"[A-Z_][A-Z0-9_$]*", name) else name


CAPTURED, DELETED = fold(CAPTURED_AT), fold(DELETED_AT)
RESERVED = frozenset({CAPTURED, DELETED, FILE, ROW, SOURCE})
PREFIX = "_SYNCER_"


def quoted(name: str) -> str:
    """A name that is folded already, in quotes."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal, where no value can be bound: a backslash is special there, too."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def table(target: Target) -> str:
    """The target's qualified name."""
    return f"{quoted(fold(target.schema))}.{quoted(fold(target.table))}"


def column(name: str, alias: str | None = None) -> str:
    """One column, qualified where an alias is given."""
    return f"{alias}.{quoted(name)}" if alias else quoted(name)


def columns(names: Iterable[str], alias: str | None = None) -> str:
    """`"A", "B"` or `s."A", s."B"`."""
    return ", ".join(column(name, alias) for name in names)


def equal(names: Sequence[str], left: str, right: str) -> str:
    """`left."A" = right."A" AND ..`."""
    return " AND ".join(f"{column(name, left)} = {column(name, right)}" for name in names)


def check_target(target: Target) -> None:
    """Raises ConfigError for names that Snowflake does not take."""
    for what, name in (("schema", target.schema), ("table", target.table)):
        if not name or "\0" in name or len(name) > LONGEST:
            raise ConfigError(
                f"the {what} name has {len(name)} characters and Snowflake takes 1 to {LONGEST}",
                table=target.name,
                fix=f"give the {what} a shorter name in the warehouse",
            )


def check_columns(target: Target, names: Sequence[str]) -> None:
    """Raises SchemaChanged for names of ours, impossible ones, and two that differ in small and capital letters."""
    seen: dict[str, str] = {}
    for name in names:
        if name.upper().startswith(PREFIX):
            raise SchemaChanged(
                f"column {name!r} has a name that the syncer needs for itself",
                table=target.name,
                fix="exclude the column, or rename it at the source",
            )
        if not name or "\0" in name or len(name) > LONGEST:
            raise SchemaChanged(f"column name {name!r} is impossible", table=target.name, fix="exclude the column")
        other = seen.setdefault(name.upper(), name)
        if other is not name:
            raise SchemaChanged(
                f"columns {other!r} and {name!r} differ only in small and capital letters",
                table=target.name,
                fix="exclude one of them, or rename it at the source",
            )
