"""Settings of a PostgreSQL server that a source and a warehouse both live by, each finding with its statement."""

import psycopg

from ..model.report import CheckResult
from ..model.server import GB, ServerSize, setting, size

FACTS_SQL = """
SELECT pg_database_size(current_database()), pg_size_bytes(current_setting('shared_buffers')),
    pg_size_bytes(current_setting('effective_cache_size')),
    current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on'
"""
DEFAULT_BUFFERS = 128 * 1024**2
LARGE_FOR_DEFAULT = 16
"""A database of so many times the default buffers has outgrown them, whatever memory the machine has."""
BUFFERS_SHARE, CACHE_SHARE = 0.25, 0.75
"""Of the machine's memory; PostgreSQL's manual, 19.4.1, and "Tuning Your PostgreSQL Server" of its wiki."""


def server_settings(connection: psycopg.Connection, server: ServerSize) -> list[CheckResult]:
    """Memory for data pages, what the planner believes of the cache, autovacuum. Asks with one statement."""
    row = connection.execute(FACTS_SQL).fetchone()
    assert row is not None
    database, buffers, cache, autovacuum = row
    return [
        _shared_buffers(database, buffers, server),
        _cache_size(buffers, cache, server),
        finding(
            "autovacuum",
            autovacuum,
            "autovacuum is on",
            "autovacuum is off: dead rows are never removed, and statistics grow old",
            "ALTER SYSTEM SET autovacuum = on; ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf()",
        ),
    ]


def finding(name: str, passed: bool, fine: str, what: str, fix: str = "", **facts: object) -> CheckResult:
    """A finding that never ends a run: a slow server is no broken one."""
    return CheckResult(name, passed, "WARN", fine if passed else what, facts, "" if passed else fix)


def _shared_buffers(database: int, buffers: int, server: ServerSize) -> CheckResult:
    memory = server.memory_bytes
    if memory is not None:
        wanted = min(BUFFERS_SHARE * memory, max(database, DEFAULT_BUFFERS))
        passed, why = buffers >= wanted / 2, f"a quarter of {size(memory)} is usual"
    else:
        wanted = min(database / 4, 8 * GB)
        passed = buffers > DEFAULT_BUFFERS or database <= LARGE_FOR_DEFAULT * DEFAULT_BUFFERS
        why = "a quarter of the machine's memory is usual"
    return finding(
        "shared_buffers",
        passed,
        f"shared_buffers {size(buffers)}, the database {size(database)}",
        f"shared_buffers is {size(buffers)}, the database {size(database)}: {why}, and a restart is needed",
        f"ALTER SYSTEM SET shared_buffers = '{setting(wanted)}'",
    )


def _cache_size(buffers: int, cache: int, server: ServerSize) -> CheckResult:
    memory = server.memory_bytes
    wanted = max(2 * buffers, CACHE_SHARE * memory if memory else 0)
    passed = cache >= buffers and (memory is None or cache >= wanted / 2)
    return finding(
        "effective_cache_size",
        passed,
        f"effective_cache_size {size(cache)}",
        f"effective_cache_size is {size(cache)}, less than the server keeps in memory: the planner avoids indexes",
        f"ALTER SYSTEM SET effective_cache_size = '{int(wanted / 1024**2)}MB'; SELECT pg_reload_conf()",
    )
