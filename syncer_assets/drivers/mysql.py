"""PyMySQL: sessions of a known state, and errors by number, without secrets or row values."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pymysql
import pymysql.connections
from pymysql.constants import CLIENT

from ..model.codes.mysql import CODES
from ..model.errors import ConfigError, DbError, Phase
from .circuit import connecting
from .limits import take_seconds

Connection = pymysql.connections.Connection

CONNECT_SECONDS = 10
ANSWER_SECONDS = "3900"
"""Longer than a statement may run: a server that is silent for so long is gone."""

TELLING = frozenset(
    {
        *("1130", "1193", "1231", "1290", "1105", "1356", "1449", "1698", "1792", *CODES.fixes),
        *(code for failure, codes in CODES.classes.items() if failure != "never" for code in codes),
    }
)
"""Numbers whose messages name tables, users and settings. Those of all others may quote a value or a statement."""

SSL_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")


@dataclass(frozen=True)
class Address:
    """What a DSN says: `mysql://user:password@host:3306/database?ssl_mode=verify_identity&ssl_ca=/path`."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ssl_mode: str = "preferred"
    ssl_ca: str | None = None

    @classmethod
    def parse(cls, dsn: str, who: str) -> "Address":
        """Raises DbError naming `who`, never the DSN."""
        try:
            url = urlsplit(dsn)
            port = url.port or 3306
        except ValueError:
            url, port = urlsplit(""), 0
        given = dict(parse_qsl(url.query))
        mode = given.pop("ssl_mode", "preferred").lower()
        authority = given.pop("ssl_ca", None)
        if url.scheme not in ("mysql", "mariadb") or not url.hostname or given or mode not in SSL_MODES:
            raise DbError(
                f"{who}: the connection string cannot be parsed",
                phase="connect",
                code="invalid_dsn",
                fix="write it as mysql://user:password@host:3306/database, special characters percent-encoded; "
                f"it may end in ?ssl_mode={'|'.join(SSL_MODES)} and &ssl_ca=FILE",
            )
        user, password = unquote(url.username or ""), unquote(url.password or "")
        return cls(unquote(url.hostname), port, user, password, unquote(url.path.lstrip("/")), mode, authority)


def connect(dsn: str, *, who: str, settings: Mapping[str, str]) -> Connection:
    """A session in UTC that reads only, in a state that no server default changes. Raises DbError naming `who`.

    `settings` are session variables; of `max_statement_time` (seconds) a MySQL server is given its own form.
    `answer_seconds` among them is ours: how long the server may be silent while something waits for it.
    """
    address, settings = Address.parse(dsn, who), dict(settings)
    answer_seconds = take_seconds(settings, "answer_seconds", ANSWER_SECONDS, who)
    tls = _tls(address, who)
    with connecting(f"{address.host}:{address.port}", who), errors("connect", who=who, dsn=dsn):
        connection = _Connection(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.database or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=answer_seconds,
            write_timeout=answer_seconds,
            client_flag=CLIENT.MULTI_RESULTS,
            **tls,
        )
        _notice_a_dead_server(connection)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(f"SET SESSION {_assignments(connection, settings)}")
        return connection


def discard(connection: Connection) -> None:
    """Close the socket, whatever state the session is in: PyMySQL's `close` fails on a lost connection."""
    connection._force_close()  # type: ignore[attr-defined]  # it has no public name


def is_mariadb(connection: Connection) -> bool:
    """MySQL otherwise."""
    return "MariaDB" in connection.get_server_info()


def rows(connection: Connection, query: str, values: object = None) -> list[tuple]:
    """All rows of one statement; `%s` stands for a value where `values` are given."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)  # type: ignore[arg-type]  # a tuple, list or dict
        return list(cursor.fetchall())


def scalar(connection: Connection, query: str, values: object = None) -> object:
    """The first column of the first row, or None."""
    found = rows(connection, query, values)
    return found[0][0] if found else None


@contextmanager
def errors(phase: Phase, *, who: str, dsn: str = "", table: str | None = None) -> Iterator[None]:
    """Turn every PyMySQL exception of the block into a DbError without its cause, so that nothing leaks."""
    try:
        yield
    except (pymysql.MySQLError, OSError, ssl.SSLError) as error:
        number = error.args[0] if error.args and isinstance(error.args[0], int) else None
        if not isinstance(error, pymysql.MySQLError):
            number = 2013
        text = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
        raise translate(number, text, phase, who=who, dsn=dsn, table=table) from None


def translate(
    number: int | None, text: str, phase: Phase, *, who: str, dsn: str = "", table: str | None = None
) -> DbError:
    """The DbError of an error number. Messages that may quote values are left out."""
    code = str(number) if number is not None else None
    failure, fix = CODES.failure(code, text, reading=phase == "read"), CODES.fix(code, text)
    if code not in TELLING:
        text = "the server refused the statement"
    line = " ".join(text.split())[:500]
    for secret in secrets(dsn) if dsn else ():
        line = line.replace(secret, "***")
    told = f"{who}: {line}" + (f" ({code})" if number else "")
    return DbError(told, code=code, phase=phase, failure=failure, table=table, fix=fix)


def secrets(dsn: str) -> tuple[str, ...]:
    """Every form of the DSN's password, for redaction."""
    try:
        password = urlsplit(dsn).password
    except ValueError:
        return (dsn,)
    if not password:
        return ()
    plain = unquote(password)
    return tuple({password, plain, quote(plain, safe=""), quote(plain)})


def _assignments(connection: Connection, settings: Mapping[str, str]) -> str:
    given = dict(settings)
    if "max_statement_time" in given and not is_mariadb(connection):
        given.setdefault("max_execution_time", str(int(float(given.pop("max_statement_time")) * 1000)))
    for name in given:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise ConfigError(f"the source's option {name!r} is no session variable", fix="see `options` in the YAML")
    return ", ".join(f"{name} = {_setting(value)}" for name, value in given.items())


def _setting(value: str) -> str:
    return value if re.fullmatch(r"-?\d+(\.\d+)?", value) else f"_utf8mb4 x'{value.encode().hex()}'"


def _tls(address: Address, who: str) -> dict[str, Any]:
    if address.ssl_mode == "preferred":
        return {}
    if address.ssl_mode == "disabled":
        return {"ssl_disabled": True}
    try:
        context = ssl.create_default_context(cafile=address.ssl_ca)
    except OSError:
        raise DbError(
            f"{who}: the file of `ssl_ca` cannot be read", phase="connect", code="ssl_ca", fix="correct it in the DSN"
        ) from None
    context.check_hostname = address.ssl_mode == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if address.ssl_mode == "required" else ssl.CERT_REQUIRED
    return {"ssl": context}


class _Connection(Connection):
    """PyMySQL reads the machine's authorities for each session (20 ms of CPU), also where it verifies nothing."""

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        return super()._create_ssl_ctx(sslp) if sslp else _unverified()  # type: ignore[misc]  # it has no public name


@cache
def _unverified() -> ssl.SSLContext:
    """Of `ssl_mode=preferred`: what is said is encrypted where the server can, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _notice_a_dead_server(connection: Connection) -> None:
    """A dead line is noticed after a minute; a Unix socket has no such settings."""
    end: socket.socket = connection._sock  # type: ignore[attr-defined]  # it has no public name
    with suppress(OSError):
        for option, seconds in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3)):
            end.setsockopt(socket.IPPROTO_TCP, option, seconds)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
