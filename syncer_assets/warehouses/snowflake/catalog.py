"""What the warehouse's catalogue says of a table."""

from dataclasses import dataclass
from datetime import UTC

from ...model.table import Target
from ..base import TargetColumn
from . import names, types
from .session import Session

TABLE_SQL = """
SELECT TABLE_TYPE, CREATED FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?
"""

COLUMNS_SQL = """
SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE, COLUMN_DEFAULT
FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION
"""


@dataclass(frozen=True)
class CatalogColumn:
    """A column of an existing table, its name and type as the catalogue has them."""

    name: str
    type: str
    nullable: bool
    has_default: bool


def table_identity(session: Session, target: Target) -> str | None:
    """When the table was made: one that was dropped and made anew has another time. None where there is none."""
    found = session.rows(TABLE_SQL, _place(target))
    return found[0][1].astimezone(UTC).isoformat(timespec="microseconds") if found else None


def table_kind(session: Session, target: Target) -> str | None:
    """`BASE TABLE`, `VIEW` ..; None where there is nothing of that name."""
    found = session.rows(TABLE_SQL, _place(target))
    return found[0][0] if found else None


def columns(session: Session, target: Target) -> list[CatalogColumn]:
    """Every column of the table, ours included."""
    return [
        CatalogColumn(
            name, types.spelt(kind, _int(precision), _int(scale), _int(length)), nullable == "YES", bool(default)
        )
        for name, kind, precision, scale, length, nullable, default in session.rows(COLUMNS_SQL, _place(target))
    ]


def target_columns(session: Session, target: Target) -> list[TargetColumn]:
    """The columns without ours, named as at the source."""
    return [
        TargetColumn(names.unfold(column.name), column.type, column.nullable)
        for column in columns(session, target)
        if column.name not in names.RESERVED
    ]


def has_schema(session: Session, schema: str) -> bool:
    """Whether the session's role sees the schema."""
    sql = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.SCHEMATA WHERE CATALOG_NAME = CURRENT_DATABASE() AND SCHEMA_NAME = ?"
    return session.row(sql, (schema,))[0] > 0


def has_table(session: Session, schema: str, table: str) -> bool:
    """Whether there is a table or view of that name."""
    return bool(session.rows(TABLE_SQL, (schema, table)))


def _place(target: Target) -> tuple[str, str]:
    return names.fold(target.schema), names.fold(target.table)


def _int(value: object) -> int | None:
    return None if value is None else int(str(value))
