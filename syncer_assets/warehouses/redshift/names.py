"""Identifiers and values of a statement. Redshift gets no parameters: it types them otherwise than PostgreSQL does."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from psycopg import sql

from ...model.errors import ConfigError, SchemaChanged
from ...model.marks import Scalar
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT
from ..postgres.names import column, columns, table

__all__ = ["check_columns", "check_target", "column", "columns", "equal", "moment", "number", "table", "text", "value"]

ORDER = "_syncer_order"
SOURCE = "_syncer_source"
VERDICT = "_syncer_verdict"
RANK = "_syncer_rank"
RESERVED = frozenset({CAPTURED_AT, DELETED_AT, ORDER, SOURCE, VERDICT, RANK})
LONGEST = 127
"""Bytes that a name may have (Database Developer Guide, "Names and identifiers")."""


def check_target(target: Target) -> None:
    """Raises ConfigError where the schema's or table's name is empty or too long."""
    for what, name in (("schema", target.schema), ("table", target.table)):
        if not name or len(name.encode()) > LONGEST:
            raise ConfigError(
                f"the {what} name has {len(name.encode())} bytes and Redshift allows {LONGEST}",
                table=target.name,
                fix=f"give the {what} a shorter name in the warehouse",
            )


def check_columns(target: Target, names: Sequence[str]) -> None:
    """Raises SchemaChanged for names of ours and for names that Redshift cannot have."""
    for name in names:
        if name in RESERVED:
            raise SchemaChanged(
                f"column {name!r} has a name that the syncer needs for itself",
                table=target.name,
                fix="exclude the column, or rename it at the source",
            )
        if not name or "\0" in name or len(name.encode()) > LONGEST:
            raise SchemaChanged(f"column name {name!r} is impossible", table=target.name, fix="exclude the column")


def equal(names: Iterable[str], texts: frozenset[str], left: sql.Composable, right: sql.Composable) -> sql.Composed:
    """Whether two rows have the same key. VARCHARs are compared without their trailing blanks, which `'a' = 'a '`
    would make one key (Database Developer Guide, "Character types"): so by their length, too."""
    parts: list[sql.Composed] = []
    for name in names:
        parts.append(sql.SQL("{0}.{2} = {1}.{2}").format(left, right, column(name)))
        if name in texts:
            parts.append(sql.SQL("OCTET_LENGTH({0}.{2}) = OCTET_LENGTH({1}.{2})").format(left, right, column(name)))
    return sql.Composed(parts).join(" AND ")


def text(value: str | None) -> sql.SQL:
    """A string. A backslash is CHR(92): it is an escape in Redshift's strings, and not in PostgreSQL's."""
    if value is None:
        return sql.SQL("NULL")
    parts = ["'" + part.replace("'", "''") + "'" for part in value.replace("\0", "").split("\\")]
    return sql.SQL(" || CHR(92) || ".join(parts))  # type: ignore[arg-type]  # quoted here


def number(value: float | None) -> sql.SQL:
    """An integer or a float."""
    return sql.SQL("NULL" if value is None else repr(value))  # type: ignore[arg-type]  # digits


def moment(value: datetime) -> sql.SQL:
    """A time with its zone, to the microsecond."""
    stamp = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return sql.SQL(f"'{stamp}+00'::TIMESTAMPTZ")  # type: ignore[arg-type]  # digits


def value(scalar: Scalar) -> sql.SQL:
    """A cursor's value."""
    if isinstance(scalar, datetime):
        return moment(scalar) if scalar.tzinfo else sql.SQL(f"'{scalar.isoformat(' ')}'::TIMESTAMP")  # type: ignore[arg-type]  # digits
    if isinstance(scalar, date):
        return sql.SQL(f"'{scalar.isoformat()}'::DATE")  # type: ignore[arg-type]  # digits
    return sql.SQL(str(scalar)) if isinstance(scalar, int) else text(str(scalar))  # type: ignore[arg-type]  # digits
