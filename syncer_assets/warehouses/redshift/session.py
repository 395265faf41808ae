"""Sessions of the warehouse, the one transaction of a load, and what Redshift's errors mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import conninfo

from ...drivers import postgres
from ...model.codes.redshift import CODES, CONFLICT
from ...model.errors import AssertionFailed, DbError, Phase

SETTINGS = {
    "statement_timeout": "0",
    "timezone": "'UTC'",
    "enable_case_sensitive_identifier": "true",
}
"""`enable_case_sensitive_identifier`: without it even quoted names are folded to lower case."""
LABEL_MOST = 300
"""Characters of a query's label that Redshift keeps (320), less a few."""


class Sessions:
    """Opens sessions of one warehouse. Their cursors send plain statements: nothing is prepared, nothing is bound."""

    def __init__(self, name: str, dsn: str):
        self.name, self.dsn = name, dsn

    def open(self, label: str = "") -> psycopg.Connection:
        """A new session in autocommit mode; `label` is that of its queries in SYS_QUERY_HISTORY.

        Raises DbError with phase `connect`."""
        connection = postgres.connect(_with_encoding(self.dsn), who=self.name)
        connection.cursor_factory = psycopg.ClientCursor
        connection.prepare_threshold = None
        with self.errors("connect"):
            for name, value in SETTINGS.items():
                connection.execute(f"SET {name} TO {value}".encode())
            told = re.sub(r"[^\w .:/=-]", "_", f"syncer_assets {label}".strip())[:LABEL_MOST]
            connection.execute(f"SET query_group TO '{told}'".encode())
        return connection

    @contextmanager
    def errors(self, phase: Phase, table: str | None = None, partition: str | None = None) -> Iterator[None]:
        """psycopg's exceptions of the block as DbError: a conflict is worth a retry, and no text has a value."""
        try:
            yield
        except psycopg.Error as error:
            raise _translated(error, phase, who=self.name, dsn=self.dsn, table=table, partition=partition) from None


@contextmanager
def transaction(connection: psycopg.Connection) -> Iterator[None]:
    """One transaction. COMMIT is the caller's."""
    connection.execute("BEGIN")
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
        raise AssertionFailed(f"the server answered {answer} to COMMIT", fix="look into SYS_TRANSACTION_HISTORY")


def is_conflict(error: psycopg.Error) -> bool:
    """Whether another transaction was in the way: ERROR 1023 comes as SQLSTATE XX000, in text."""
    return error.sqlstate in postgres.ROLLED_BACK or bool(re.search(CONFLICT, error.diag.message_primary or ""))


def _with_encoding(dsn: str) -> str:
    """Redshift calls its encoding UNICODE, which psycopg does not know, unless it is asked for UTF-8."""
    with suppress(psycopg.Error):  # a DSN that cannot be read is told by `connect`
        return conninfo.make_conninfo(dsn, client_encoding="utf8")
    return dsn


def _translated(
    error: psycopg.Error, phase: Phase, *, who: str, dsn: str, table: str | None, partition: str | None
) -> DbError:
    told = postgres.translate(error, phase, who=who, dsn=dsn, table=table, partition=partition, codes=CODES)
    message, code, kind = told.message, told.code, type(told)
    if is_conflict(error):
        message, code, kind = f"{who}: another transaction wrote the same tables (1023)", "1023", DbError
    elif error.sqlstate and error.sqlstate[:2] in ("XX", "22", "23", "42"):
        message = re.sub(r"'[^']*'", "'..'", re.sub(r"(?i)(value:?\s+)\S+", r"\1..", message))
    return kind(message, code=code, phase=phase, failure=told.failure, table=table, partition=partition, fix=told.fix)
