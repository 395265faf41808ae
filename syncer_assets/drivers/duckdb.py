"""DuckDB as a reader of PostgreSQL: the extension from its wheel, no downloads, and errors without values."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import duckdb

from ..model.errors import DbError

_TRANSIENT = (
    "server closed the connection",
    "terminating connection",
    "no connection to the server",
    "connection to server",
    "could not connect",
    "Connection refused",
    "SSL SYSCALL error",
    "Connection reset",
    "recovery mode",
    "not yet accepting connections",
    "starting up",
    "shutting down",
    "conflict with recovery",
    "too many clients",
    "deadlock detected",
    "lock timeout",
)
_FIXES = {
    "statement timeout": "make chunk.rows smaller, or raise the source's statement_timeout",
    "permission denied": "grant SELECT on the table to the source's role",
    "does not exist": "the table or a column was dropped or renamed while it was read: run again",
}


def connect(conninfo: str, *, threads: int = 1) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with the PostgreSQL database attached as `src`, read only, times in UTC."""
    connection = duckdb.connect(
        config={"threads": threads, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.load_extension(str(_extension("postgres_scanner")))
    with errors("the source"):
        connection.execute(f"ATTACH '{_quoted(conninfo)}' AS src (TYPE postgres, READ_ONLY)")
    return connection


def statement(query: str) -> str:
    """The DuckDB statement that runs `query` on the attached server as it is written."""
    return f"SELECT * FROM postgres_query('src', '{_quoted(query)}')"


def close(reader: duckdb.DuckDBPyConnection) -> None:
    """End the transaction of a cursor and close it.

    Left to its destructor, a ROLLBACK that fails because the server is gone aborts the process (measured on 1.5.5).
    """
    with suppress(duckdb.Error):
        reader.execute("ROLLBACK")
    reader.close()


@contextmanager
def errors(who: str, *, table: str | None = None, partition: str | None = None) -> Iterator[None]:
    """Turn DuckDB's exceptions (a streaming reader raises OSError) into DbError. Values and DSNs are left out."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        text = str(error)
        known = next((fragment for fragment in (*_TRANSIENT, *_FIXES) if fragment in text), None)
        raise DbError(
            f"{who}: the read ended early ({known or type(error).__name__})",
            phase="read",
            code=known,
            retryable=known in _TRANSIENT,
            table=table,
            partition=partition,
            fix=_FIXES.get(known or "", "run again; if it stays, `syncer doctor` names what is wrong"),
        ) from None


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _extension(name: str) -> Path:
    spec = find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise DbError(
            f"the wheel duckdb-extension-{name.replace('_', '-')} is not installed",
            phase="connect",
            fix="install the versions of constraints.txt",
        )
    found = sorted(Path(os.path.dirname(spec.origin)).glob(f"extensions/*/{name}.duckdb_extension"))
    if not found:
        raise DbError(f"the wheel of {name} holds no extension", phase="connect", fix="reinstall it")
    return found[-1]
