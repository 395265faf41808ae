"""One batch of a keyed update: COPY to a temporary table, one UPDATE of the rows that differ, the ledger, COMMIT."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import LiteralString

import psycopg
import pyarrow as pa
from psycopg import sql

from ...model.errors import AssertionFailed, DbError, LostRace, SchemaChanged
from ...model.keyed_update import Batch, BatchCounts
from ...model.table import Target
from ..keyed import Cycle, UpdateColumns
from . import catalog, encode, names, types
from .schema import spelt
from .session import Sessions, commit, transaction

STAGE = sql.Identifier("pg_temp", "_syncer_batch")
SLICE_ROWS = 16_384

FENCE_SQL = """
SELECT 1 FROM _syncer.batch_cycles WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND epoch = $4 FOR SHARE
"""

STAGE_SQL = "CREATE TEMP TABLE _syncer_batch ({definitions})"
TRUNCATE_SQL = "TRUNCATE {stage}"
COPY_SQL = "COPY {stage} ({columns}) FROM STDIN (FORMAT binary)"
ANALYZE_SQL = "ANALYZE {stage} ({key})"

DUPLICATES_SQL = """
SELECT count(*) FROM (SELECT FROM {staged} s WHERE {filled} GROUP BY {key} HAVING count(*) > 1) d
"""
"""By the table's types: texts `1` and `01` are one integer."""

UPDATE_SQL = """
WITH pairs AS MATERIALIZED (
    SELECT s.place, t.tableoid AS part, t.ctid AS spot, {changed} AS differs
    FROM {staged} AS s JOIN {table} AS t ON {same_key}
), updated AS (
    UPDATE {table} AS t SET {assignments} FROM pairs JOIN {staged} AS s ON s.place = pairs.place
    WHERE pairs.differs AND t.ctid = pairs.spot AND t.tableoid = pairs.part AND {same_key} RETURNING s.place
)
SELECT (SELECT count(*) FROM updated), (SELECT count(DISTINCT place) FROM updated),
    (SELECT count(DISTINCT place) FROM pairs)
"""
"""Both parts see one snapshot, and keys are looked up once: the rows that differ are found again by their place."""

LEFT_SQL = "SELECT count(*) FROM {staged} AS s JOIN {table} AS t ON {same_key} WHERE {changed}"

EXACT = frozenset({"boolean", *types.INTEGERS, "date", "bytea", "uuid"})
"""Types of which equal values are the same. Not so numbers without a scale (1.0, 1.00), floats (0, -0), intervals."""

DONE_SQL = """
UPDATE _syncer.batches SET rows_fetched = $6, rows_updated = $7, rows_unchanged = $8, rows_unmatched = $9,
    target_rows_updated = $10, seconds = $11, done_at = now(),
    run_id = (SELECT run_id FROM _syncer.batch_cycles WHERE target_name = $1 AND job = $2 AND partition_key = $3)
WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND number = $4 AND cycle = $5 AND done_at IS NULL
"""

WAS_DONE_SQL = """
SELECT rows_fetched, rows_updated, rows_unchanged, rows_unmatched, target_rows_updated FROM _syncer.batches
WHERE target_name = $1 AND job = $2 AND partition_key = $3 AND number = $4 AND cycle = $5 AND done_at IS NOT NULL
"""


@dataclass(frozen=True)
class Destination:
    """The table, the columns that are matched and updated, and the types that they have there."""

    target: Target
    oid: int
    columns: UpdateColumns
    types: Mapping[str, str]
    is_guarded: bool

    @cached_property
    def wires(self) -> tuple[encode.Wire, ...]:
        """How each column travels: a whole number that comes as a decimal goes as what the table has."""
        return tuple(
            encode.wire(name, kind, self.types[name])
            for name, kind in zip(self.columns.targets, self.kinds, strict=True)
        )

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The Arrow type by which each column is staged."""
        return tuple(map(self._kind, self.columns.targets))

    @cached_property
    def statements(self) -> Mapping[str, bytes]:
        """A batch's statements by their constants above: to compose them anew would take as long as a small batch."""
        parts: dict[str, sql.Composable] = {
            "table": names.table(self.target),
            "stage": STAGE,
            "staged": self._staged,
            "definitions": sql.SQL(", ").join(
                sql.SQL("{} {}").format(names.column(way.name), spelt(way.type)) for way in self.wires
            ),
            "columns": names.columns(self.columns.targets),
            "key": names.columns(self.columns.key),
            "filled": sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(names.column(key)) for key in self.columns.key
            ),
            "same_key": names.equal(self.columns.key, "s", "t"),
            "assignments": sql.SQL(", ").join(
                sql.SQL("{0} = s.{0}").format(names.column(name)) for name in self.columns.data
            ),
            "changed": self._differs,
        }
        known = (STAGE_SQL, TRUNCATE_SQL, COPY_SQL, ANALYZE_SQL, DUPLICATES_SQL, UPDATE_SQL, LEFT_SQL)
        return {query: sql.SQL(query).format(**parts).as_bytes(None) for query in known}

    @property
    def _staged(self) -> sql.Composed:
        """The staged rows in the target's types, and the place of each."""
        shown = [
            sql.SQL("{0}::{1} AS {0}").format(names.column(way.name), spelt(way.target))
            if way.cast
            else names.column(way.name)
            for way in self.wires
        ]
        return sql.SQL("(SELECT {}, ctid AS place FROM {})").format(sql.SQL(", ").join(shown), STAGE)

    @property
    def _differs(self) -> sql.Composed:
        """Whether a row's columns are not as staged: exact for every type, and NULL equals NULL.

        By their binary image (two rows to build for each that is compared) only where equal values may differ.
        """
        compared: dict[str, LiteralString | None] = {name: _compared(self.types[name]) for name in self.columns.data}
        parts = [
            sql.SQL(how).format(names.column(name, "s"), names.column(name, "t"))
            for name, how in compared.items()
            if how is not None
        ]
        if inexact := [name for name, how in compared.items() if how is None]:
            staged, there = (sql.SQL("ROW({})::record").format(names.columns(inexact, side)) for side in "st")
            parts.append(sql.SQL("{} *<> {}").format(staged, there))
        return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))

    def _kind(self, name: str) -> str:
        column = self.columns.columns[name]
        kind = types.parse(self.types[name])
        whole = column.type.startswith("decimal") and column.type.endswith(", 0)")
        return "int64" if whole and kind and kind.base in types.INTEGERS else column.type


class PostgresKeyedWriter:
    """One worker's session. A batch that fails leaves nothing of it; the session is opened anew where it is spoilt."""

    def __init__(self, sessions: Sessions, destination: Destination, job: str, partition: str):
        self._sessions, self._to, self._job, self._partition = sessions, destination, job, partition
        self._connection: psycopg.Connection | None = None

    def write(self, cycle: Cycle, batch: Batch, rows: Iterator[pa.RecordBatch]) -> BatchCounts:
        started = time.monotonic()
        table = self._to.target.name
        try:
            with self._sessions.errors("load", table, self._partition):
                fetched = self._stage(batch, rows)
                self._refuse_duplicates(batch)
            return self._update(cycle, batch, fetched, started)
        except BaseException:
            self.close()  # and with it the temporary table, the COPY, and the transaction
            raise

    def was_done(self, cycle: Cycle, batch: Batch) -> BatchCounts | None:
        """What the ledger says of a batch whose COMMIT got no answer; None where it did not take effect."""
        with self._sessions.errors("load", self._to.target.name, self._partition):
            row = self._session.execute(WAS_DONE_SQL, (*self._place, batch.number, cycle.number)).fetchone()
        return BatchCounts(*row) if row else None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _stage(self, batch: Batch, rows: Iterator[pa.RecordBatch]) -> int:
        connection = self._session
        connection.execute(self._sql(TRUNCATE_SQL))
        encoder = encode.encoder(self._to.wires)
        fetched = 0
        try:
            with connection.cursor() as cursor:
                with cursor.copy(self._sql(COPY_SQL)) as copy:
                    copy.write(encoder.write_header())
                    for part in rows:
                        fetched += part.num_rows
                        for start in range(0, part.num_rows, SLICE_ROWS):
                            copy.write(encoder.write_batch(self._converted(part.slice(start, SLICE_ROWS))))
                    copy.write(encoder.finish())
                copied = cursor.rowcount
        except psycopg.DataError as error:
            raise self._bad_value(error) from None
        if copied != fetched:
            raise AssertionFailed(
                f"{copied} of {fetched} fetched rows were staged in batch {batch.number}",
                table=self._to.target.name,
                partition=self._partition,
            )
        connection.execute(self._sql(ANALYZE_SQL))
        return fetched

    def _converted(self, part: pa.RecordBatch) -> pa.RecordBatch:
        arrays = []
        for number, (way, kind) in enumerate(zip(self._to.wires, self._to.kinds, strict=True)):
            array = part.column(number)
            try:
                if kind == "int64" and pa.types.is_decimal(array.type):
                    array = array.cast(pa.int64())
                arrays.append(way.convert(array))
            except (pa.ArrowException, ValueError):  # their texts hold values
                raise SchemaChanged(
                    f"a value of column {way.name!r} does not fit its type in the warehouse ({way.target})",
                    table=self._to.target.name,
                    partition=self._partition,
                    fix="widen the column",
                ) from None
        return pa.RecordBatch.from_arrays(arrays, schema=encode.arrow_schema(self._to.wires))

    def _refuse_duplicates(self, batch: Batch) -> None:
        try:
            row = self._session.execute(self._sql(DUPLICATES_SQL)).fetchone()
        except psycopg.DataError as error:
            raise self._bad_value(error) from None
        if row and row[0]:
            raise AssertionFailed(
                f"{row[0]} keys ({', '.join(self._to.columns.key)}) have several rows in the source, in batch"
                f" {batch.number}: which of them is right cannot be told",
                table=self._to.target.name,
                partition=self._partition,
                fix="choose one row a key in a `query`, or name a key that is unique",
            )

    def _update(self, cycle: Cycle, batch: Batch, fetched: int, started: float) -> BatchCounts:
        connection, table = self._session, self._to.target.name
        with transaction(connection):
            with self._sessions.errors("load", table, self._partition):
                self._fence(cycle)
                if not catalog.is_as_seen(connection, self._to.target, self._to.oid):
                    raise self._rewritten()
                try:
                    row = connection.execute(self._sql(UPDATE_SQL)).fetchone()
                except psycopg.DataError as error:
                    raise self._bad_value(error) from None
                assert row is not None
                target_rows, updated, matched = row
                counts = BatchCounts(fetched, updated, matched - updated, fetched - matched, target_rows)
                self._verify(counts)
                done = connection.execute(
                    DONE_SQL,
                    (
                        *(*self._place, batch.number, cycle.number, counts.fetched, counts.updated),
                        *(counts.unchanged, counts.unmatched, counts.target_rows, time.monotonic() - started),
                    ),
                ).rowcount
                if done != 1:
                    raise self._taken_over()
            with self._sessions.errors("commit", table, self._partition):
                commit(connection)
        return counts

    def _fence(self, cycle: Cycle) -> None:
        try:
            if connection_row(self._session, FENCE_SQL, (*self._place, cycle.epoch)):
                return
        except psycopg.errors.SerializationFailure:
            pass
        raise self._taken_over()

    def _verify(self, counts: BatchCounts) -> None:
        """Where a trigger, rule or policy may have swallowed an UPDATE: every matched row is as the source has it."""
        if counts.unchanged < 0 or (
            self._to.is_guarded and connection_row(self._session, self._sql(LEFT_SQL), ()) not in (None, (0,))
        ):
            raise AssertionFailed(
                "matched rows are not as the source has them after the UPDATE",
                table=self._to.target.name,
                partition=self._partition,
                fix="look for a trigger, rule or policy on the table that drops or changes rows, and disable it",
            )

    def _rewritten(self) -> DbError:
        return DbError(
            "somebody rewrote the table meanwhile",
            code="40001",
            phase="load",
            failure="retry_transaction",
            table=self._to.target.name,
            partition=self._partition,
        )

    def _taken_over(self) -> LostRace:
        return LostRace(
            "another run took this keyed update over", table=self._to.target.name, partition=self._partition
        )

    def _bad_value(self, error: psycopg.Error) -> DbError:
        """The context of a binary COPY names the column; only names that we know are told."""
        lines = [line for line in (error.diag.context or "").splitlines() if line.startswith("COPY ")]
        way = next((w for w in self._to.wires if any(line.endswith(f", column {w.name}") for line in lines)), None)
        casts = [w.name for w in self._to.wires if w.cast]
        what = f"column {way.name!r} ({way.target})" if way else f"one of {', '.join(casts)}" if casts else "a column"
        return DbError(
            f"a value of {what} does not fit: {type(error).__name__} ({error.sqlstate})",
            code=error.sqlstate,
            phase="load",
            table=self._to.target.name,
            partition=self._partition,
            fix="widen the warehouse column, or cast it in a `query`",
        )

    @property
    def _session(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = self._sessions.open()
            with self._sessions.errors("load", self._to.target.name, self._partition):
                self._connection.execute("SET default_statistics_target = 10")  # of the staged keys: a count is enough
                self._connection.execute(self._sql(STAGE_SQL))
        return self._connection

    @property
    def _place(self) -> tuple[str, str, str]:
        return self._to.target.name, self._job, self._partition

    def _sql(self, query: str) -> bytes:
        return self._to.statements[query]


def connection_row(connection: psycopg.Connection, query: str | bytes, values: tuple) -> tuple | None:
    """The first row of an answer."""
    return connection.execute(query if isinstance(query, bytes) else query.encode(), values).fetchone()


def _compared(there: str) -> LiteralString | None:
    """How two values of this type are compared; None where only their image tells. Bytes of texts, in any collation."""
    kind = types.parse(there)
    if kind is None or kind.dims:
        return None
    if kind.base in ("text", "character varying"):
        return '{} COLLATE "C" IS DISTINCT FROM {} COLLATE "C"'
    is_exact = kind.base in EXACT or kind.base.startswith("timestamp") or (kind.base == "numeric" and kind.args)
    return "{} IS DISTINCT FROM {}" if is_exact else None
