"""The server's size and settings against what loading took so far, as the ledger and the counters tell it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from ...drivers.postgres_settings import finding, server_settings
from ...model.report import CheckResult
from ...model.server import GB, ServerSize, setting, size
from ...model.table import Target
from . import ledger
from .activity import TABLES_SQL
from .swap import INDEX_SESSIONS

SESSIONS_PER_LOAD = 2 + INDEX_SESSIONS
"""One that loads, one that asks, and those that build indexes."""
BIGGEST = 3
DEAD_ROWS_MOST = 1_000_000
"""More dead rows than that before autovacuum begins: it then has long to do, and the indexes have grown."""
WANTED_DEAD_ROWS = 500_000
SPILLED_LEAST = GB
WORK_MEM_MOST = 256 * 1024**2
MAINTENANCE_MOST = GB
TIMEOUT_MOST_SECONDS = 1800
BYTES_PER_DEAD_ROW = 6
"""VACUUM's memory for the place of a dead row, before release 17 gave it a denser form."""

FACTS_SQL = """
SELECT current_setting('server_version_num')::int, pg_database_size(current_database()),
    pg_size_bytes(current_setting('work_mem')), pg_size_bytes(current_setting('max_wal_size')),
    extract(epoch FROM current_setting('checkpoint_timeout')::interval)::float8,
    coalesce(nullif(pg_size_bytes(nullif(current_setting('autovacuum_work_mem'), '-1')), -1),
        pg_size_bytes(current_setting('maintenance_work_mem'))),
    current_setting('autovacuum_vacuum_threshold')::float8, current_setting('autovacuum_vacuum_scale_factor')::float8,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type IS NULL OR backend_type = 'client backend'),
    coalesce(d.temp_files, 0), coalesce(d.temp_bytes, 0)
FROM pg_stat_database d WHERE d.datname = current_database()
"""

TABLES_FACTS_SQL = """
SELECT c.oid, greatest(c.reltuples::float8, pg_stat_get_live_tuples(c.oid)),
    pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid), coalesce(c.reloptions, '{}'),
    (SELECT max(pg_relation_size(i.indexrelid)) FROM pg_index i WHERE i.indrelid = c.oid)
FROM pg_class c WHERE c.oid = ANY ($1::oid[])
"""

LOADS_SQL = "SELECT max(wal_bytes), max(seconds) FROM _syncer.loads WHERE target_name = ANY ($1)"


@dataclass(frozen=True)
class _Server:
    """The row of FACTS_SQL."""

    version: int
    database_bytes: int
    work_mem: int
    max_wal_size: int
    checkpoint_seconds: float
    vacuum_mem: int
    vacuum_threshold: float
    vacuum_scale: float
    free_connections: int
    temp_files: int
    temp_bytes: int


@dataclass(frozen=True)
class _Table:
    """A table that holds rows of a target."""

    target: Target
    name: str
    bytes: int
    rows: float = 0
    changes: int = 0
    options: tuple[str, ...] = ()
    largest_index: int | None = None

    def option(self, name: str, default: float) -> float:
        return float(dict(option.split("=", 1) for option in self.options).get(name, default))


def advise(
    connection: psycopg.Connection, targets: Sequence[Target], server: ServerSize, session: Mapping[str, str]
) -> list[CheckResult]:
    """The findings. `connection` has the server's own settings, `session` are those that a load sets over them."""
    row = connection.execute(FACTS_SQL).fetchone()
    assert row is not None
    facts, tables = _Server(*row), _tables(connection, targets)
    wal, seconds = _loads(connection, targets)
    return [
        _storage(facts, tables),
        *server_settings(connection, server),
        _work_mem(facts, session.get("work_mem", "")),
        _maintenance_work_mem(tables, session, server),
        _max_wal_size(facts, wal),
        _checkpoint_timeout(facts, seconds),
        *_autovacuum(facts, tables),
        finding(
            "connections",
            facts.free_connections >= SESSIONS_PER_LOAD,
            f"{facts.free_connections} connections are free, {SESSIONS_PER_LOAD} for each of "
            f"{facts.free_connections // SESSIONS_PER_LOAD} loads at once",
            f"only {facts.free_connections} connections are free, and a load takes up to {SESSIONS_PER_LOAD}: end "
            "sessions, load fewer tables at once, or raise max_connections, which needs a restart",
        ),
        CheckResult(
            "session",
            True,
            description=f"a load sets {', '.join(f'{name} = {value}' for name, value in session.items())}",
            metadata=dict(session),
        ),
    ]


def _tables(connection: psycopg.Connection, targets: Sequence[Target]) -> list[_Table]:
    schemas, names = [target.schema for target in targets], [target.table for target in targets]
    found = connection.execute(TABLES_SQL.encode(), (schemas, names)).fetchall()
    facts = {oid: rest for oid, *rest in connection.execute(TABLES_FACTS_SQL, ([row[1] for row in found],))}
    return [
        _Table(targets[number], f"{schema}.{name}", bytes or 0, rows, changes, tuple(options), largest)
        for number, oid, schema, name, bytes in found
        if oid in facts
        for rows, changes, options, largest in [facts[oid]]
    ]


def _loads(connection: psycopg.Connection, targets: Sequence[Target]) -> tuple[int | None, float | None]:
    """The most WAL that a load wrote, and the longest load's seconds."""
    if not ledger.exists(connection) or not ledger.has_figures(connection):
        return None, None
    row = connection.execute(LOADS_SQL, ([target.name for target in targets],)).fetchone()
    return (row[0], row[1]) if row else (None, None)


def _storage(facts: _Server, tables: Sequence[_Table]) -> CheckResult:
    biggest = sorted(tables, key=lambda table: table.bytes, reverse=True)[:BIGGEST]
    named = ", ".join(f"{table.name} {size(table.bytes)}" for table in biggest)
    text = f"the database has {size(facts.database_bytes)}{f' ({named})' if named else ''}"
    return CheckResult(
        "storage",
        True,
        description=f"{text}; PostgreSQL does not tell how much of the disk is free",
        metadata={"database_bytes": facts.database_bytes},
    )


def _work_mem(facts: _Server, own: str) -> CheckResult:
    each = facts.temp_bytes / facts.temp_files if facts.temp_files else 0
    wanted = min(2 * each, WORK_MEM_MOST)
    return finding(
        "work_mem",
        facts.temp_bytes < SPILLED_LEAST or each < facts.work_mem or facts.work_mem >= wanted,
        f"work_mem {size(facts.work_mem)}, {size(facts.temp_bytes)} written to temporary files so far",
        f"queries have written {size(facts.temp_bytes)} to {facts.temp_files:,} temporary files, {size(each)} each; "
        f"work_mem is {size(facts.work_mem)}, which each sort of each query may take ({own} in a load of ours)",
        f"ALTER SYSTEM SET work_mem = '{setting(wanted)}'; SELECT pg_reload_conf()",
    )


def _maintenance_work_mem(tables: Sequence[_Table], session: Mapping[str, str], server: ServerSize) -> CheckResult:
    """Of the sessions that build indexes, so a line of the YAML changes it."""
    given, own = session.get("maintenance_work_mem", ""), _bytes(session.get("maintenance_work_mem", ""))
    most = min(MAINTENANCE_MOST, server.memory_bytes // 16) if server.memory_bytes else MAINTENANCE_MOST
    largest = max((table.largest_index or 0 for table in tables), default=0)
    return finding(
        "maintenance_work_mem",
        own is None or largest <= 4 * own or own >= most,
        f"a load builds indexes with maintenance_work_mem {given or 'of the server'}",
        f"the largest index has {size(largest)} and is built with maintenance_work_mem {given}: more makes it faster",
        f"options: {{maintenance_work_mem: {setting(most)}}}   # of the warehouse, below `warehouses:`",
    )


def _max_wal_size(facts: _Server, wal: int | None) -> CheckResult:
    return finding(
        "max_wal_size",
        wal is None or 2 * wal <= facts.max_wal_size,
        f"max_wal_size {size(facts.max_wal_size)}" + (f", the most that a load wrote {size(wal)}" if wal else ""),
        f"a load wrote {size(wal or 0)} of WAL, and max_wal_size is {size(facts.max_wal_size)}: checkpoints come in "
        "the middle of it, and each makes the next writes larger",
        f"ALTER SYSTEM SET max_wal_size = '{setting(3 * (wal or 0))}'; SELECT pg_reload_conf()",
    )


def _checkpoint_timeout(facts: _Server, seconds: float | None) -> CheckResult:
    return finding(
        "checkpoint_timeout",
        seconds is None or seconds <= facts.checkpoint_seconds or facts.checkpoint_seconds >= TIMEOUT_MOST_SECONDS,
        f"checkpoint_timeout {facts.checkpoint_seconds:.0f} s"
        + (f", the longest load took {seconds:.0f} s" if seconds else ""),
        f"the longest load took {seconds or 0:.0f} s, checkpoint_timeout is {facts.checkpoint_seconds:.0f} s: each "
        "checkpoint in the middle makes the next writes larger",
        f"ALTER SYSTEM SET checkpoint_timeout = '{_timeout(seconds or 0)}s'; SELECT pg_reload_conf()",
    )


def _timeout(seconds: float) -> int:
    return next((step for step in (900, 1200) if step >= seconds), TIMEOUT_MOST_SECONDS)


def _autovacuum(facts: _Server, tables: Sequence[_Table]) -> Iterator[CheckResult]:
    """A share of a large table is many rows: such a table wants a scale factor of its own, which the YAML declares."""
    late = []
    for table in tables:
        scale = table.option("autovacuum_vacuum_scale_factor", facts.vacuum_scale)
        dead = table.option("autovacuum_vacuum_threshold", facts.vacuum_threshold) + scale * table.rows
        if dead > DEAD_ROWS_MOST and table.changes:
            late.append(table)
            wanted = max(0.001, round(WANTED_DEAD_ROWS / table.rows, 3))
            yield finding(
                "autovacuum_vacuum_scale_factor",
                False,
                "",
                f"{table.name} has {table.rows:,.0f} rows, and autovacuum waits for {dead:,.0f} dead ones",
                f"storage: {{autovacuum_vacuum_scale_factor: {wanted:g}}}   # of {table.target.table}, below `tables:`",
            )
    if not late:
        yield CheckResult("autovacuum_vacuum_scale_factor", True, description="fits the size of every table")
    scales = [table.option("autovacuum_vacuum_scale_factor", facts.vacuum_scale) for table in tables]
    dead_rows = [scale * table.rows for scale, table in zip(scales, tables, strict=True) if table.changes]
    needed = BYTES_PER_DEAD_ROW * max(dead_rows, default=0)
    yield finding(
        "autovacuum_work_mem",
        facts.version >= 170_000 or needed <= facts.vacuum_mem,
        f"autovacuum has {size(facts.vacuum_mem)}",
        f"autovacuum has {size(facts.vacuum_mem)} and needs {size(needed)} to clean the largest table in one pass",
        f"ALTER SYSTEM SET autovacuum_work_mem = '{setting(needed)}'; SELECT pg_reload_conf()",
    )


def _bytes(text: str) -> int | None:
    """`256MB` as bytes; None where it is none of the usual spellings."""
    for unit, factor in (("kB", 1024), ("MB", 1024**2), ("GB", GB)):
        if text.endswith(unit) and text.removesuffix(unit).strip().isdigit():
            return int(text.removesuffix(unit)) * factor
    return None
