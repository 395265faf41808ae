"""Identifiers: composed, never formatted; cut as the server cuts them; refused where two become one."""

from collections.abc import Iterable, Sequence

from psycopg import sql

from ...model.errors import ConfigError, SchemaChanged
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT

ORDER = "_syncer_order"
RESERVED = frozenset({CAPTURED_AT, DELETED_AT, ORDER})
LONGEST = 63
"""Bytes of a name that PostgreSQL keeps (NAMEDATALEN - 1); it cuts the rest off without an error."""


def cut(name: str) -> str:
    """The name as the server keeps it: at most 63 bytes, cut between characters."""
    return name.encode()[:LONGEST].decode(errors="ignore")


def table(target: Target) -> sql.Identifier:
    """The target's qualified name."""
    return sql.Identifier(target.schema, target.table)


def check_target(target: Target) -> None:
    """Raises ConfigError where the server would cut the schema's or table's name: two targets could become one."""
    for what, name in (("schema", target.schema), ("table", target.table)):
        if not name or cut(name) != name:
            raise ConfigError(
                f"the {what} name has {len(name.encode())} bytes and PostgreSQL keeps {LONGEST}",
                table=target.name,
                fix=f"give the {what} a shorter name in the warehouse",
            )


def check_columns(target: Target, names: Sequence[str]) -> None:
    """Raises SchemaChanged for names of ours, and for two names that the server would cut to the same one."""
    seen: dict[str, str] = {}
    for name in names:
        if name in RESERVED:
            raise SchemaChanged(
                f"column {name!r} has a name that the syncer needs for itself",
                table=target.name,
                fix="exclude the column, or rename it at the source",
            )
        if not name or "\0" in name:
            raise SchemaChanged(f"column name {name!r} is impossible", table=target.name, fix="exclude the column")
        other = seen.setdefault(cut(name), name)
        if other is not name:
            raise SchemaChanged(
                f"columns {other!r} and {name!r} are the same in their first {LONGEST} bytes, which is all that"
                " PostgreSQL keeps",
                table=target.name,
                fix="exclude one of them, or rename it at the source",
            )


def columns(names: Iterable[str], alias: str | None = None) -> sql.Composed:
    """`"a", "b"` or `s."a", s."b"`."""
    return sql.SQL(", ").join(column(name, alias) for name in names)


def column(name: str, alias: str | None = None) -> sql.Identifier:
    """One column, qualified where an alias is given."""
    return sql.Identifier(alias, name) if alias else sql.Identifier(name)


def equal(names: Sequence[str], left: str, right: str) -> sql.Composed:
    """`left."a" = right."a" AND ..`."""
    return sql.SQL(" AND ").join(sql.SQL("{} = {}").format(column(name, left), column(name, right)) for name in names)
