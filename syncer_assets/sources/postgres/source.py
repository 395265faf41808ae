"""A PostgreSQL database as a source: control queries by psycopg, rows by our own parser of its binary COPY."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from threading import RLock

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.pq import TransactionStatus

from ...drivers import postgres as pg
from ...drivers import postgres_rows
from ...drivers.answering import Session
from ...model.capture import Capture, Protection, ServerIdentity
from ...model.columns import Column
from ...model.errors import AttemptVoid, DbError
from ...model.keys import Buckets, Keys
from ...model.marks import CursorColumn, Scalar
from ...model.report import CheckResult
from ...model.table import TableSpec
from .. import guard
from ..advice import POSTGRES
from ..arrow import arrow_schema
from ..base import QueryPlan, Read, TableFacts
from . import catalogue, checksum, doctor, explain, proof, query

APPLICATION = "syncer_assets source"
"""Not the name of a warehouse's sessions: those write, and may write into the database that is read here."""

BATCH_ROWS = 65_536

SESSION = {
    "default_transaction_read_only": "on",
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "3600000",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "600000",
    "jit": "off",
    "row_security": "off",
    "answer_seconds": "3900",
}
"""Session defaults of every connection to a source (milliseconds where a number): read only, UTC, bounded.

With `row_security` off a policy that would hide rows from our role is an error, as in a dump. `answer_seconds` is ours:
a server that is silent for longer than a statement may run is gone."""

_SERVER = """
concat_ws('/', extract(epoch FROM pg_postmaster_start_time())::text, pg_is_in_recovery()::text,
          host(inet_server_addr()), inet_server_port())
"""
_IDENTITY = f"""
SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid, {_SERVER}
  FROM pg_database WHERE datname = current_database()
"""


class PostgresSource:
    """A source database. `settings` override the session defaults.

    Holds one control connection, and the sessions of reads that ended well for the next ones: reads may run in several
    threads, each in a session of its own.
    """

    engine = "postgres"
    advice = POSTGRES

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name, self._dsn = name, dsn
        self._settings = {**SESSION, **(settings or {})}
        self._control: Session | None = None
        self._idle: list[Session] = []
        self._lock = RLock()

    def identity(self) -> ServerIdentity:
        """The cluster and database (also after a failover), and the server that answers now."""
        with self._errors("connect"):
            [(database, server)] = self._connection.execute(_IDENTITY).fetchall()
            return ServerIdentity(f"postgres:{database}", server)

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

    def count_outside(self, table: str, column: str, prefixes: Sequence[str], where: str | None = None) -> int:
        """Rows whose column starts with none of the prefixes, NULL included."""
        name = sql.Identifier(column)
        listed = sql.SQL(" OR ").join(
            sql.SQL("left({}::text, {}) = {}").format(name, sql.Literal(len(prefix)), sql.Literal(prefix))
            for prefix in prefixes
        )
        more = sql.SQL(f" AND {where}") if where else sql.SQL("")  # type: ignore[arg-type]  # of sync.condition
        statement = sql.SQL("SELECT count(*) FROM {} WHERE ({}) IS NOT TRUE{}")
        statement = statement.format(query.relation(table), listed, more)
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
        with self._session(read.table) as session:
            with self._errors("read", read.table), session.cursor() as cursor:
                cursor.execute(sql.SQL("BEGIN; SELECT {}; {}").format(sql.SQL(_SERVER), query.nothing(read)))
                cursor.nextset()
                self._assert_server(cursor.fetchone(), server, read.table)
                cursor.nextset()
                kinds = self._kinds(cursor, read)
            yield from self._batches(session, read, kinds)

    def snapshot(self, read: Read) -> "PostgresSnapshot":
        """A whole-table read whose count comes from the same snapshot (REPEATABLE READ)."""
        return PostgresSnapshot(self, self._open(), read)

    def checksum(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
        where: str | None = None,
    ) -> dict[int, tuple[int, int]]:
        """Per key bucket: rows and the sum of row hashes."""
        with self._errors("read", table):
            return checksum.buckets(self._connection, table, columns, key, buckets, only, where)

    def key_rows(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets | Keys,
        beside: Sequence[Column] = (),
        where: str | None = None,
    ) -> pa.Table:
        """Keys and row hashes of some buckets, or of these keys."""
        with self._errors("read", table):
            return checksum.key_rows(self._connection, table, columns, key, rows, beside, where)

    def doctor(self) -> list[CheckResult]:
        """What stands in the way of reading."""
        with self._errors("connect"):
            return doctor.doctor(self._connection, self._settings)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            for connection in (self._control, *self._idle):
                if connection is not None:
                    connection.close()
            self._control, self._idle = None, []

    @property
    def _connection(self) -> Session:
        with self._lock:
            if self._control is None or self._control.closed or self._control.broken:
                self._control = self._open()
            return self._control

    def _open(self) -> Session:
        return pg.connect(self._dsn, who=f"source {self.name}", settings=self._settings, application_name=APPLICATION)

    @contextmanager
    def _session(self, table: str) -> Iterator[Session]:
        """A session for one read, which may leave it in a transaction. Kept for the next one if the read ends well.

        After an error none is kept, nor the control connection: what ended one session may have ended all.
        """
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or self._open()
        try:
            yield session
            with self._errors("read", table):
                session.rollback()
            with self._lock:
                self._idle.append(session)
        except BaseException as error:
            with self._lock:
                control = self._control if isinstance(error, DbError) and error.retryable else None
                if control is not None and control.pgconn.transaction_status != TransactionStatus.ACTIVE:
                    control.close()
                for one in (session, *self._idle):
                    one.close()
                self._idle = []
            raise

    def _errors(self, phase: pg.Phase, table: str | None = None):  # a context manager of the adapter
        return pg.errors(phase, who=f"source {self.name}", dsn=self._dsn, table=table)

    def _assert_server(self, found: tuple | None, server: str | None, table: str) -> None:
        if server is not None and found is not None and found[0] != server:
            self.close()  # or the next attempt would ask the server of before what to read
            raise AttemptVoid(
                "another server answers than the one the ceiling was read from (failover, or a restart)",
                table=table,
                fix="none needed: this attempt is thrown away and the next one starts from the last manifest",
            )

    def _kinds(self, cursor: psycopg.Cursor, read: Read) -> tuple[postgres_rows.Kind, ...]:
        schema = arrow_schema(column.column for column in read.columns)
        return postgres_rows.kinds_of(cursor.description or [], schema, read.table)

    def _batches(self, session: Session, read: Read, kinds: tuple[postgres_rows.Kind, ...]) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(column.column for column in read.columns)
        text, who = query.select(read), f"source {self.name}"
        stream = postgres_rows.read(session, text, kinds, schema, who=who, table=read.table, batch_rows=BATCH_ROWS)
        with closing(stream):
            for batch, findings in stream:
                guard.check(read, findings)
                yield batch


class PostgresSnapshot:
    """One REPEATABLE READ transaction: the count first, then the rows."""

    def __init__(self, source: PostgresSource, session: Session, read: Read):
        self._source, self._session, self._read = source, session, read
        try:
            with source._errors("read", read.table), session.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                row = cursor.execute(query.count(read)).fetchone()
                self.rows = int(row[0]) if row else 0
                self._kinds = source._kinds(cursor.execute(query.nothing(read)), read)
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of the snapshot."""
        yield from self._source._batches(self._session, self._read, self._kinds)

    def close(self) -> None:
        """End the transaction."""
        self._session.close()
