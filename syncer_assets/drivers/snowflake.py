"""snowflake-connector: sessions from a DSN, bound parameters, and errors without secrets or row values."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from ..model.codes.snowflake import CODES
from ..model.errors import CommitUnknown, ConfigError, DbError, Phase
from .circuit import connecting

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor
    from snowflake.connector.errors import Error

APPLICATION = "syncer_assets"
STATEMENT_TIMEOUT_SECONDS = 900
LOGIN_TIMEOUT_SECONDS = 60
SOCKET_TIMEOUT_SECONDS = 120
"""The service answers a running query's request within 45 s, so that a longer silence is a lost connection."""

PARAMETERS = frozenset(
    {
        *("warehouse", "role", "host", "port", "protocol", "authenticator"),
        *("private_key_file", "private_key_env", "private_key_passphrase_env", "token_env"),
    }
)
"""What may stand behind the `?` of a DSN. Keys and tokens are named, never written there."""

SESSION: Mapping[str, object] = {
    "TIMEZONE": "UTC",
    "BINARY_OUTPUT_FORMAT": "HEX",
    "ABORT_DETACHED_QUERY": True,
    "MULTI_STATEMENT_COUNT": 1,
    "CLIENT_TELEMETRY_ENABLED": False,
}
"""ABORT_DETACHED_QUERY: a query whose client is gone ends instead of running, and costing, to its end."""

ROLLED_BACK = ("000604", "000625")
"""At COMMIT these are certain; after any other error that may pass, the ledger is asked."""

TOLD = frozenset(
    {1003, 904, 2003, 2043, 3001, 606, 630, 90073, 90105, 90106, *map(int, filter(str.isdigit, CODES.fixes))}
)
"""Codes whose text is about objects and syntax. Every other text may quote a value, so that only its code is told."""


def arguments(
    dsn: str,
    *,
    who: str,
    session: Mapping[str, object] | None = None,
    statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS,
    login_timeout_seconds: int = LOGIN_TIMEOUT_SECONDS,
) -> dict[str, object]:
    """The connector's keyword arguments of `snowflake://user:password@account/database/schema?warehouse=..&role=..`.

    They hold the secret: never log them. `session` are session parameters over `SESSION`. Raises DbError with code
    `invalid_dsn`, or ConfigError for a key that is not where the DSN says, naming `who` and neither of them.
    """
    given = _parsed(dsn, who)
    parameters = {
        **SESSION,
        "STATEMENT_TIMEOUT_IN_SECONDS": statement_timeout_seconds,
        **(session or {}),
    }
    return {
        "application": APPLICATION,
        "paramstyle": "qmark",  # values are bound by the server, never written into the text
        "autocommit": True,
        "client_session_keep_alive": True,
        "arrow_number_to_decimal": True,  # else NUMBER(p,s) arrives as double
        "login_timeout": login_timeout_seconds,
        "network_timeout": statement_timeout_seconds + SOCKET_TIMEOUT_SECONDS,  # it also cancels a longer statement
        "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        "log_imported_packages_in_telemetry": False,
        **given,
        "session_parameters": parameters,
    }


def connect(
    dsn: str,
    *,
    who: str,
    session: Mapping[str, object] | None = None,
    statement_timeout_seconds: int = STATEMENT_TIMEOUT_SECONDS,
    login_timeout_seconds: int = LOGIN_TIMEOUT_SECONDS,
) -> "SnowflakeConnection":
    """A session in autocommit mode whose `?` are bound by the server. Raises DbError with phase `connect`."""
    given = arguments(
        dsn,
        who=who,
        session=session,
        statement_timeout_seconds=statement_timeout_seconds,
        login_timeout_seconds=login_timeout_seconds,
    )
    quiet()
    from snowflake import connector

    with connecting(str(given["account"]), who), errors("connect", who=who, dsn=dsn):
        return connector.connect(**given)  # type: ignore[arg-type]  # its own keywords


def quiet() -> None:
    """Silence the connector's logger: it writes statements and bound values at ERROR when a request fails."""
    logging.getLogger("snowflake").setLevel(logging.CRITICAL)


def execute(connection: "SnowflakeConnection", statement: str, values: Sequence[object] = ()) -> "SnowflakeCursor":
    """Run one statement with its `?` bound. A `(type, value)` pair says what Snowflake type a value is bound as."""
    cursor = connection.cursor()
    cursor.execute(statement, list(values) or None)
    return cursor


def rows(connection: "SnowflakeConnection", statement: str, values: Sequence[object] = ()) -> list[tuple]:
    """All rows of a small answer."""
    with execute(connection, statement, values) as cursor:
        return [tuple(row) for row in cursor.fetchall()]  # type: ignore[arg-type]  # tuples, without a DictCursor


def scalar(connection: "SnowflakeConnection", statement: str, values: Sequence[object] = ()) -> object:
    """The first column of the first row, or None."""
    found = rows(connection, statement, values)
    return found[0][0] if found else None


def named_rows(
    connection: "SnowflakeConnection", statement: str, values: Sequence[object] = ()
) -> list[dict[str, object]]:
    """All rows of a small answer by their columns' names in lower case, as SHOW needs it."""
    with execute(connection, statement, values) as cursor:
        names = [column.name.lower() for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]  # type: ignore[arg-type]  # tuples


def is_open(connection: "SnowflakeConnection | None") -> bool:
    """Whether the session was not closed here. Whether the service still knows it, the next statement tells."""
    return connection is not None and not connection.is_closed()


def close(connection: "SnowflakeConnection | None") -> None:
    """End the session, whatever is left of it."""
    if connection is not None:
        with suppress(Exception):  # the service is gone, and the session with it
            connection.close()


def name(identifier: str) -> str:
    """A quoted identifier, as it is: Snowflake folds those without quotes to upper case."""
    return '"' + identifier.replace('"', '""') + '"'


def secrets(dsn: str) -> tuple[str, ...]:
    """Every form of the DSN's password, for redaction."""
    with suppress(ValueError):
        password = unquote(urlsplit(dsn).password or "")
        return tuple({password, quote(password, safe=""), quote(password)}) if password else ()
    return (dsn,)


@contextmanager
def errors(
    phase: Phase, *, who: str, dsn: str = "", table: str | None = None, partition: str | None = None
) -> Iterator[None]:
    """Turn every exception of the connector in the block into a DbError without its cause, so that nothing leaks."""
    from snowflake.connector import errors as connector_errors

    try:
        yield
    except connector_errors.Error as error:
        raise translate(error, phase, who=who, dsn=dsn, table=table, partition=partition) from None
    except (ConnectionError, TimeoutError) as error:  # of a download between two batches
        raise DbError(
            f"{who}: the connection was lost ({type(error).__name__})",
            phase=phase,
            retryable=True,
            table=table,
            partition=partition,
        ) from None


def translate(
    error: "Error",
    phase: Phase,
    *,
    who: str,
    dsn: str = "",
    table: str | None = None,
    partition: str | None = None,
) -> DbError:
    """The DbError of the connector's exception. `code` is Snowflake's number with six digits, as its texts have it."""
    number = error.errno if isinstance(error.errno, int) and error.errno > 0 else None
    code = f"{number:06d}" if number else None
    said = str(error.raw_msg) if code else f"{type(error).__name__}: {error.raw_msg}"
    failure = CODES.failure(code, said, reading=phase == "read")
    lost = phase == "commit" and failure != "never" and code not in ROLLED_BACK
    return (CommitUnknown if lost else DbError)(
        f"{who}: {describe(error, dsn)}",
        code=code,
        phase=phase,
        failure=failure,
        table=table,
        partition=partition,
        fix=CODES.fix(code, said),
    )


def describe(error: "Error", dsn: str = "") -> str:
    """One line about an exception of the connector that may be logged: its text only where that holds no values."""
    number = error.errno if isinstance(error.errno, int) and error.errno > 0 else 0
    state = error.sqlstate if error.sqlstate not in (None, "n/a") else None
    where = ", ".join(part for part in (f"{number:06d}" if number else None, state) if part)
    query = f", query {error.sfqid}" if error.sfqid else ""
    if not (number in TOLD or 250000 <= number < 252000 or 390000 <= number < 400000):
        return f"{type(error).__name__} ({where or 'no code'}{query})"
    line = " ".join(part.strip() for part in str(error.raw_msg or "").strip().splitlines())[:500]
    for secret in secrets(dsn) if dsn else ():
        line = line.replace(secret, "***")
    return f"{line or type(error).__name__} ({where}{query})"


def _parsed(dsn: str, who: str) -> dict[str, object]:
    try:
        parts = urlsplit(dsn)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        account = parts.netloc.rpartition("@")[2]
        database, _, schema = unquote(parts.path.strip("/")).partition("/")
        port = int(options.pop("port", "0"))
    except ValueError:
        raise _invalid(who, "the connection string cannot be parsed") from None
    if parts.scheme != "snowflake" or not account or not user or not database:
        raise _invalid(who, "the connection string lacks user, account or database")
    if strangers := sorted(options.keys() - PARAMETERS):
        raise _invalid(who, f"the connection string has parameters that are not known: {', '.join(strangers)}")
    found: dict[str, object] = {"account": account, "user": user, "database": database}
    found |= {"schema": schema} if schema else {}
    found |= {"port": port} if port else {}
    found |= {
        each: options[each] for each in ("warehouse", "role", "host", "protocol", "authenticator") if each in options
    }
    return found | _credentials(options, password, who)


def _credentials(options: Mapping[str, str], password: str, who: str) -> dict[str, object]:
    """A key pair by file or environment variable, a token, or the password."""
    phrase = options.get("private_key_passphrase_env")
    file, variable = options.get("private_key_file"), options.get("private_key_env")
    if file or variable:
        pem = _file(file, who) if file else _variable(variable or "", who)
        key = _key(pem, _variable(phrase, who) if phrase else None, file or f"${variable}", who)
        return {"authenticator": "SNOWFLAKE_JWT", "private_key": key}
    if variable := options.get("token_env"):
        kind = options.get("authenticator", "PROGRAMMATIC_ACCESS_TOKEN")
        return {"authenticator": kind, "token": _variable(variable, who)}
    if not password:
        raise _invalid(who, "the connection string has no password and names no key or token")
    return {"password": password}


def _key(pem: str, passphrase: str | None, place: str, who: str) -> bytes:
    """The DER form of a PEM key; line ends may be written as `\\n`, as many secret stores have them."""
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(
            pem.replace("\\n", "\n").encode(), passphrase.encode() if passphrase else None
        )
    except (ValueError, TypeError):  # their texts may quote the key
        raise ConfigError(
            f"{who}: {place} holds no private key that can be read",
            fix="put an RSA key in PEM form there; name the variable of its passphrase in `private_key_passphrase_env`",
        ) from None
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _file(path: str, who: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{who}: the private key file {path} cannot be read ({type(error).__name__})", fix="correct the path"
        ) from None


def _variable(variable: str, who: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise ConfigError(f"{who}: the environment variable {variable} is not set", fix=f"set {variable}")
    return value


def _invalid(who: str, what: str) -> DbError:
    return DbError(
        f"{who}: {what}",
        phase="connect",
        code="invalid_dsn",
        fix="write it as snowflake://user:password@account/database/schema?warehouse=..&role=.., special characters "
        f"percent-encoded; known parameters are {', '.join(sorted(PARAMETERS))}",
    )
