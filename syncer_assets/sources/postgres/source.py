"""A PostgreSQL database as a source: control queries by psycopg, rows by DuckDB's binary reader."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from threading import RLock

import duckdb
import psycopg
import pyarrow as pa
from psycopg import sql

from ...drivers import duckdb as duck
from ...drivers import postgres as pg
from ...model.capture import Capture, Protection, ServerIdentity
from ...model.columns import Column
from ...model.errors import AttemptVoid, DbError
from ...model.marks import CursorColumn, Scalar
from ...model.report import CheckResult
from ...model.table import TableSpec
from ..advice import POSTGRES
from ..arrow import apply, arrow_schema
from ..base import QueryPlan, Read, TableFacts, refused_by_guard
from . import catalogue, checksum, doctor, explain, proof, query

APPLICATION = "syncer_assets source"
"""Not the name of a warehouse's sessions: those write, and may write into the database that is read here."""

BATCH_ROWS = 65_536

SESSION = {
    "default_transaction_read_only": "on",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "3600000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "600000",
    "jit": "off",
}
"""Session defaults of every connection to a source (milliseconds where a number): read only, UTC, bounded."""

_SERVER = """
SELECT concat_ws('/', extract(epoch FROM pg_postmaster_start_time())::text, pg_is_in_recovery()::text,
                 host(inet_server_addr()), inet_server_port()) AS server
"""
_DATABASE = """
SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid
  FROM pg_database WHERE datname = current_database()
"""


class PostgresSource:
    """A source database. `settings` override the session defaults. Holds one control connection and one reader."""

    engine = "postgres"
    advice = POSTGRES

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name, self._dsn = name, dsn
        self._settings = {**SESSION, **(settings or {})}
        self._control: psycopg.Connection | None = None
        self._duck: duckdb.DuckDBPyConnection | None = None
        self._lock = RLock()

    def identity(self) -> ServerIdentity:
        """The cluster and database (also after a failover), and the server that answers now."""
        with self._errors("connect"):
            database = pg.scalar(self._connection, _DATABASE)
            return ServerIdentity(f"postgres:{database}", str(pg.scalar(self._connection, _SERVER)))

    def describe(self, table: str) -> TableFacts:
        """The catalogue's facts of a table."""
        with self._errors("read", table):
            return catalogue.describe(self._connection, table)

    def tables(self) -> Sequence[str]:
        """Every ordinary table."""
        with self._errors("read"):
            return catalogue.tables(self._connection)

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        """How late commits are ruled out for the cursor of `spec`."""
        with self._errors("read", spec.table):
            return proof.protection(order[0], proof.allocation(self._connection, spec.table, order[0].name))

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        """The ceiling, and the writers that could still commit below it."""
        server = self.identity().server
        with self._errors("read", spec.table):
            return proof.capture(self._connection, spec, order, server, APPLICATION)

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        """The captures that still count, proven where their writers have ended."""
        server = self.identity().server
        with self._errors("read", spec.table):
            return proof.judge(self._connection, spec, order[0], captures, server, APPLICATION)

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        """The source's time in UTC; on a replica the applied position."""
        with self._errors("read", table):
            if cursor is None:
                return pg.scalar(self._connection, "SELECT clock_timestamp()")  # type: ignore[return-value]  # timestamptz
            return proof.source_time(self._connection, proof.allocation(self._connection, table, cursor))

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        """The largest finite cursor value, an id far above its sequence left out."""
        with self._errors("read", table):
            mark = proof.highest_drawn(self._connection, table, cursor)
            return mark[0] if mark else None

    def count(self, read: Read) -> int:
        """How many rows `read` would bring."""
        with self._errors("read", read.table):
            row = self._connection.execute(query.count(read)).fetchone()
            return int(row[0]) if row else 0

    def lowest(self, read: Read) -> Scalar | None:
        """The smallest value of the first order column among the rows that `read` would bring."""
        with self._errors("read", read.table):
            row = self._connection.execute(query.smallest(read)).fetchone()
            return row[0] if row else None

    def distinct_prefixes(self, table: str, column: str, length: int) -> list[str]:
        """The prefixes of a column that exist."""
        statement = sql.SQL("SELECT DISTINCT left({}::text, {}) FROM {} WHERE {} IS NOT NULL ORDER BY 1").format(
            sql.Identifier(column), sql.Literal(length), query.relation(table), sql.Identifier(column)
        )
        with self._errors("read", table):
            return [row[0] for row in self._connection.execute(statement)]

    def count_outside(self, table: str, column: str, prefixes: Sequence[str]) -> int:
        """Rows whose column starts with none of the prefixes, NULL included."""
        name = sql.Identifier(column)
        listed = sql.SQL(" OR ").join(
            sql.SQL("left({}::text, {}) = {}").format(name, sql.Literal(len(prefix)), sql.Literal(prefix))
            for prefix in prefixes
        )
        statement = sql.SQL("SELECT count(*) FROM {} WHERE ({}) IS NOT TRUE").format(query.relation(table), listed)
        with self._errors("read", table):
            row = self._connection.execute(statement).fetchone()
            return int(row[0]) if row else 0

    def sql(self, read: Read) -> str:
        """The statement of `read`."""
        with self._errors("read", read.table):
            return query.select(read).as_string(self._connection)

    def explain(self, read: Read) -> QueryPlan:
        """The server's plan of `read`. Nothing is read."""
        with self._errors("read", read.table):
            row = self._connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query.select(read)).fetchone()
            return explain.parse(row[0] if row else [])

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as they stream in. Raises AttemptVoid if another server than `server` answers."""
        text = self.sql(read)
        reader = self._reader.cursor()
        try:
            with duck.errors(self.name, table=read.table):
                reader.execute("BEGIN TRANSACTION")
                self._assert_server(reader, server, read.table)
                stream = reader.execute(duck.statement(text)).to_arrow_reader(BATCH_ROWS)
            yield from self._batches(stream, read)
        finally:
            duck.close(reader)

    def snapshot(self, read: Read) -> "PostgresSnapshot":
        """A whole-table read whose count comes from the same snapshot (REPEATABLE READ)."""
        return PostgresSnapshot(self, self._reader.cursor(), read, self.sql(read), self._counting(read))

    def checksum(
        self, table: str, columns: Sequence[Column], key: Sequence[str], buckets: int
    ) -> dict[int, tuple[int, int]]:
        """Per key bucket: rows and the sum of row hashes."""
        with self._errors("read", table):
            return checksum.buckets(self._connection, table, columns, key, buckets)

    def key_hashes(
        self, table: str, columns: Sequence[Column], key: Sequence[str], buckets: int, only: Sequence[int]
    ) -> dict[tuple[str, ...], int]:
        """The row hash of each key in the buckets `only`."""
        with self._errors("read", table):
            return checksum.key_hashes(self._connection, table, columns, key, buckets, only)

    def cursor_values(
        self, table: str, columns: Sequence[Column], key: Sequence[str], cursor: str, keys: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, ...], Scalar | None]:
        """The cursor value of rows by their key as text; keys that are gone are left out."""
        with self._errors("read", table):
            return checksum.cursors(self._connection, table, columns, key, cursor, keys)

    def doctor(self) -> list[CheckResult]:
        """What stands in the way of reading."""
        with self._errors("connect"):
            return doctor.doctor(self._connection)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._duck is not None:
                self._duck.close()
            if self._control is not None:
                self._control.close()
            self._control = self._duck = None

    @property
    def _connection(self) -> psycopg.Connection:
        with self._lock:
            if self._control is None or self._control.closed or self._control.broken:
                self._control = pg.connect(
                    self._dsn, who=f"source {self.name}", settings=self._settings, application_name=APPLICATION
                )
            return self._control

    @property
    def _reader(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._duck is None:
                self._connection  # noqa: B018  # its errors name the cause better than DuckDB's
                self._duck = duck.connect(pg.conninfo_for_duckdb(self._dsn, self._settings, APPLICATION))
            return self._duck

    def _errors(self, phase: pg.Phase, table: str | None = None):  # a context manager of the adapter
        return pg.errors(phase, who=f"source {self.name}", dsn=self._dsn, table=table)

    def _counting(self, read: Read) -> str:
        with self._errors("read", read.table):
            return query.count(read).as_string(self._connection)

    def _assert_server(self, reader: duckdb.DuckDBPyConnection, server: str | None, table: str) -> None:
        row = reader.execute(duck.statement(_SERVER)).fetchone()
        if server is not None and row is not None and row[0] != server:
            raise AttemptVoid(
                "another server answers than the one the ceiling was read from (failover, or a restart)",
                table=table,
                fix="none needed: this attempt is thrown away and the next one starts from the last manifest",
            )

    def _batches(self, stream: pa.RecordBatchReader, read: Read) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(column.column for column in read.columns)
        guarded = query.guard(read) is not None
        while True:
            with duck.errors(self.name, table=read.table):
                try:
                    batch = stream.read_next_batch()
                except StopIteration:
                    return
            if guarded:
                if apply("any", batch.column(batch.num_columns - 1)).as_py():
                    raise refused_by_guard(read)
                batch = batch.select(range(batch.num_columns - 1))
            yield pa.RecordBatch.from_arrays(
                [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=True)], schema=schema
            )


class PostgresSnapshot:
    """One REPEATABLE READ transaction: the count first, then the rows."""

    def __init__(self, source: PostgresSource, reader: duckdb.DuckDBPyConnection, read: Read, text: str, counting: str):
        self._source, self._reader, self._read, self._text = source, reader, read, text
        try:
            with duck.errors(source.name, table=read.table):
                reader.execute("BEGIN TRANSACTION")
                row = reader.execute(duck.statement(counting)).fetchone()
        except DbError:
            duck.close(reader)
            raise
        self.rows = int(row[0]) if row else 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of the snapshot."""
        with duck.errors(self._source.name, table=self._read.table):
            stream = self._reader.execute(duck.statement(self._text)).to_arrow_reader(BATCH_ROWS)
        yield from self._source._batches(stream, self._read)

    def close(self) -> None:
        """End the transaction."""
        duck.close(self._reader)
