"""psycopg: connections that notice a dead server, and errors without secrets or row values."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString
from urllib.parse import quote

import psycopg
from psycopg import conninfo

from ..model.codes.postgres import CODES
from ..model.errors import CommitUnknown, DbError, Phase
from ..model.failures import Codes
from .answering import Session
from .circuit import connecting
from .limits import take_seconds

KEEPALIVE = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}

ANSWER_SECONDS = "21600"
"""Six hours, which no statement of a load is expected to take."""

ROLLED_BACK = ("40001", "40P01")
"""At COMMIT these are certain; after any other error that may pass, the ledger is asked."""

WANTED_SERVER = {"read-write": "primary", "read-only": "standby"}
"""What `target_session_attrs` means for a session that is read only by our own setting: libpq takes the setting for
the server's, and would find no server that is read-write."""


def connect(
    dsn: str,
    *,
    who: str,
    autocommit: bool = True,
    settings: dict[str, str] | None = None,
    application_name: str = "syncer_assets",
) -> Session:
    """A connection with keepalives; `settings` become session defaults. Raises DbError naming `who`, never the DSN.

    `answer_seconds` among them is ours: how long the server may be silent while something waits for it.
    """
    try:
        given = conninfo.conninfo_to_dict(dsn)
    except psycopg.Error:
        raise DbError(
            f"{who}: the connection string cannot be parsed",
            phase="connect",
            code="invalid_dsn",
            fix="write it as postgresql://user:password@host:5432/database, special characters percent-encoded",
        ) from None
    defaults = dict(settings or {})
    answer_seconds = take_seconds(defaults, "answer_seconds", ANSWER_SECONDS, who)
    options = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in defaults.items())
    arguments = {**KEEPALIVE, "application_name": application_name, **given}
    if options:
        arguments["options"] = f"{given.get('options') or ''} {options}".strip()
    if defaults.get("default_transaction_read_only") == "on" and (wanted := given.get("target_session_attrs")):
        arguments["target_session_attrs"] = WANTED_SERVER.get(str(wanted), str(wanted))
    with connecting(_server(given), who), errors("connect", who=who, dsn=dsn):
        session = Session.connect(**arguments, autocommit=autocommit)  # type: ignore[arg-type]  # libpq keywords
    session.answer_seconds = answer_seconds
    return session


def _server(given: Mapping[str, object]) -> str:
    """What tells one server of this process from another, of a DSN's parts."""
    return ":".join(str(given.get(name, "")) for name in ("service", "hostaddr", "host", "port"))


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
    codes: Codes = CODES,
) -> DbError:
    """The DbError of a psycopg exception, of the class that `codes` has.

    Data exceptions (class 22, 23) are told by name, never by their values."""
    text, code = describe(error), error.sqlstate  # whole: a password may be a word of the message
    failure = codes.failure(code, text, reading=phase == "read")
    if code is None and failure == "never" and phase != "connect" and isinstance(error, psycopg.OperationalError):
        failure = "new_connection"  # an established connection fails so: TLS, sockets and libpq have many words for it
    lost = phase == "commit" and failure != "never" and code not in ROLLED_BACK
    return (CommitUnknown if lost else DbError)(
        f"{who}: {describe(error, dsn)}",
        code=code,
        phase=phase,
        failure=failure,
        table=table,
        partition=partition,
        fix=codes.fix(code, text),
    )


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
