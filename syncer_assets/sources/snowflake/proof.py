"""Which ceilings are proven on Snowflake (DESIGN 5, rules 4 and 5): those that are older than the lag.

SHOW LOCKS and SHOW TRANSACTIONS tell a role of its own transactions only, and an INSERT holds no lock that another role
sees: writers cannot be listed, so that the lag is all that there is.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from ...drivers import snowflake
from ...model.capture import Capture, Protection
from ...model.marks import TIME_KINDS, CursorColumn, Mark, Scalar
from ...model.table import TableSpec
from ..provable import provable
from .query import bound, column_name, relation

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

NOW = "SELECT CONVERT_TIMEZONE('UTC', CURRENT_TIMESTAMP())::TIMESTAMP_NTZ"


def protection() -> Protection:
    """How late commits are ruled out."""
    reason = "Snowflake does not show a reader who else writes: only the lag (`late_commit_lag`) protects"
    return Protection("lag", False, reason, "writers_hidden")


def capture(
    connection: "SnowflakeConnection", spec: TableSpec, order: tuple[CursorColumn, ...], server: str
) -> Capture | None:
    """The maximum, THEN the source's time. None for an empty table."""
    cursor = order[: len(spec.cursor)]
    ceiling = maximum(connection, spec.table, cursor)
    if ceiling is None:
        return None
    moment = source_time(connection)
    return Capture(
        ceiling=ceiling,
        provable=provable(ceiling, cursor[0], moment, spec),
        source_time=moment,
        server=server,
        proof="lag",
        proven=cursor[0].kind in TIME_KINDS,  # the lag is in `provable` already
    )


def judge(
    connection: "SnowflakeConnection", spec: TableSpec, captures: Sequence[Capture], server: str
) -> list[Capture]:
    """The captures as they stand now: proven from the lag's end on. Those of another account are void."""
    captures = [capture for capture in captures if capture.server == server]
    if all(capture.proven for capture in captures):
        return list(captures)
    now = source_time(connection)
    return [
        capture.with_proof() if not capture.proven and now >= capture.source_time + spec.late_commit_lag else capture
        for capture in captures
    ]


def source_time(connection: "SnowflakeConnection") -> datetime:
    """The service's clock."""
    moment = snowflake.scalar(connection, NOW)
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=UTC)


def maximum(connection: "SnowflakeConnection", table: str, cursor: Sequence[CursorColumn]) -> Mark | None:
    """The largest cursor value; a composite cursor's is its last row."""
    names = [column_name(column.name) for column in cursor]
    where, values = [f"{name} IS NOT NULL" for name in names], []
    if cursor[0].kind in TIME_KINDS:
        place, value = bound(date(9999, 12, 31))
        where.append(f"{names[0]} < {place}")
        values.append(value)
    found = snowflake.rows(
        connection,
        f"SELECT {', '.join(names)} FROM {relation(table)} AS t WHERE {' AND '.join(where)}"
        f" ORDER BY {', '.join(f'{name} DESC' for name in names)} LIMIT 1",
        values,
    )
    return tuple(scalar_of(value, column) for value, column in zip(found[0], cursor, strict=True)) if found else None


def scalar_of(value: object, column: CursorColumn) -> Scalar:
    """A value as the driver gives it, as a mark has it: instants in UTC, whatever zone they were written in."""
    if isinstance(value, datetime):
        if column.kind == "timestamptz":
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.replace(tzinfo=None)
    return value  # type: ignore[return-value]  # of the cursor's kind
