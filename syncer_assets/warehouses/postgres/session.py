"""Sessions of the warehouse, and the one transaction of a load."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psycopg

from ...drivers import postgres
from ...model.errors import AssertionFailed, Phase

SETTINGS = {
    "lock_timeout": "30s",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "jit": "off",
    "client_min_messages": "error",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}
"""`jit`: compiling a merge costs more than it saves. The text formats: staged text is cast, and must mean one thing."""


class Sessions:
    """Opens sessions of one warehouse. Their cursors are raw (`$1`), so that a `%` in a name is only a character."""

    def __init__(self, name: str, dsn: str, settings: dict[str, str] | None = None):
        self.name, self.dsn, self.settings = name, dsn, SETTINGS | (settings or {})

    def open(self) -> psycopg.Connection:
        """A new session in autocommit mode. Raises DbError with phase `connect`."""
        connection = postgres.connect(self.dsn, who=self.name, settings=self.settings)
        connection.cursor_factory = psycopg.RawCursor
        return connection

    def open_plain(self) -> psycopg.Connection:
        """A session with the server's own settings, as those of other people have them."""
        connection = postgres.connect(self.dsn, who=self.name)
        connection.cursor_factory = psycopg.RawCursor
        return connection

    @contextmanager
    def errors(self, phase: Phase, table: str | None = None, partition: str | None = None) -> Iterator[None]:
        """psycopg's exceptions of the block as DbError."""
        with postgres.errors(phase, who=self.name, dsn=self.dsn, table=table, partition=partition):
            yield


@contextmanager
def transaction(
    connection: psycopg.Connection, isolation: Literal["REPEATABLE READ", "READ COMMITTED"] = "REPEATABLE READ"
) -> Iterator[None]:
    """One REPEATABLE READ transaction: what was counted is what is written, or error 40001. COMMIT is the caller's.

    READ COMMITTED is for those that wait for a lock first, and want to see what its holder has written."""
    connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
    try:
        yield
    finally:
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):  # the session is gone, and its transaction with it
                connection.execute("ROLLBACK")


def commit(connection: psycopg.Connection) -> None:
    """COMMIT, which on an aborted transaction answers ROLLBACK without an error."""
    answer = connection.execute("COMMIT").statusmessage
    if answer != "COMMIT":
        raise AssertionFailed(f"the server answered {answer} to COMMIT", fix="look into the server's log")
