"""Which ceilings are proven on MySQL and MariaDB (DESIGN 5, rules 3 to 5).

The maximum is read first; then, on a connection of its own, the transactions that could still write below it. The
list of InnoDB is a cache that is renewed only when nobody looked for 100 ms, so it counts only where it has a
transaction of ours that began after the maximum was read. An id may be drawn a moment before its transaction shows:
the time that ours waits to be listed covers that.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from ...drivers import mysql
from ...model.capture import Capture
from ...model.errors import SyncError
from ...model.marks import TIME_KINDS, CursorColumn, Mark, Scalar, is_below
from ...model.table import TableSpec
from ..provable import provable
from .allocation import Allocation, allocation, next_id, protection, source_time
from .query import literal, quoted, relation

LISTING_SECONDS = 0.12
"""Between two looks at the list of transactions: it is renewed when nobody looked for 0.1 s."""

LISTING_SECONDS_MOST = 4.0
SENTINELS_MOST = 1000
"""More rows than this above AUTO_INCREMENT are no sentinels: their ids come from somewhere else."""

UNLISTED = "unlisted"
"""A writer of captures whose writers could not be listed: it never ends, so they are never proven."""

INEXACT = timedelta(seconds=2)
"""When a transaction began is told in whole seconds."""

_PROBE = "START TRANSACTION READ WRITE"

_WRITERS = """
SELECT x.trx_mysql_thread_id, x.trx_started, p.USER,
       TIMESTAMPDIFF(SECOND, x.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM')), CONNECTION_ID()
  FROM information_schema.INNODB_TRX x
  LEFT JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id
 WHERE x.trx_is_read_only = 0
"""

Open = Callable[[], mysql.Connection]


@dataclass(frozen=True)
class Writer:
    """A transaction that may still write. `name` knows it again; a detached XA transaction has no session."""

    name: str
    user: str | None
    detached: bool
    age: timedelta


def capture(
    connection: mysql.Connection, open_probe: Open, spec: TableSpec, order: tuple[CursorColumn, ...], server: str
) -> Capture | None:
    """The maximum, THEN the source's time, THEN the writers. None for an empty table.

    Proven at once is a ceiling below which nobody could write when the writers were listed, times where only the lag
    protects, which is in `provable`, and ids of an engine that has no transactions.
    """
    cursor = order[: len(spec.cursor)]
    ceiling = maximum(connection, spec.table, cursor)
    if ceiling is None:
        return None
    facts = allocation(connection, spec.table, cursor[0].name)
    allocated = _last_drawn(connection, spec.table, cursor, facts)
    ceiling, sentinel = _cap_at(allocated, connection, spec.table, cursor[0].name, ceiling)
    kind = protection(cursor[0], facts).proof
    moment = source_time(connection, facts)
    listed: list[Writer] | None = []
    if kind == "writers_finished" and facts.has_transactions:
        listed = writers(open_probe, spec)
    return Capture(
        ceiling=ceiling,
        provable=provable(ceiling, cursor[0], moment, spec),
        source_time=moment,
        server=server,
        proof=kind,
        writers=(UNLISTED,) if listed is None else tuple(sorted(writer.name for writer in listed)),
        proven=listed == [] if kind == "writers_finished" else cursor[0].kind in TIME_KINDS,
        sentinel=sentinel,
        allocated=allocated,
    )


def judge(
    connection: mysql.Connection,
    open_probe: Open,
    spec: TableSpec,
    cursor: CursorColumn,
    captures: Sequence[Capture],
    server: str,
) -> list[Capture]:
    """The captures as they stand now. Those of another server are void: its transactions are not comparable."""
    captures = [capture for capture in captures if capture.server == server]
    if all(capture.proven for capture in captures):
        return list(captures)
    now = source_time(connection, allocation(connection, spec.table, cursor.name))
    running = writers(open_probe, spec) if any(capture.proof != "lag" for capture in captures) else []
    return [_judged(capture, spec, running, now) for capture in captures]


def writers(open_probe: Open, spec: TableSpec) -> list[Writer] | None:
    """The transactions that may write now, ours left out; None where the server did not show a list of now."""
    with closing(open_probe()) as probe:
        deadline = time.monotonic() + LISTING_SECONDS_MOST
        mysql.rows(probe, _PROBE)
        mysql.rows(probe, f"SELECT 1 FROM {relation(spec.table)} LIMIT 1")
        while time.monotonic() < deadline:
            time.sleep(LISTING_SECONDS)
            listed = mysql.rows(probe, _WRITERS)
            if any(thread == ours for thread, _, _, _, ours in listed):
                found = [_writer(*row[:4]) for row in listed if row[0] != row[4]]
                return [writer for writer in found if writer.user is None or writer.user not in spec.ignore_roles]
    return None


def maximum(connection: mysql.Connection, table: str, cursor: Sequence[CursorColumn]) -> Mark | None:
    """The largest cursor value, as the index gives it; a composite cursor's is its last row."""
    names = [quoted(column.name) for column in cursor]
    where = [f"{name} IS NOT NULL" for name in names]
    if cursor[0].kind in TIME_KINDS:
        where.append(f"{names[0]} < {literal(date(9999, 12, 31))}")
    found = mysql.rows(
        connection,
        f"SELECT {', '.join(names)} FROM {relation(table)} WHERE {' AND '.join(where)}"
        f" ORDER BY {', '.join(f'{name} DESC' for name in names)} LIMIT 1",
    )
    return (
        tuple(scalar_of(value, column, table) for value, column in zip(found[0], cursor, strict=True))
        if found
        else None
    )


def highest_drawn(connection: mysql.Connection, table: str, cursor: CursorColumn) -> Mark | None:
    """The maximum without the sentinels above AUTO_INCREMENT: the ceiling of a capture made now."""
    ceiling = maximum(connection, table, [cursor])
    if ceiling is None or cursor.kind != "integer":
        return ceiling
    allocated = _last_drawn(connection, table, [cursor], allocation(connection, table, cursor.name))
    return _cap_at(allocated, connection, table, cursor.name, ceiling)[0]


def scalar_of(value: object, column: CursorColumn, table: str) -> Scalar:
    """A value as the driver gives it, as a mark has it. Raises SyncError for a date that does not exist."""
    wanted = {"integer": int, "timestamptz": datetime, "timestamp": datetime, "date": date}.get(column.kind)
    if wanted is not None and not isinstance(value, wanted):
        raise SyncError(
            f"{column.name} holds a date that does not exist, behind which paging cannot go on",
            table=table,
            fix="correct the value at the source, or use `load: replace`",
        )
    if column.kind == "timestamptz" and isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return value  # type: ignore[return-value]  # of the cursor's kind


def _writer(thread: int, started: datetime, user: str | None, age: int) -> Writer:
    return Writer(f"{thread}/{started}", user, not thread, timedelta(seconds=age))


def _judged(capture: Capture, spec: TableSpec, running: Sequence[Writer] | None, now: datetime) -> Capture:
    if capture.proven:
        return capture
    if capture.proof == "lag":
        return capture.with_proof() if now >= capture.source_time + spec.late_commit_lag else capture
    if running is None or UNLISTED in capture.writers:
        return capture
    names = {writer.name for writer in running}
    left = {name for name in capture.writers if name in names}
    left |= {writer.name for writer in running if writer.detached and now - writer.age - INEXACT <= capture.source_time}
    return replace(capture, writers=tuple(sorted(left))) if left else capture.with_proof()


def _last_drawn(
    connection: mysql.Connection, table: str, cursor: Sequence[CursorColumn], facts: Allocation
) -> Mark | None:
    """The last id that AUTO_INCREMENT handed out; None of any other cursor."""
    if len(cursor) > 1 or cursor[0].kind != "integer" or not facts.auto_increment:
        return None
    following = next_id(connection, table)
    return (following - 1,) if following is not None and following > 1 else None


def _cap_at(
    allocated: Mark | None, connection: mysql.Connection, table: str, column: str, ceiling: Mark
) -> tuple[Mark, Mark | None]:
    """Rule 5: a sentinel id far above the rest must not become the ceiling; it is read beside the window."""
    if allocated is None or not is_below(allocated, ceiling):
        return ceiling, None
    name, last = quoted(column), literal(allocated[0])
    few = f"SELECT 1 FROM {relation(table)} WHERE {name} > {last} LIMIT {SENTINELS_MOST + 1}"
    above = f"SELECT COUNT(*) FROM ({few}) AS above"
    below = mysql.scalar(connection, f"SELECT MAX({name}) FROM {relation(table)} WHERE {name} <= {last}")
    if below is None or int(str(mysql.scalar(connection, above))) > SENTINELS_MOST:
        return ceiling, None
    return (int(str(below)),), ceiling
