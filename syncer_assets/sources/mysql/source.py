"""A MySQL or MariaDB database as a source: control queries by PyMySQL, rows by our own parser of its protocol."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from threading import RLock

import pyarrow as pa

from ...drivers import mysql, mysql_rows
from ...model.capture import Capture, Protection, ServerIdentity
from ...model.columns import Column
from ...model.errors import AttemptVoid, DbError
from ...model.keys import Buckets, Keys
from ...model.marks import CursorColumn, Scalar
from ...model.report import CheckResult
from ...model.table import TableSpec
from .. import guard
from ..advice import MYSQL
from ..arrow import arrow_schema
from ..base import QueryPlan, Read, TableFacts
from . import allocation, catalogue, checksum, doctor, explain, proof, query

BATCH_ROWS = 65_536

SESSION = {
    "time_zone": "+00:00",
    "sql_mode": "STRICT_ALL_TABLES",
    "sql_select_limit": "18446744073709551615",
    "sql_big_selects": "1",
    "max_statement_time": "3600",
    "lock_wait_timeout": "10",
    "net_write_timeout": "3600",
    "net_read_timeout": "600",
    "wait_timeout": "28800",
}
"""Session variables of every connection to a source (seconds where a number): no server default shows through.

A default `sql_select_limit` would cut each answer short without a word. `net_write_timeout` is how long the server
waits for us while the lake is slow.
"""

_SERVER = """
SELECT UNIX_TIMESTAMP(NOW()) - VARIABLE_VALUE, @@hostname, @@port, @@server_id, @@read_only, {uuid}
  FROM {status} WHERE VARIABLE_NAME = 'UPTIME'
"""
"""NOW() and UPTIME are both counted from the start of the statement, so that their difference never changes."""


class MySQLSource:
    """A source database. `settings` override the session variables.

    The data are named by `server_uuid` on MySQL, and on MariaDB, which has none, by host name, port and `server_id`. A
    failover changes both, which stops a sync until `syncer adopt`; where all servers behind the DSN hold the same data,
    the option `identity` names them instead. Holds one control connection; each read has a session of its own, so reads
    may run in several threads.
    """

    engine = "mysql"
    advice = MYSQL

    def __init__(self, name: str, dsn: str, settings: Mapping[str, str] | None = None):
        self.name, self._dsn = name, dsn
        self._settings = {**SESSION, **(settings or {})}
        self._identity = self._settings.pop("identity", None)
        self._control: mysql.Connection | None = None
        self._lock = RLock()

    def identity(self) -> ServerIdentity:
        """The data by the server that holds it (or by the option `identity`), and the process that answers now."""
        with self._errors("connect"), self._lock:
            return self._identity_of(self._connection)

    def describe(self, table: str) -> TableFacts:
        """The catalogue's facts of a table."""
        with self._errors("read", table), self._lock:
            return catalogue.describe(self._connection, table)

    def tables(self) -> Sequence[str]:
        """Every ordinary table."""
        with self._errors("read"), self._lock:
            return catalogue.tables(self._connection)

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        """How late commits are ruled out for the cursor of `spec`."""
        with self._errors("read", spec.table), self._lock:
            return allocation.protection(order[0], allocation.allocation(self._connection, spec.table, order[0].name))

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        """The ceiling, and the writers that could still commit below it."""
        server = self.identity().server
        with self._errors("read", spec.table), self._lock:
            return proof.capture(self._connection, self._open, spec, order, server)

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        """The captures that still count, proven where their writers have ended."""
        server = self.identity().server
        with self._errors("read", spec.table), self._lock:
            return proof.judge(self._connection, self._open, spec, order[0], captures, server)

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        """The source's time in UTC; on a replica the applied position."""
        with self._errors("read", table), self._lock:
            if cursor is None:
                return allocation.now(self._connection)
            return allocation.source_time(self._connection, allocation.allocation(self._connection, table, cursor))

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        """The largest cursor value, an id above AUTO_INCREMENT left out."""
        with self._errors("read", table), self._lock:
            mark = proof.highest_drawn(self._connection, table, cursor)
            return mark[0] if mark else None

    def count(self, read: Read) -> int:
        """How many rows `read` would bring."""
        return int(str(self._scalar(read.table, query.count(read))))

    def lowest(self, read: Read) -> Scalar | None:
        """The smallest value of the first order column among the rows that `read` would bring."""
        found = self._scalar(read.table, query.smallest(read))
        return None if found is None else proof.scalar_of(found, read.order[0], read.table)

    def distinct_prefixes(self, table: str, column: str, length: int) -> list[str]:
        """The prefixes of a column that exist."""
        found = query.prefix_of(column, length)
        statement = f"SELECT DISTINCT {found} FROM {query.relation(table)} AS t WHERE {query.name(column)} IS NOT NULL"
        with self._errors("read", table), self._lock:
            return sorted(prefix.decode() for (prefix,) in mysql.rows(self._connection, statement))

    def count_outside(self, table: str, column: str, prefixes: Sequence[str], where: str | None = None) -> int:
        """Rows whose column starts with none of the prefixes, NULL included."""
        listed = " OR ".join(query.starts_with(column, prefix) for prefix in prefixes)
        statement = f"SELECT COUNT(*) FROM {query.relation(table)} AS t WHERE ({listed}) IS NOT TRUE"
        statement += f" AND {where}" if where else ""
        return int(str(self._scalar(table, statement)))

    def sql(self, read: Read) -> str:
        """The statement of `read`."""
        with self._errors("read", read.table), self._lock:
            return self._select(read)

    def explain(self, read: Read) -> QueryPlan:
        """The server's plan of `read`. Nothing is read."""
        return explain.parse(str(self._scalar(read.table, f"EXPLAIN FORMAT=JSON {self.sql(read)}")))

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as they stream in. Raises AttemptVoid if another server than `server` answers."""
        session = self._open()
        with self._errors("read", read.table):
            self._assert_server(session, server, read.table)
        try:
            yield from self._batches(session, read)
        except DbError as error:
            if error.retryable and self._lock.acquire(blocking=False):  # what ended one session may have ended all
                self.close()
                self._lock.release()
            raise

    def snapshot(self, read: Read) -> "MySQLSnapshot":
        """A whole-table read whose count comes from the same transaction's view."""
        return MySQLSnapshot(self, self._open(), read)

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
        with self._errors("read", table), self._lock:
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
        return checksum.key_rows(self._open(), table, columns, key, rows, beside, where, who=f"source {self.name}")

    def doctor(self) -> list[CheckResult]:
        """What stands in the way of reading."""
        with self._errors("connect"), self._lock:
            return doctor.doctor(self._connection, self._settings)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._control is not None:
                mysql.discard(self._control)
            self._control = None

    @property
    def _connection(self) -> mysql.Connection:
        if self._control is None or not self._control.open:
            self._control = self._open()
        return self._control

    def _open(self) -> mysql.Connection:
        return mysql.connect(self._dsn, who=f"source {self.name}", settings=self._settings)

    def _errors(self, phase: mysql.Phase, table: str | None = None):  # a context manager of the adapter
        return mysql.errors(phase, who=f"source {self.name}", dsn=self._dsn, table=table)

    def _scalar(self, table: str, statement: str) -> object:
        with self._errors("read", table), self._lock:
            return mysql.scalar(self._connection, statement)

    def _select(self, read: Read) -> str:
        return query.select(read, mariadb=mysql.is_mariadb(self._connection))

    def _identity_of(self, session: mysql.Connection) -> ServerIdentity:
        mariadb = mysql.is_mariadb(session)
        statement = _SERVER.format(
            uuid="NULL" if mariadb else "@@server_uuid",
            status=f"{'information_schema' if mariadb else 'performance_schema'}.global_status",
        )
        [(started, host, port, number, read_only, uuid)] = mysql.rows(session, statement)
        database = session.db.decode() if isinstance(session.db, bytes) else session.db or ""
        data = self._identity or uuid or f"{host}:{port}/{number}"
        return ServerIdentity(f"mysql:{data}/{database}", f"{int(started)}/{host}:{port}/{uuid or number}/{read_only}")

    def _assert_server(self, session: mysql.Connection, server: str | None, table: str) -> None:
        if server is not None and self._identity_of(session).server != server:
            mysql.discard(session)
            self.close()  # or the next attempt would ask the server of before what to read
            raise AttemptVoid(
                "another server answers than the one the ceiling was read from (failover, or a restart)",
                table=table,
                fix="none needed: this attempt is thrown away and the next one starts from the last manifest",
            )

    def _batches(self, session: mysql.Connection, read: Read) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(column.column for column in read.columns)
        text = query.select(read, mariadb=mysql.is_mariadb(session))
        who = f"source {self.name}"
        stream = mysql_rows.read(session, text, schema, who=who, table=read.table, batch_rows=BATCH_ROWS)
        with closing(stream):
            for batch, findings in stream:
                guard.check(read, findings)
                yield batch


class MySQLSnapshot:
    """One consistent view of a transaction: the count first, then the rows."""

    def __init__(self, source: MySQLSource, session: mysql.Connection, read: Read):
        self._source, self._session, self._read = source, session, read
        try:
            with source._errors("read", read.table):
                mysql.rows(session, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
                self.rows = int(str(mysql.scalar(session, query.count(read))))
        except BaseException:
            self.close()
            raise

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of the snapshot."""
        yield from self._source._batches(self._session, self._read)

    def close(self) -> None:
        """End the transaction."""
        mysql.discard(self._session)
