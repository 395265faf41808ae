"""REINDEX CONCURRENTLY, and what has to be looked at before and after (RELIABILITY 3)."""

import re
import time
from contextlib import suppress
from datetime import UTC, datetime

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed, DbError
from ...model.table import Target
from ...model.upkeep import RepairLimits
from . import names
from .relations import Leaf, LeafIndex, indexes

LOCK_CLASS = 0x73796E63
LOCK_SECONDS = 5.0
TRY_LOCK_SQL = "SELECT pg_try_advisory_lock($1, $2::oid::int)"
FREE_SPACE_FACTOR = 1.2
"""Of the index's size: the new one stands beside the old one until the end."""
LEFTOVER = re.compile(r"(?P<base>.+)(?P<suffix>_cc(?:new|old)\d*)")

TRANSACTION_SQL = """
SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
    AND xact_start IS NOT NULL AND backend_type = 'client backend'
"""
LAG_SQL = """
SELECT max(bytes)::float8 FROM (
    SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) AS bytes FROM pg_stat_replication
    UNION ALL SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) FROM pg_replication_slots
) AS behind
"""


def take_lock(connection: psycopg.Connection, target: Target, oid: int) -> None:
    """The advisory lock of a table's maintenance, held until the session ends. Raises DbError, retryable, if it is
    taken for longer than a session takes to end.

    It is tried again and again: to wait within a statement would hold up the rebuild of the one who has it."""
    deadline = time.monotonic() + LOCK_SECONDS
    while connection.execute(TRY_LOCK_SQL, (LOCK_CLASS, oid)).fetchone() != (True,):
        if time.monotonic() > deadline:
            raise DbError(
                "another maintenance of the table is under way",
                code="55P03",
                phase="load",
                failure="once",
                table=target.name,
                fix="wait until it has ended",
            )
        time.sleep(0.1)


def drop_leftovers(connection: psycopg.Connection, tables: list[Leaf]) -> tuple[list[str], list[str]]:
    """Drop what a REINDEX CONCURRENTLY that failed has left: an invalid `_ccnew` or `_ccold` of a valid index.

    Every write would keep it up to date. The names of those dropped, and of those that somebody holds."""
    there = indexes(connection, tables)
    dropped: list[str] = []
    held: list[str] = []
    for index in there:
        valid = [other.name for other in there if other.valid and other.table_oid == index.table_oid]
        if index.valid or not is_leftover(index.name, valid):
            continue
        try:
            connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(index.identifier))
        except psycopg.errors.LockNotAvailable:
            held.append(index.name)
        else:
            dropped.append(index.name)
    return dropped, held


def is_leftover(name: str, valid: list[str]) -> bool:
    """Whether it is the name of a `_ccnew` or `_ccold` of one of these; the server cuts long names for its suffix."""
    found = LEFTOVER.fullmatch(name)
    if found is None:
        return False
    room = names.LONGEST - len(found["suffix"])
    return any(base.encode()[:room].decode(errors="ignore") == found["base"] for base in valid)


def reason_not_to(
    connection: psycopg.Connection, index: LeafIndex, limits: RepairLimits, until: datetime | None
) -> str | None:
    """Why this index is not rebuilt now; None if nothing stands in the way."""
    version = connection.info.server_version
    if until is not None and datetime.now(UTC) >= until:
        return "the repair window has ended"
    if index.exclusion:
        return "it belongs to an exclusion constraint, which cannot be rebuilt CONCURRENTLY: REINDEX it in a quiet hour"
    if 140000 <= version <= 140003:
        return "PostgreSQL 14.0 to 14.3 can damage an index that is rebuilt CONCURRENTLY: upgrade"
    needed_mb = FREE_SPACE_FACTOR * index.size_bytes / 2**20
    if limits.free_space_mb is not None and needed_mb > limits.free_space_mb:
        return f"it needs {needed_mb:.1f} MB of free space, and `free_space_mb` is {limits.free_space_mb:g}"
    seconds = _number(connection, TRANSACTION_SQL)
    if seconds > limits.longest_transaction_seconds:
        return f"a transaction has been open for {seconds:.0f} s, and it would wait for its end"
    lag_mb = _number(connection, LAG_SQL) / 2**20
    if lag_mb > limits.max_replication_lag_mb:
        return f"a replica or a replication slot is {lag_mb:.0f} MB of WAL behind"
    return None


def rebuild(connection: psycopg.Connection, target: Target, table: Leaf, index: LeafIndex) -> int:
    """Rebuild one index while it is used; its new size in bytes.

    What a failed attempt leaves is dropped, unless a lock made it fail, which would hold up that, too. Raises
    psycopg.Error; AssertionFailed if the new one is invalid."""
    try:
        connection.execute(sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(index.identifier))
    except psycopg.errors.LockNotAvailable:
        now = _now(connection, table, index)
        if now is None or now.oid == index.oid:
            raise
        # Only the old one, which its last readers hold, could not be dropped: the new one has taken its name.
    except psycopg.Error:
        with suppress(psycopg.Error):  # what failed is told; the next run drops what stays
            drop_leftovers(connection, [table])
        raise
    now = _now(connection, table, index)
    if now is None or not now.valid:
        raise AssertionFailed(
            f"the index {index.name} is {'gone' if now is None else 'invalid'} after its rebuild",
            table=target.name,
            fix="look into the server's log, and create it again",
        )
    return now.size_bytes


def _now(connection: psycopg.Connection, table: Leaf, index: LeafIndex) -> LeafIndex | None:
    return next((found for found in indexes(connection, [table]) if found.name == index.name), None)


def _number(connection: psycopg.Connection, query: str) -> float:
    row = connection.execute(query.encode()).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0
