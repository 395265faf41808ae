"""Sessions of the warehouse, and the one transaction of a load."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from ...drivers import snowflake
from ...drivers.circuit import connecting
from ...model.errors import Phase
from . import names

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

Opener = Callable[[Mapping[str, object]], "AbstractContextManager[SnowflakeConnection]"]
"""Opens a session by the connector's keyword arguments, which hold the secret; leaving it closes the session."""

STATEMENT_TIMEOUT_SECONDS = 14_400
LOCK_TIMEOUT_SECONDS = 900
ANSWER_SECONDS = 120
"""How long COMMIT and ROLLBACK may take before the connection counts as lost."""
PARAMETERS: Mapping[str, object] = {
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
    "TRANSACTION_ABORT_ON_ERROR": True,
    "LOCK_TIMEOUT": LOCK_TIMEOUT_SECONDS,
}
"""What an account or user may have set otherwise, and what a statement of ours would then not mean any more."""

OURS = "TO_VARCHAR(CURRENT_TRANSACTION()) = ?"
"""Within the transaction that the caller began."""


class Session:
    """One session in autocommit mode. Values are bound to `?` by the server."""

    def __init__(self, opened: "AbstractContextManager[SnowflakeConnection]"):
        self._opened = opened
        self.connection = opened.__enter__()

    @property
    def closed(self) -> bool:
        return not snowflake.is_open(self.connection)

    def execute(self, statement: str, values: Sequence[object] = (), *, seconds: int | None = None) -> int:
        """Run a statement; the number of rows that it wrote. `seconds` is the longest wait for an answer."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, list(values) or None, timeout=seconds)
            return cursor.rowcount or 0

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple]:
        """All rows of a small answer."""
        return snowflake.rows(self.connection, statement, values)

    def row(self, statement: str, values: Sequence[object] = ()) -> tuple:
        """The one row of an answer that has one."""
        (found,) = self.rows(statement, values)
        return found

    def close(self) -> None:
        """End the session, whatever is left of it."""
        with suppress(Exception):  # the service is gone, and the session with it
            self._opened.__exit__(None, None, None)


class Sessions:
    """Opens sessions of one warehouse, by the connector or by another `opener`."""

    def __init__(self, name: str, dsn: str, options: Mapping[str, str] | None = None, opener: Opener | None = None):
        self.name, self.dsn = name, dsn
        self._opener = opener or by_connector
        self._options = dict(options or {})

    def arguments(self) -> dict[str, object]:
        """The connector's keyword arguments: they hold the secret. Raises DbError, ConfigError."""
        cached = self._options.get("use_cached_result")
        return snowflake.arguments(
            self.dsn,
            who=self.name,
            session={**PARAMETERS, **({} if cached is None else {"USE_CACHED_RESULT": cached.lower() == "true"})},
            statement_timeout_seconds=int(self._options.get("statement_timeout_seconds", STATEMENT_TIMEOUT_SECONDS)),
        )

    def open(self, database: str | None = None) -> Session:
        """A new session, of another database than the DSN's where one is given. Raises DbError with phase `connect`,
        ConfigError."""
        snowflake.quiet()
        arguments = self.arguments() | ({"database": database} if database else {})
        with connecting(str(arguments["account"]), self.name), self.errors("connect"):
            return Session(self._opener(arguments))

    @contextmanager
    def errors(self, phase: Phase, table: str | None = None, partition: str | None = None) -> Iterator[None]:
        """The connector's exceptions of the block as DbError."""
        with snowflake.errors(phase, who=self.name, dsn=self.dsn, table=table, partition=partition):
            yield


@contextmanager
def by_connector(arguments: Mapping[str, object]) -> "Iterator[SnowflakeConnection]":
    """A session of the connector itself."""
    from snowflake import connector

    connection = connector.connect(**arguments)  # type: ignore[arg-type]  # its own keywords
    try:
        yield connection
    finally:
        snowflake.close(connection)


def tag(session: Session, **fields: object) -> None:
    """The session's statements carry these fields as their QUERY_TAG, for those who read the query history."""
    text = json.dumps({"application": "syncer_assets", **fields}, ensure_ascii=False)[:2000]
    session.execute(f"ALTER SESSION SET QUERY_TAG = {names.text(text)}")


@contextmanager
def transaction(session: Session) -> Iterator[str]:
    """One transaction, and its id; COMMIT is the caller's. An error, whatever it is, rolls back.

    Snowflake ends a transaction that was idle for 5 minutes while others waited, and says nothing: what follows commits
    by itself. A statement that must not do that has `OURS` in its condition, with the id bound to it."""
    session.execute("BEGIN")
    try:
        yield str(session.row("SELECT TO_VARCHAR(CURRENT_TRANSACTION())")[0])
    except BaseException:
        with suppress(Exception):  # the session is gone, and its transaction ends with it
            session.execute("ROLLBACK", seconds=ANSWER_SECONDS)
        raise


def commit(session: Session) -> None:
    """COMMIT. Raises what the connector raises; whether it took effect, the ledger tells then."""
    session.execute("COMMIT", seconds=ANSWER_SECONDS)
