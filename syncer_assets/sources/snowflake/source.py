"""A Snowflake database as a source: rows as the Arrow batches in which the service sends them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa

from ...drivers import snowflake
from ...model.capture import Capture, Protection, ServerIdentity
from ...model.columns import Column
from ...model.errors import AttemptVoid, ConfigError, DbError
from ...model.keyed_update import KeyedUpdateSpec
from ...model.keys import Buckets, Keys
from ...model.marks import CursorColumn, Scalar
from ...model.report import CheckResult
from ...model.table import TableSpec
from ..advice import SNOWFLAKE
from ..arrow import apply, arrow_schema
from ..base import QueryPlan, Read, TableFacts, refused_by_guard
from . import catalogue, checksum, doctor, explain, proof, query
from .batches import batches_of
from .keyed import SnowflakeKeyedReader
from .query import Statement

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

OPTIONS = ("use_cached_result", "statement_timeout_seconds", "login_timeout_seconds", "query_tag")


class SnowflakeSource:
    """A source database. `settings` are the options of `OPTIONS`.

    Every read has a session of its own while it lasts; sessions are kept and used again, at most as many as there were
    reads at once. The data are named by account and database, and the service is one server, whoever answers.
    """

    engine = "snowflake"
    advice = SNOWFLAKE

    def __init__(self, name: str, dsn: str, settings: Mapping[str, str] | None = None):
        self.name, self._dsn = name, dsn
        self._options = _options(settings or {}, self.who)
        self._idle: list[SnowflakeConnection] = []
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"SnowflakeSource({self.name!r})"

    @property
    def who(self) -> str:
        """How errors name it."""
        return f"source {self.name}"

    def identity(self) -> ServerIdentity:
        """The account and database, by the service's own names."""
        with self.session("connect") as connection:
            account, database = snowflake.rows(connection, "SELECT CURRENT_ACCOUNT(), CURRENT_DATABASE()")[0]
            return ServerIdentity(f"snowflake:{account}/{database}", str(account))

    def describe(self, table: str) -> TableFacts:
        """The catalogue's facts of a table."""
        with self.session("read", table) as connection:
            return catalogue.describe(connection, table)

    def tables(self) -> Sequence[str]:
        """Every ordinary table."""
        with self.session("read") as connection:
            return catalogue.tables(connection)

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        """The lag, whatever the cursor is."""
        return proof.protection()

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        """The ceiling, and the service's time after it."""
        server = self.identity().server
        with self.session("read", spec.table) as connection:
            return proof.capture(connection, spec, order, server)

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        """The captures that still count, proven where the lag has passed."""
        server = self.identity().server
        with self.session("read", spec.table) as connection:
            return proof.judge(connection, spec, captures, server)

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        """The service's time in UTC."""
        with self.session("read", table) as connection:
            return proof.source_time(connection)

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        """The largest cursor value."""
        with self.session("read", table) as connection:
            mark = proof.maximum(connection, table, [cursor])
            return mark[0] if mark else None

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        """The rows as they stream in. Raises AttemptVoid if another account than `server` answers."""
        if server is not None and self.identity().server != server:
            raise AttemptVoid(
                "another account answers than the one the ceiling was read from",
                table=read.table,
                fix="none needed: this attempt is thrown away and the next one starts from the last manifest",
            )
        with self.session("read", read.table) as connection, self._executed(connection, read) as cursor:
            yield from self._batches(cursor, read)

    def snapshot(self, read: Read) -> "SnowflakeSnapshot":
        """A whole-table read: one query, whose number of rows the service tells before the first of them comes."""
        return SnowflakeSnapshot(self, read)

    def count(self, read: Read) -> int:
        """How many rows `read` would bring."""
        return int(str(self._scalar(query.count(read), read.table) or 0))

    def lowest(self, read: Read) -> Scalar | None:
        """The smallest value of the first order column among the rows that `read` would bring."""
        found = self._scalar(query.smallest(read), read.table)
        return None if found is None else proof.scalar_of(found, read.order[0])

    def distinct_prefixes(self, table: str, column: str, length: int) -> list[str]:
        """The prefixes of a column that exist."""
        name = snowflake.name(column)
        statement = (
            f"SELECT DISTINCT LEFT(TO_VARCHAR({name}), {int(length)}) FROM {query.relation(table)}"
            f" WHERE {name} IS NOT NULL ORDER BY 1"
        )
        with self.session("read", table) as connection:
            return [row[0] for row in snowflake.rows(connection, statement)]

    def count_outside(self, table: str, column: str, prefixes: Sequence[str], where: str | None = None) -> int:
        """Rows whose column starts with none of the prefixes, NULL included."""
        test = " OR ".join(f"STARTSWITH(TO_VARCHAR({snowflake.name(column)}), ?)" for _ in prefixes)
        statement = f"SELECT COUNT(*) FROM {query.relation(table)} WHERE NOT COALESCE({test}, FALSE)"
        statement += f" AND {where}" if where else ""
        return int(str(self._scalar(Statement(statement, tuple(prefixes)), table)))

    def sql(self, read: Read) -> str:
        """The statement of `read`; its `?` are bound."""
        return query.select(read).text

    def explain(self, read: Read) -> QueryPlan:
        """The service's plan of `read`. Nothing is read."""
        statement = query.select(read)
        with self.session("read", read.table) as connection:
            rows = catalogue.row_count(connection, read.table)
            text = snowflake.scalar(connection, f"EXPLAIN USING JSON {statement.text}", statement.values)
            return explain.parse(str(text), rows)

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
        with self.session("read", table) as connection:
            return checksum.buckets(connection, table, columns, key, buckets, only, where)

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
        with self.session("read", table) as connection:
            return checksum.key_rows(connection, table, columns, key, rows, beside, where, who=self.who)

    def keyed(self, spec: KeyedUpdateSpec) -> SnowflakeKeyedReader:
        """The reader of one keyed update."""
        return SnowflakeKeyedReader(self, spec)

    def doctor(self) -> list[CheckResult]:
        """What stands in the way of reading."""
        with self.session("connect") as connection:
            return doctor.doctor(connection)

    def close(self) -> None:
        """Give the sessions back."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            snowflake.close(connection)

    @contextmanager
    def session(self, phase: snowflake.Phase, table: str | None = None) -> Iterator["SnowflakeConnection"]:
        """A session that nobody else uses meanwhile; one that an error may have spoilt is not used again."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = snowflake.connect(self._dsn, who=self.who, **self._options)
        try:
            with snowflake.errors(phase, who=self.who, dsn=self._dsn, table=table):
                yield connection
        except DbError:
            snowflake.close(connection)
            raise
        except BaseException:
            self._keep(connection)
            raise
        self._keep(connection)

    def _keep(self, connection: "SnowflakeConnection") -> None:
        with self._lock:
            self._idle.append(connection)

    def _scalar(self, statement: Statement, table: str) -> object:
        with self.session("read", table) as connection:
            return snowflake.scalar(connection, statement.text, statement.values)

    @contextmanager
    def _executed(self, connection: "SnowflakeConnection", read: Read) -> Iterator["SnowflakeCursor"]:
        statement = query.select(read)
        with snowflake.execute(connection, statement.text, statement.values) as cursor:
            yield cursor

    def _batches(self, cursor: "SnowflakeCursor", read: Read) -> Iterator[pa.RecordBatch]:
        schema = arrow_schema(column.column for column in read.columns)
        guarded = query.guard(read) is not None
        for batch in batches_of(cursor, schema, who=self.who, table=read.table):
            if guarded:
                if apply("any", batch.column(batch.num_columns - 1)).as_py():
                    raise refused_by_guard(read)
                batch = batch.select(range(batch.num_columns - 1))
            yield batch


class SnowflakeSnapshot:
    """One query's result, which the service keeps while its rows are fetched."""

    def __init__(self, source: SnowflakeSource, read: Read):
        self._source, self._read = source, read
        self._stack = source.session("read", read.table)
        connection = self._stack.__enter__()
        statement = query.select(read)
        try:
            with snowflake.errors("read", who=source.who, table=read.table):
                self._cursor = snowflake.execute(connection, statement.text, statement.values)
        except DbError:
            snowflake.close(connection)
            raise
        self.rows = int(self._cursor.rowcount or 0)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of the snapshot."""
        with snowflake.errors("read", who=self._source.who, table=self._read.table):
            yield from self._source._batches(self._cursor, self._read)

    def close(self) -> None:
        """Let the result go."""
        self._cursor.close()
        self._stack.__exit__(None, None, None)


def _options(settings: Mapping[str, str], who: str) -> dict:
    """`settings` as keyword arguments of `drivers.snowflake.connect`. Raises ConfigError for one that is not known."""
    if strangers := sorted(settings.keys() - set(OPTIONS)):
        raise ConfigError(f"{who}: the options {', '.join(strangers)} are not known", fix=f"use {', '.join(OPTIONS)}")
    session: dict[str, object] = {"QUERY_TAG": settings.get("query_tag", snowflake.APPLICATION)}
    if (cached := settings.get("use_cached_result")) is not None:
        if cached.lower() not in ("true", "false"):
            raise ConfigError(f"{who}: `use_cached_result` is neither true nor false", fix="write one of them")
        session["USE_CACHED_RESULT"] = cached.lower() == "true"
    found: dict = {"session": session}
    for name in ("statement_timeout_seconds", "login_timeout_seconds"):
        if name in settings:
            if not settings[name].isdigit() or not int(settings[name]):
                raise ConfigError(f"{who}: `{name}` is no number of seconds", fix="write a whole number above 0")
            found[name] = int(settings[name])
    return found
