"""psycopg: connections that notice a dead server, and errors without secrets or row values."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString
from urllib.parse import quote

import psycopg
from psycopg import conninfo

from ..model.errors import CommitUnknown, DbError, Phase

KEEPALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

RETRY_STATES = frozenset(
    {
        *("08000", "08001", "08003", "08006", "57P01", "57P02", "57P03", "57P05", "25P03"),
        *("40001", "40P01", "40003", "55P03", "55006", "53300", "53000", "53200", "25006"),
    }
)
"""SQLSTATEs worth another attempt; everything else is permanent (RELIABILITY 2)."""

RETRY_TEXTS = (
    "server closed the connection unexpectedly",
    "the connection is closed",
    "the connection is lost",
    "recovery mode",
    "not yet accepting connections",
    "starting up",
    "shutting down",
    "terminating connection",
    "Connection refused",
    "connection timeout expired",
    "Connection reset",
    "timeout expired",
    "session is read-only",
    "too many clients",
    "remaining connection slots",
    "sending copy data failed",
    "consuming input failed",
)
"""Fragments of libpq messages for the errors that carry no SQLSTATE."""

FIXES = {
    "28P01": "check the password in the connection's environment variable",
    "28000": "check user and pg_hba.conf; TLS may be required",
    "3D000": "check the database name in the connection's environment variable",
    "42501": "grant the missing privilege: SELECT on a source, ownership of its schema on a warehouse",
    "42P01": "check the table's name, or remove it from the YAML",
    "42703": "check the column's name in the YAML",
    "53100": "free disk space on the server",
    "22P02": "the value does not fit the warehouse column's type; change the column or drop it and load in full",
    "22001": "the warehouse column is too short; widen it",
    "22003": "the warehouse column is too small for the value; widen it",
    "57014": "raise the statement timeout, or make chunk.rows smaller",
}


def connect(
    dsn: str,
    *,
    who: str,
    autocommit: bool = True,
    read_only: bool = False,
    settings: dict[str, str] | None = None,
    application_name: str = "syncer_assets",
) -> psycopg.Connection:
    """A connection with keepalives; `settings` become session defaults. Raises DbError naming `who`, never the DSN."""
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        raise DbError(
            f"{who}: the connection string cannot be parsed",
            phase="connect",
            code="invalid_dsn",
            fix="write it as postgresql://user:password@host:5432/database, special characters percent-encoded",
        ) from None
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in (settings or {}).items())
    arguments = {**KEEPALIVE, "application_name": application_name, **given}
    if options:
        arguments["options"] = f"{given.get('options') or ''} {options}".strip()
    with errors("connect", who=who, dsn=dsn):
        connection = psycopg.connect(**arguments, autocommit=autocommit)  # type: ignore[arg-type]  # libpq keywords
        connection.read_only = read_only
        return connection


def secrets(dsn: str) -> tuple[str, ...]:
    """Every form of the DSN's password, for redaction."""
    try:
        password = conninfo.conninfo_to_dict(dsn).get("password")
    except psycopg.Error:
        return (dsn,)
    if not password:
        return ()
    return tuple({str(password), quote(str(password), safe=""), quote(str(password))})


@contextmanager
def errors(
    phase: Phase, *, who: str, dsn: str = "", table: str | None = None, partition: str | None = None
) -> Iterator[None]:
    """Turn every psycopg exception of the block into a DbError without its cause, so that nothing leaks."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, phase, who=who, dsn=dsn, table=table, partition=partition) from None


def translate(
    error: psycopg.Error,
    phase: Phase,
    *,
    who: str,
    dsn: str = "",
    table: str | None = None,
    partition: str | None = None,
) -> DbError:
    """The DbError of a psycopg exception. Data exceptions (class 22, 23) are told by name, never by their values."""
    text = describe(error, dsn)
    code = error.sqlstate
    retryable = code in RETRY_STATES if code else any(fragment in text for fragment in RETRY_TEXTS)
    if code is None and phase != "connect" and isinstance(error, psycopg.OperationalError):
        retryable = True  # an established connection fails so: TLS, sockets and libpq have many words for it
    fix = FIXES.get(code or "") or next((fix for state, fix in _text_fixes(text)), None)
    cls = CommitUnknown if phase == "commit" and retryable and code not in ("40001", "40P01") else DbError
    return cls(f"{who}: {text}", code=code, phase=phase, retryable=retryable, table=table, partition=partition, fix=fix)


def describe(error: psycopg.Error, dsn: str = "") -> str:
    """One line about a psycopg exception that may be logged."""
    code, diag = error.sqlstate, error.diag
    if code and code[:2] in ("22", "23", "P0"):
        names = [
            f"{label} {value}"
            for label, value in (
                ("table", diag.table_name),
                ("column", diag.column_name),
                ("constraint", diag.constraint_name),
                ("type", diag.datatype_name),
            )
            if value
        ]
        return " ".join([type(error).__name__, f"({code})", *names])
    text = (diag.message_primary or str(error)).strip().splitlines()
    line = " ".join(part.strip() for part in text)[:500] or type(error).__name__
    for secret in secrets(dsn) if dsn else ():
        line = line.replace(secret, "***")
    return f"{line} ({code})" if code else line


def scalar(connection: psycopg.Connection, query: LiteralString, *values: object) -> object:
    """The first column of the first row, or None."""
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]


def _text_fixes(text: str) -> Iterator[tuple[str, str]]:
    for fragment, state in (
        ("password authentication failed", "28P01"),
        ("no password supplied", "28P01"),
        ("does not exist", "3D000"),
        ("no pg_hba.conf entry", "28000"),
    ):
        if fragment in text:
            yield state, FIXES[state]
    unknown = ("Connection refused", "could not translate host name", "failed to resolve host")
    if any(fragment in text for fragment in unknown):
        yield "", "check host and port in the connection's environment variable, and that the server runs"
