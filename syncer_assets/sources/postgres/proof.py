"""Which ceilings are proven: the rules of DESIGN 5, in the statements that RELIABILITY's counter-examples left over.

The maximum is read first; then, as separate statements, who could still write below it. A ceiling is proven when all
of those have ended. A snapshot's xmin and xmax prove nothing here: a transaction may have drawn an id before it has
an xid, and xmax is the last *completed* xid + 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import psycopg
from psycopg import sql

from ...model.capture import Capture, Protection
from ...model.errors import ConfigError, SyncError
from ...model.marks import TIME_KINDS, CursorColumn, Mark, is_below
from ...model.table import TableSpec
from ..provable import provable
from .catalogue import split
from .query import relation

_FACTS = """
WITH RECURSIVE family AS (
     SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     UNION
     SELECT c.oid, c.relkind
       FROM family JOIN pg_inherits i ON i.inhparent = family.oid JOIN pg_class c ON c.oid = i.inhrelid),
root AS (SELECT oid, relkind FROM family LIMIT 1),
columns_ AS (
     SELECT a.attrelid, a.attnum, a.attidentity, pg_get_expr(d.adbin, d.adrelid) AS expression, d.oid AS default_oid
       FROM family JOIN pg_attribute a ON a.attrelid = family.oid AND a.attname = %(column)s
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum),
column_ AS (SELECT columns_.* FROM columns_ JOIN root ON root.oid = attrelid),
sequence_ AS (
     SELECT dep.refobjid AS oid FROM columns_ JOIN pg_depend dep ON dep.classid = 'pg_attrdef'::regclass
        AND dep.objid = columns_.default_oid AND dep.refclassid = 'pg_class'::regclass
        JOIN pg_class c ON c.oid = dep.refobjid AND c.relkind = 'S'
     UNION
     SELECT dep.objid FROM columns_ JOIN pg_depend dep ON dep.classid = 'pg_class'::regclass
        AND dep.refclassid = 'pg_class'::regclass AND dep.deptype = 'i'
        JOIN pg_class c ON c.oid = dep.objid AND c.relkind = 'S'
      WHERE dep.refobjid = columns_.attrelid AND dep.refobjsubid = columns_.attnum)
SELECT (SELECT array_agg(oid::int8) FROM family), (SELECT bool_or(relkind IN ('v', 'm', 'f')) FROM family),
       column_.attidentity <> '' OR column_.expression ~ '^nextval\\(''[^'']*''::regclass\\)$',
       (SELECT array_agg(oid::int8) FROM sequence_),
       (SELECT bool_and(s.seqcache = 1 AND s.seqincrement = 1 AND NOT s.seqcycle)
          FROM pg_sequence s JOIN sequence_ ON sequence_.oid = s.seqrelid),
       (SELECT bool_and(has_sequence_privilege(oid, 'SELECT, USAGE')) FROM sequence_),
       pg_is_in_recovery(),
       EXISTS (SELECT 1 FROM pg_subscription_rel r JOIN family ON family.oid = r.srrelid)
  FROM column_
"""

_TABLE_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
 WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND relation::int8 = ANY(%s) AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareUpdateExclusiveLock')
   AND pid IS DISTINCT FROM pg_backend_pid()
"""

_ALL_WRITERS = """
SELECT l.virtualxid
  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'virtualxid' AND l.granted AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
   AND (a.pid IS NULL OR (
        a.datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND a.usesysid IS NOT NULL
        AND NOT (a.usesysid = (SELECT oid FROM pg_roles WHERE rolname = current_user)
                 AND (%(select_only)s OR a.application_name = %(application)s))
        AND NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.oid = a.usesysid AND r.rolname = ANY(%(ignore)s))))
"""

_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"

_SELECT_ONLY = """
SELECT NOT bool_or(rolsuper OR has_table_privilege(r.oid, t, 'INSERT, UPDATE, DELETE, TRUNCATE')
                   OR has_any_column_privilege(r.oid, t, 'INSERT, UPDATE'))
  FROM pg_roles r, unnest(%s::int8[]::oid[]) AS t WHERE pg_has_role(current_user, r.oid, 'MEMBER')
"""
"""A role that inherits nothing may still SET ROLE, and a partition may be written by its own name."""

SENTINELS_MOST = 1000
"""More rows than this above the sequence are no sentinels: their ids come from somewhere else."""


@dataclass(frozen=True)
class Allocation:
    """Where the cursor's values come from, and who has to be watched."""

    relations: tuple[int, ...]
    sequences: tuple[int, ...]
    from_sequence: bool
    one_at_a_time: bool
    sees_sequence: bool
    has_no_locks: bool
    in_recovery: bool
    subscribed: bool


def allocation(connection: psycopg.Connection, table: str, column: str) -> Allocation:
    """The facts about a cursor column that its proof depends on."""
    schema, name = split(table)
    row = connection.execute(_FACTS, {"schema": schema, "name": name, "column": column}).fetchone()
    if row is None:
        raise ConfigError(f"there is no column {column!r}", table=table, fix="check `cursor` in the YAML")
    family, no_locks, from_sequence, sequences, single, seen, recovery, subscribed = row
    return Allocation(
        relations=tuple(family or ()),
        sequences=tuple(sequences or ()),
        from_sequence=bool(from_sequence and sequences),
        one_at_a_time=bool(single),
        sees_sequence=bool(seen),
        has_no_locks=bool(no_locks),
        in_recovery=bool(recovery),
        subscribed=bool(subscribed),
    )


def protection(cursor: CursorColumn, facts: Allocation) -> Protection:
    """How late commits are ruled out, or the reason why they are not (rules 2 to 5)."""
    if facts.in_recovery:
        reason = "a replica does not show the writers of its primary: only the lag protects"
        return Protection("lag", False, reason, "replica")
    if facts.subscribed:
        reason = "the table is fed by logical replication: only the lag protects"
        return Protection("lag", False, reason, "logical_subscriber")
    if facts.has_no_locks:
        reason = "the relation is no ordinary table, so its writers cannot be listed"
        return Protection("lag", False, reason, "no_table")
    if cursor.kind in TIME_KINDS:
        return Protection("writers_finished", True)
    if cursor.kind != "integer":
        reason = f"values of a {cursor.kind} cursor need not grow with time"
        return Protection("writers_finished", False, reason, "cursor_goes_back")
    if not facts.from_sequence:
        reason = "the ids are not drawn by the column's default, so they may arrive out of order"
        return Protection("writers_finished", False, reason, "ids_from_elsewhere")
    if len(facts.sequences) > 1:
        reason = "partitions or children draw their ids from sequences of their own, each at its own pace"
        return Protection("writers_finished", False, reason, "ids_from_elsewhere")
    if not facts.one_at_a_time:
        reason = "the sequence hands out blocks (CACHE or INCREMENT above 1, or CYCLE)"
        return Protection("writers_finished", False, reason, "ids_in_blocks")
    if not facts.sees_sequence:
        reason = (
            "the role may not read the id's sequence (GRANT SELECT ON SEQUENCE), so an id far above the rest would"
            " hide the rows that come after it"
        )
        return Protection("writers_finished", False, reason, "ids_hidden")
    return Protection("writers_finished", True)


def capture(
    connection: psycopg.Connection, spec: TableSpec, order: tuple[CursorColumn, ...], server: str, application: str
) -> Capture | None:
    """The maximum, THEN the source's time, THEN the writers. None for an empty table."""
    cursor = order[: len(spec.cursor)]
    ceiling = maximum(connection, spec.table, cursor)
    if ceiling is None:
        return None
    facts = allocation(connection, spec.table, cursor[0].name)
    allocated = _last_value(connection, facts) if _draws_ids(cursor, facts) else None
    ceiling, sentinel = _cap_at(allocated, connection, spec.table, cursor[0].name, ceiling)
    kind = protection(cursor[0], facts).proof
    moment = source_time(connection, facts)
    return Capture(
        ceiling=ceiling,
        provable=provable(ceiling, cursor[0], moment, spec),
        source_time=moment,
        server=server,
        proof=kind,
        writers=tuple(_writers(connection, spec, cursor[0], facts, application)) if kind == "writers_finished" else (),
        prepared=None if cursor[0].kind != "integer" else (),
        proven=kind == "lag" and cursor[0].kind in TIME_KINDS,  # the lag is in `provable` already
        sentinel=sentinel,
        allocated=allocated,
    )


def judge(
    connection: psycopg.Connection,
    spec: TableSpec,
    cursor: CursorColumn,
    captures: Sequence[Capture],
    server: str,
    application: str,
) -> list[Capture]:
    """The captures as they stand now. Those of another server are void: its transactions are not comparable."""
    captures = [capture for capture in captures if capture.server == server]
    if all(capture.proven for capture in captures):
        return list(captures)
    facts = allocation(connection, spec.table, cursor.name)
    now = source_time(connection, facts)
    running = set(_writers(connection, spec, cursor, facts, application))
    prepared = {row[0] for row in connection.execute(_PREPARED)}
    return [_judged(capture, spec, running, prepared, now) for capture in captures]


def source_time(connection: psycopg.Connection, facts: Allocation) -> datetime:
    """The time that ages are measured by: on a replica or a subscriber, the position that was applied."""
    query = "SELECT clock_timestamp()"
    if facts.in_recovery:
        query = "SELECT COALESCE(pg_last_xact_replay_timestamp(), 'epoch')"
    elif facts.subscribed:
        query = "SELECT COALESCE((SELECT min(latest_end_time) FROM pg_stat_subscription), 'epoch')"
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def maximum(connection: psycopg.Connection, table: str, cursor: Sequence[CursorColumn]) -> Mark | None:
    """The largest finite cursor value, as the index gives it; a composite cursor's is its last row."""
    names = [sql.Identifier(column.name) for column in cursor]
    where = [sql.SQL("{} IS NOT NULL").format(name) for name in names]
    if cursor[0].kind in TIME_KINDS:
        where.append(sql.SQL("{} < {}").format(names[0], sql.Literal("9999-12-31")))
    row = connection.execute(
        sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1").format(
            sql.SQL(", ").join(names),
            relation(table),
            sql.SQL(" AND ").join(where),
            sql.SQL(", ").join(sql.SQL("{} DESC").format(name) for name in names),
        )
    ).fetchone()
    if row and any(isinstance(value, Decimal) and value.is_nan() for value in row):
        raise SyncError(
            f"a row has NaN in {' or '.join(column.name for column in cursor)}, behind which no other value lies",
            table=table,
            fix="correct it at the source, or choose another cursor",
        )
    return tuple(row) if row else None


def highest_drawn(connection: psycopg.Connection, table: str, cursor: CursorColumn) -> Mark | None:
    """The maximum without the sentinels above the sequence: the ceiling of a capture made now."""
    ceiling = maximum(connection, table, [cursor])
    if ceiling is None or cursor.kind != "integer":
        return ceiling
    facts = allocation(connection, table, cursor.name)
    if not _draws_ids([cursor], facts):
        return ceiling
    return _cap_at(_last_value(connection, facts), connection, table, cursor.name, ceiling)[0]


def _draws_ids(cursor: Sequence[CursorColumn], facts: Allocation) -> bool:
    return cursor[0].kind == "integer" and facts.from_sequence and len(cursor) == 1


def _judged(capture: Capture, spec: TableSpec, running: set[str], prepared: set[str], now: datetime) -> Capture:
    if capture.proven:
        return capture
    if capture.proof == "lag":
        return capture.with_proof() if now >= capture.source_time + spec.late_commit_lag else capture
    writers = tuple(writer for writer in capture.writers if writer in running)
    if writers:
        return replace(capture, writers=writers)
    listed = prepared if capture.prepared is None else prepared.intersection(capture.prepared)
    return replace(capture, writers=(), prepared=tuple(sorted(listed))) if listed else capture.with_proof()


def _writers(
    connection: psycopg.Connection, spec: TableSpec, cursor: CursorColumn, facts: Allocation, application: str
) -> list[str]:
    if cursor.kind == "integer":
        rows = connection.execute(_TABLE_WRITERS, ([*facts.relations, *facts.sequences],))
    else:
        select_only = connection.execute(_SELECT_ONLY, (list(facts.relations),)).fetchone()
        rows = connection.execute(
            _ALL_WRITERS,
            {
                "select_only": bool(select_only and select_only[0]),
                "application": application,
                "ignore": list(spec.ignore_roles),
            },
        )
    return sorted(row[0] for row in rows)


def _last_value(connection: psycopg.Connection, facts: Allocation) -> Mark | None:
    """The last id that the sequence handed out; None where the role may not see it."""
    row = connection.execute(
        "SELECT max(s.last_value) FROM pg_sequences s JOIN pg_class c ON c.relname = s.sequencename"
        " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname WHERE c.oid::int8 = ANY(%s)",
        (list(facts.sequences),),
    ).fetchone()
    return (row[0],) if row and row[0] is not None else None


def _cap_at(
    allocated: Mark | None, connection: psycopg.Connection, table: str, column: str, ceiling: Mark
) -> tuple[Mark, Mark | None]:
    """Rule 5: a sentinel id far above the rest must not become the ceiling; it is read beside the window."""
    if allocated is None or not is_below(allocated, ceiling):
        return ceiling, None
    name, last = sql.Identifier(column), sql.Literal(allocated[0])
    above = connection.execute(
        sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} > {} LIMIT {}) AS above").format(
            relation(table), name, last, sql.Literal(SENTINELS_MOST + 1)
        )
    ).fetchone()
    below = connection.execute(
        sql.SQL("SELECT max({}) FROM {} WHERE {} <= {}").format(name, relation(table), name, last)
    ).fetchone()
    if not above or above[0] > SENTINELS_MOST or not below or below[0] is None:
        return ceiling, None
    return (below[0],), ceiling
