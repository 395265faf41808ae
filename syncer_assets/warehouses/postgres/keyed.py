"""Keyed updates of a PostgreSQL table: which columns fit, and the ledger of batches (`_syncer.batches`)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files

import psycopg
from psycopg import sql

from ...model.columns import Column
from ...model.errors import ConfigError, LostRace, SchemaChanged
from ...model.keyed_update import Batch, KeyedUpdateSpec, Prefix, Slice
from ...model.table import Target
from ..keyed import Cycle, Position, UpdateColumns
from . import catalog, names, types
from .keyed_write import Destination, PostgresKeyedWriter
from .ledger import LOCK_KEY
from .session import Sessions

TABLES_SQL = (files("syncer_assets.warehouses.postgres") / "keyed.sql").read_text(encoding="utf-8")

TAKE_SQL = """
INSERT INTO _syncer.batch_cycles AS c (target_name, job, partition_key, epoch, run_id) VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (target_name, job, partition_key) DO UPDATE SET epoch = c.epoch + 1, run_id = excluded.run_id
RETURNING epoch, cycle, fingerprint, window_since, window_until, changed_after, window_before, next_mark,
    rows_without_prefix, mark, mark_until, began_at IS NOT NULL AND finished_at IS NULL
"""

BATCHES_SQL = """
SELECT number, prefixes, lengths, sizes, done_at IS NOT NULL FROM _syncer.batches
WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND cycle = $4 ORDER BY number
"""

BEGIN_SQL = """
UPDATE _syncer.batch_cycles SET cycle = $4, fingerprint = $5, window_since = $6, window_until = $7, changed_after = $8,
    window_before = $9, next_mark = $10, rows_without_prefix = $11, began_at = now(), finished_at = NULL,
    mark = CASE WHEN $8::timestamptz IS NOT NULL THEN mark END,
    mark_until = CASE WHEN $8::timestamptz IS NOT NULL THEN mark_until END
WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND epoch = $12
"""

PLAN_SQL = """
INSERT INTO _syncer.batches (target_name, job, partition_key, number, cycle, fingerprint, prefixes, lengths, sizes,
    window_since, window_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""

FINISH_SQL = """
WITH b AS (
    SELECT count(*) FILTER (WHERE done_at IS NULL) AS left_over, coalesce(sum(target_rows_updated), 0) AS changed
    FROM _syncer.batches WHERE target_name = $1 AND job = $2 AND partition_key = $3
)
UPDATE _syncer.batch_cycles c SET finished_at = now(), mark = next_mark, mark_until = window_until,
    rows_since_analyze = rows_since_analyze + CASE WHEN finished_at IS NULL THEN b.changed ELSE 0 END
FROM b WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND epoch = $4 AND b.left_over = 0
"""

GUARDED_SQL = """
SELECT bool_or(c.relhasrules OR c.relrowsecurity OR EXISTS (
    SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    AND t.tgtype & 2 = 2 AND t.tgtype & 16 = 16))
FROM pg_class c WHERE c.oid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
"""
"""Whether a rule, a policy or a BEFORE trigger of the table or of a partition may swallow or change an UPDATE."""

KEY_INDEX_SQL = """
SELECT EXISTS (
    SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND a.attname = ANY ($2::text[]))
"""

CHANGED_SQL = """
SELECT greatest(c.reltuples, pg_stat_get_live_tuples(c.oid))::float8,
    (SELECT sum(rows_since_analyze) FROM _syncer.batch_cycles WHERE target_name = $2)
FROM pg_class c WHERE c.oid = $1
"""
"""The server's own count of changes lags behind the sessions that made them."""


class PostgresKeyedTarget:
    """The `KeyedTarget` of one partition. Small questions share one session; each writer has its own."""

    def __init__(self, sessions: Sessions, target: Target, job: str, partition: str):
        self._sessions, self._target, self._job, self._partition = sessions, target, job, partition
        self._control: psycopg.Connection | None = None
        self._destination: Destination | None = None

    def prepare(self, spec: KeyedUpdateSpec, columns: Sequence[Column]) -> UpdateColumns:
        with self._errors():
            oid = catalog.table_oid(self._session, self._target)
            if oid is None or catalog.table_kind(self._session, self._target) not in ("r", "p"):
                raise ConfigError(
                    "there is no such table in the warehouse, or it is a view",
                    table=self._target.name,
                    fix="create it: a keyed update changes rows, and makes none",
                )
            present = {column.name: column.type for column in catalog.columns(self._session, oid)}
            found = _matched(self._target, spec, {column.name: column for column in columns}, present)
            for name in found.targets:
                _check_type(self._target, found.columns[name], name, present[name])
            row = self._session.execute(GUARDED_SQL, (oid,)).fetchone()
        self._destination = Destination(self._target, oid, found, found.types, is_guarded=bool(row and row[0]))
        return found

    def take(self, run_id: str) -> Position:
        with self._errors():
            self._create()
            row = self._session.execute(TAKE_SQL, (*self._place, run_id)).fetchone()
            assert row is not None
            epoch, number, fingerprint, since, until, after, before, mark, without, last, last_until, is_open = row
            if not is_open:
                return Position(epoch, fingerprint, None, last, last_until)
            batches, done = [], set()
            for n, prefixes, lengths, sizes, is_done in self._session.execute(BATCHES_SQL, (*self._place, number)):
                batches.append(Batch(n, tuple(map(Prefix, prefixes, lengths, sizes))))
                done |= {n} if is_done else set()
        rows = Slice(since, until, after, before)
        cycle = Cycle(number, epoch, rows, tuple(batches), frozenset(done), mark, without)
        return Position(epoch, fingerprint, cycle, last, last_until)

    def begin(self, cycle: Cycle, fingerprint: str) -> None:
        rows = cycle.rows
        with self._errors(), self._session.transaction():
            moved = self._session.execute(
                BEGIN_SQL,
                (
                    *(*self._place, cycle.number, fingerprint, rows.since, rows.until, rows.changed_after),
                    *(rows.window_before, cycle.mark, cycle.rows_without_prefix, cycle.epoch),
                ),
            ).rowcount
            if moved != 1:
                raise taken_over(self._target, self._partition)
            self._session.execute(
                "DELETE FROM _syncer.batches WHERE target_name = $1 AND job = $2 AND partition_key = $3", self._place
            )
            with self._session.cursor() as cursor:
                cursor.executemany(PLAN_SQL, [self._planned(cycle, batch, fingerprint) for batch in cycle.batches])

    def finish(self, cycle: Cycle) -> None:
        with self._errors():
            if self._session.execute(FINISH_SQL, (*self._place, cycle.epoch)).rowcount != 1:
                raise taken_over(self._target, self._partition)

    @contextmanager
    def writer(self) -> Iterator[PostgresKeyedWriter]:
        assert self._destination is not None, "prepare comes first"
        writer = PostgresKeyedWriter(self._sessions, self._destination, self._job, self._partition)
        try:
            yield writer
        finally:
            writer.close()

    def key_index(self) -> bool:
        assert self._destination is not None, "prepare comes first"
        with self._errors():
            found = self._destination
            row = self._session.execute(KEY_INDEX_SQL, (found.oid, list(found.columns.key))).fetchone()
            return bool(row and row[0])

    def analyze_if(self, above: float) -> bool:
        assert self._destination is not None, "prepare comes first"
        with self._errors():
            row = self._session.execute(CHANGED_SQL, (self._destination.oid, self._target.name)).fetchone()
            rows, changed = row or (0.0, 0)
            if float(changed or 0) <= above * max(rows, 1.0):
                return False
            self._session.execute(sql.SQL("ANALYZE {}").format(names.table(self._target)))
            self._session.execute(
                "UPDATE _syncer.batch_cycles SET rows_since_analyze = 0 WHERE target_name = $1", (self._target.name,)
            )
            return True

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    @property
    def _session(self) -> psycopg.Connection:
        if self._control is None or self._control.closed or self._control.broken:
            self._control = self._sessions.open()
        return self._control

    @property
    def _place(self) -> tuple[str, str, str]:
        return self._target.name, self._job, self._partition

    def _errors(self):  # a context manager of the sessions
        return self._sessions.errors("load", self._target.name, self._partition)

    def _create(self) -> None:
        row = self._session.execute("SELECT to_regclass('_syncer.batches') IS NOT NULL").fetchone()
        if not (row and row[0]):
            catalog.create_schema(self._session, "_syncer")
            with self._session.transaction():
                self._session.execute("SELECT pg_advisory_xact_lock($1)", (LOCK_KEY,))
                self._session.execute(TABLES_SQL.encode())

    def _planned(self, cycle: Cycle, batch: Batch, fingerprint: str) -> tuple:
        return (
            *(*self._place, batch.number, cycle.number, fingerprint),
            [prefix.text for prefix in batch.prefixes],
            [prefix.length for prefix in batch.prefixes],
            [prefix.rows for prefix in batch.prefixes],
            *(cycle.rows.since, cycle.rows.until),
        )


def taken_over(target: Target, partition: str) -> LostRace:
    """Another run has the partition."""
    return LostRace("another run took this keyed update over", table=target.name, partition=partition)


def _matched(
    target: Target, spec: KeyedUpdateSpec, source: Mapping[str, Column], present: Mapping[str, str]
) -> UpdateColumns:
    """Declared columns by their names; else all that both sides have, whatever the case of their letters is."""
    by_folded = {name.lower(): name for name in present}
    if spec.columns is None:
        _refuse_alike(target, source, present)
    key = {_known(target, present, name, "key"): column for name, column in spec.key.items()}
    if spec.columns is None:
        shared = {by_folded[name.lower()]: name for name in source if name.lower() in by_folded}
        left_out = {*key, *names.RESERVED}
        data = {name: column for name, column in shared.items() if name not in left_out and column not in key.values()}
    else:
        data = {_known(target, present, name, "columns"): column for name, column in spec.columns.items()}
    if not data:
        raise ConfigError(
            "no column is left to update", table=target.name, fix="name them in `columns`, as target: source"
        )
    if both := sorted(key.keys() & data.keys()):
        raise ConfigError(
            f"`columns` names the key column {both[0]!r}", table=target.name, fix="remove it: keys are not updated"
        )
    columns = {name: source[column] for name, column in {**key, **data}.items()}
    return UpdateColumns(tuple(key), tuple(data), columns, {name: present[name] for name in columns})


def _refuse_alike(target: Target, source: Mapping[str, Column], present: Mapping[str, str]) -> None:
    """Raises ConfigError where one name on a side is two on the other: which of them is meant cannot be told."""
    here, there = (Counter(name.lower() for name in side) for side in (present, source))
    for name in sorted(here.keys() & there.keys()):
        if max(here[name], there[name]) > 1:
            raise ConfigError(
                f"columns called {name!r} differ in small and capital letters only, here or at the source",
                table=target.name,
                fix="name the columns in `columns`, as target: source",
            )


def _known(target: Target, present: Mapping[str, str], name: str, field: str) -> str:
    if name not in present:
        near = [each for each in present if each.lower() == name.lower()]
        raise ConfigError(
            f"`{field}` names the column {name!r}, which the table does not have",
            table=target.name,
            fix=f"did you mean {near[0]}?" if near else "correct it, or add the column",
        )
    return name


def _check_type(target: Target, column: Column, name: str, there: str) -> None:
    wanted = types.natural_type(column.type, column.name, target.name)
    if not types.holds(there, wanted) and not _fails_loudly(there, wanted):
        raise SchemaChanged(
            f"column {name!r} is {there} in the warehouse, which may not hold every {wanted} ({column.source_type}) of"
            " the source",
            table=target.name,
            fix=f"ALTER TABLE .. ALTER COLUMN .. TYPE {wanted}, or cast the column in a `query`",
        )


def _fails_loudly(there: str, wanted: str) -> bool:
    """Whether a value that `there` cannot hold is an error of the server, and never another value."""
    into, of = types.parse(there), types.parse(wanted)
    if into is None or of is None or into.dims:
        return False
    if of.base == "text":
        return into.base in types.PORTABLE or into.base.startswith(("timestamp", "time"))
    if of.base == "numeric":
        scale = of.args[1] if of.args else None
        if into.base in types.INTEGERS:
            return scale == 0
        return into.base == "numeric" and (not into.args or (scale is not None and into.args[1] >= scale))
    if of.base in types.INTEGERS:
        return into.base in types.INTEGERS or (into.base == "numeric" and (not into.args or into.args[1] >= 0))
    return of.base == "date" and into.base.startswith("timestamp")
