"""The rows of a MySQL query as Arrow batches: PyMySQL's session, a prepared statement, and our own parser.

Rows of a prepared statement come in binary: floats are exact, where the text protocol cuts FLOAT to six digits. The
socket is read only when the next batch is asked for, so what is held is a batch and RECEIVE_BYTES; the server waits
meanwhile. https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase_ps.html
"""

import select
import socket
import struct
from collections.abc import Generator
from contextlib import suppress
from time import monotonic
from typing import Any

import pyarrow as pa
from pymysql.constants import COMMAND, FIELD_TYPE, FLAG
from pymysql.protocol import FieldDescriptorPacket

from ..model.errors import AttemptVoid
from . import mysql
from .columns import (
    BATCH_BYTES,
    BYTES,
    DATE,
    DECIMAL,
    DOUBLE,
    FLOAT,
    INTEGER,
    TEXT,
    TIMESTAMP,
    Findings,
    batch,
)
from .native import Kind, MysqlRows

RECEIVE_BYTES = 1024 * 1024
WAKE_BYTES = 128 * 1024
"""The server sends 16 kB at a time, and to be woken for each costs both sides. What comes last is less:"""
WAIT_MILLISECONDS = 5

INTEGERS = {
    FIELD_TYPE.TINY: 1,
    FIELD_TYPE.SHORT: 2,
    FIELD_TYPE.YEAR: 2,
    FIELD_TYPE.INT24: 4,
    FIELD_TYPE.LONG: 4,
    FIELD_TYPE.LONGLONG: 8,
}
"""Bytes on the wire."""

STRINGS = frozenset(
    {
        *(FIELD_TYPE.VARCHAR, FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.ENUM, FIELD_TYPE.SET),
        *(FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB, FIELD_TYPE.JSON),
    }
)
BINARY_CHARSET = 63


def read(
    connection: mysql.Connection, query: str, schema: pa.Schema, *, who: str, table: str | None, batch_rows: int
) -> Generator[tuple[pa.RecordBatch, Findings], None, None]:
    """The rows of `query` as `schema`, and what its caller has to judge; `connection` is used up.

    Raises DbError, never ends with fewer rows than there are. Raises AttemptVoid for a column that has another type
    than the schema's. Without rows there is no batch.
    """
    try:
        with mysql.errors("read", who=who, table=table):
            fields = _execute(connection, query)
            columns = _columns(fields, schema, table)
            rows = MysqlRows(columns, connection._next_seq_id, batch_rows, BATCH_BYTES)  # type: ignore[attr-defined]  # private
            received = _Received(connection)
        while not rows.ended:
            with mysql.errors("read", who=who, table=table):
                received.fill(rows)
            if rows.error is not None:
                raise mysql.translate(*rows.error, "read", who=who, table=table)
            if rows.count:
                yield batch(rows, schema, who, table)
    finally:
        mysql.discard(connection)


class _Received:
    """What came from the server and is not parsed yet: `_data[_start:_stop]`."""

    def __init__(self, connection: Any):  # PyMySQL has no public names for these
        self._socket, self._silent_seconds = connection._sock, connection._read_timeout
        first = connection._rfile.read1(RECEIVE_BYTES)  # what PyMySQL has read ahead, or else what comes first
        self._data = bytearray(RECEIVE_BYTES)
        self._data[: len(first)] = first
        self._start, self._stop = 0, len(first)
        self._poll: select.poll | None = None
        if type(self._socket) is socket.socket:  # of TLS, no poll says what is there
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, WAKE_BYTES)
            self._socket.setblocking(False)
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)

    def fill(self, rows: MysqlRows) -> None:
        """Receive and parse until the rows are as many as a batch has, or all. Raises pymysql.OperationalError."""
        while True:
            try:
                self._start = rows.feed(self._data, self._start, self._stop)
            except ValueError:
                raise mysql.pymysql.OperationalError(2027, "malformed packet") from None
            if rows.full or rows.ended:
                return
            self._make_room()
            count = self._receive(memoryview(self._data)[self._stop :])
            if not count:
                raise mysql.pymysql.OperationalError(2013, "the server closed the connection while rows were read")
            self._stop += count

    def _receive(self, into: memoryview) -> int:
        """How many bytes came, 0 at the end. Raises OSError, also where none come for too long."""
        if self._poll is None:
            return self._socket.recv_into(into)
        silent_at = monotonic() + self._silent_seconds
        while monotonic() < silent_at:
            self._poll.poll(WAIT_MILLISECONDS)
            with suppress(BlockingIOError):
                return self._socket.recv_into(into)
        raise TimeoutError

    def _make_room(self) -> None:
        """Bring the packet that is not whole to the front; one that fills the buffer gets one of twice the size."""
        rest = self._stop - self._start
        data = self._data if rest < len(self._data) else bytearray(2 * rest)
        memoryview(data)[:rest] = memoryview(self._data)[self._start : self._stop]
        self._data, self._start, self._stop = data, 0, rest


def _execute(connection: Any, query: str) -> list[FieldDescriptorPacket]:
    """Ask for the rows; what the columns are. Raises pymysql.MySQLError."""
    connection._execute_command(COMMAND.COM_STMT_PREPARE, query)
    statement, columns = struct.unpack_from("<xIH", connection._read_packet().get_all_data())
    _definitions(connection, columns)
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", statement, 0, 1))
    return _definitions(connection, connection._read_packet().read_length_encoded_integer())


def _definitions(connection: Any, count: int) -> list[FieldDescriptorPacket]:
    found = [connection._read_packet(FieldDescriptorPacket) for _ in range(count)]
    connection._read_packet()  # EOF: PyMySQL never agrees to leave it out (CLIENT_DEPRECATE_EOF)
    return found


def _columns(fields: list[FieldDescriptorPacket], schema: pa.Schema, table: str | None) -> tuple[Kind, ...]:
    """What the parser has to know of each column."""
    found = [_column(field, wanted.type) for field, wanted in zip(fields, schema, strict=True)]
    strange = [schema.field(number).name for number, column in enumerate(found) if column is None]
    if strange:
        raise AttemptVoid(
            f"columns came as another type than the catalogue had: {', '.join(strange)}",
            table=table,
            fix="none needed where the table was altered meanwhile: it is read anew. If it stays so, list them in "
            "`columns.exclude`, and report their types: it is a defect",
        )
    return tuple(column for column in found if column is not None)


def _column(field: Any, wanted: pa.DataType) -> Kind | None:
    """(kind, wire, lake) of `native.MysqlRows`; None where the type of the wire is not one for the lake's."""
    wire: int = field.type_code
    if pa.types.is_integer(wanted) and wire in INTEGERS:
        sent, kept = INTEGERS[wire], wanted.bit_width // 8
        is_unsigned = field.flags & FLAG.UNSIGNED, pa.types.is_unsigned_integer(wanted)
        return INTEGER, sent if is_unsigned[0] else -sent, kept if is_unsigned[1] else -kept
    if pa.types.is_decimal128(wanted) and wire == FIELD_TYPE.NEWDECIMAL:
        return DECIMAL, wanted.precision, wanted.scale
    if pa.types.is_timestamp(wanted) and wire in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        return TIMESTAMP, 0, 0
    if pa.types.is_binary(wanted) and wire in STRINGS and field.charsetnr == BINARY_CHARSET:
        return BYTES, 0, 0
    if pa.types.is_string(wanted) and wire in STRINGS:
        return TEXT, 0, 0
    plain = {
        (pa.float32(), FIELD_TYPE.FLOAT): FLOAT,
        (pa.float64(), FIELD_TYPE.DOUBLE): DOUBLE,
        (pa.date32(), FIELD_TYPE.DATE): DATE,
    }
    kind = plain.get((wanted, wire))
    return None if kind is None else (kind, 0, 0)
