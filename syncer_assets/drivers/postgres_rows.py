"""The rows of a PostgreSQL query as Arrow batches: psycopg's session, a binary COPY, our own parser.

The parser asks libpq for the next row only when the next batch is asked for, so what is held is a batch and libpq's
buffer; the server waits meanwhile. https://www.postgresql.org/docs/current/sql-copy.html
"""

import ctypes
from collections.abc import Generator
from functools import cache
from importlib import import_module
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import pq, sql

from ..model.errors import AttemptVoid, ConfigError
from . import postgres
from .answering import Session
from .columns import (
    BATCH_BYTES,
    BOOLEAN,
    BYTES,
    DATE,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER,
    TEXT,
    TIME,
    TIMESTAMP,
    Findings,
    batch,
)
from .native import Kind, PostgresRows

NUMERIC = 1700
STRINGS = frozenset({25, 1042, 1043})
"""text, char(n), varchar(n)."""

PLAIN: dict[tuple[int, pa.DataType], Kind] = {
    (16, pa.bool_()): (BOOLEAN, 0, 0),
    (21, pa.int16()): (INTEGER, -2, -2),
    (23, pa.int32()): (INTEGER, -4, -4),
    (20, pa.int64()): (INTEGER, -8, -8),
    (700, pa.float32()): (FLOAT, 0, 0),
    (701, pa.float64()): (DOUBLE, 0, 0),
    (17, pa.binary()): (BYTES, 0, 0),
    (1082, pa.date32()): (DATE, 0, 0),
    (1083, pa.time64("us")): (TIME, 0, 0),
    (1114, pa.timestamp("us")): (TIMESTAMP, 0, 0),
    (1184, pa.timestamp("us", "UTC")): (TIMESTAMP, 0, 0),
}
"""By the OID of the server's type and the lake's type. A domain comes with the OID of its base."""


def read(
    connection: Session,
    query: sql.Composable,
    kinds: tuple[Kind, ...],
    schema: pa.Schema,
    *,
    who: str,
    table: str | None,
    batch_rows: int,
) -> Generator[tuple[pa.RecordBatch, Findings], None, None]:
    """The rows of `query` as `schema`, and what its caller has to judge; `kinds` are those of `kinds_of`.

    Raises DbError, never ends with fewer rows than there are. A read that is given up, or fails, closes `connection`.
    Without rows there is no batch.
    """
    if connection.info.encoding != "utf-8":
        raise ConfigError(
            f"{who}: the connection string asks for texts in another encoding than UTF-8",
            table=table,
            fix="remove client_encoding from it, and from PGCLIENTENCODING: the server converts",
        )
    rows, total = PostgresRows(kinds, _libpq(), batch_rows, BATCH_BYTES), 0
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)
    with postgres.errors("read", who=who, table=table), connection.cursor().copy(statement):
        try:
            while not rows.ended:
                _pull(rows, connection)
                total += rows.count
                if rows.ended:
                    _assert_whole(rows, connection.pgconn, total)
                if rows.count:
                    yield batch(rows, schema, who, table)
        except BaseException:
            connection.close()  # or psycopg would receive the rest
            raise


def kinds_of(description: list[psycopg.Column], schema: pa.Schema, table: str | None) -> tuple[Kind, ...]:
    """What the parser has to know of each column of a result, since the rows of a COPY do not say it.

    Raises AttemptVoid for a column that has another type than the schema's.
    """
    found = [_kind(column, wanted.type) for column, wanted in zip(description, schema, strict=True)]
    strange = [schema.field(number).name for number, kind in enumerate(found) if kind is None]
    if strange:
        raise AttemptVoid(
            f"columns came as another type than the catalogue had: {', '.join(strange)}",
            table=table,
            fix="none needed where the table was altered meanwhile: it is read anew. If it stays so, list them in "
            "`columns.exclude`, and report their types: it is a defect",
        )
    return tuple(kind for kind in found if kind is not None)


def _kind(column: psycopg.Column, wanted: pa.DataType) -> Kind | None:
    if column.type_code in STRINGS and pa.types.is_string(wanted):
        return TEXT, 0, 0
    if column.type_code == NUMERIC and pa.types.is_decimal128(wanted):
        declared = (column.precision, column.scale)
        return (DECIMAL, wanted.precision, wanted.scale) if declared == (wanted.precision, wanted.scale) else None
    return PLAIN.get((column.type_code, wanted))


@cache
def _libpq() -> tuple[int, int, int]:
    """What the parser calls, of the very library that psycopg's connections are made by."""
    compiled = pq.__impl__ != "python"
    path = import_module(f"psycopg_{pq.__impl__}.pq").__file__ if compiled else pq.misc.find_libpq_full_path()
    library = ctypes.CDLL(path)
    called = (library.PQgetCopyData, library.PQconsumeInput, library.PQfreemem)
    first, second, third = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in called)
    return first, second, third


def _pull(rows: PostgresRows, session: Session) -> None:
    """Raises psycopg.Error."""
    connection: Any = session.pgconn  # what psycopg says of its type lacks the public pgconn_ptr
    try:
        if not rows.pull(connection.pgconn_ptr, connection.socket, session.answer_seconds):
            raise session.silent(session.answer_seconds)
    except ValueError:
        raise psycopg.OperationalError("the connection is lost: malformed message") from None
    if rows.lost:
        raise psycopg.OperationalError(connection.get_error_message())


def _assert_whole(rows: PostgresRows, connection: Any, total: int) -> None:
    """Raises psycopg.Error: the server's, or that its rows are not as many as it says."""
    results = list(iter(connection.get_result, None))
    for result in results:
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
    if not rows.whole or [result.command_tuples for result in results] != [total]:
        raise psycopg.OperationalError("the connection is lost: rows are missing")
