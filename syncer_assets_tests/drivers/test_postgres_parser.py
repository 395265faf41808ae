"""The parser of PostgreSQL's rows, alone: a fake libpq hands out messages, whole, cut off, late and at random."""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from decimal import Decimal
from random import Random
from threading import Timer
from types import SimpleNamespace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.pq import ExecStatus

from syncer_assets.drivers import columns, postgres_rows
from syncer_assets.drivers.columns import (
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
    Finding,
)
from syncer_assets.drivers.native import Kind
from syncer_assets.drivers.native import PostgresRows as Rows
from syncer_assets.model.errors import DbError

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_DAYS, EPOCH_MICROSECONDS = 10_957, 946_684_800_000_000
SOME_OF_EACH: tuple[tuple[Kind, pa.DataType, bytes, object], ...] = (
    ((BOOLEAN, 0, 0), pa.bool_(), b"\x01", True),
    ((INTEGER, -2, -2), pa.int16(), struct.pack(">h", -7), -7),
    ((TEXT, 0, 0), pa.string(), "aäbc".encode(), "aäbc"),
    ((INTEGER, -4, -4), pa.int32(), struct.pack(">i", -(2**31)), -(2**31)),
    ((INTEGER, -8, -8), pa.int64(), struct.pack(">q", 2**63 - 1), 2**63 - 1),
    ((DECIMAL, 38, 2), pa.decimal128(38, 2), struct.pack(">4H2H", 2, 0, 0x4000, 2, 123, 4500), Decimal("-123.45")),
    ((FLOAT, 0, 0), pa.float32(), struct.pack(">f", 0.5), 0.5),
    ((DOUBLE, 0, 0), pa.float64(), struct.pack(">d", -0.1), -0.1),
    ((BYTES, 0, 0), pa.binary(), b"\x00\xff", b"\x00\xff"),
    ((BOOLEAN, 0, 0), pa.bool_(), b"\x00", False),
)
KINDS = tuple(kind for kind, *_ in SOME_OF_EACH)
SCHEMA = pa.schema([pa.field(f"c{n}", type) for n, (_, type, *_) in enumerate(SOME_OF_EACH)])


class FakeLibpq:
    """Hands out messages: None stands for one that is not there yet, an int for what PQgetCopyData returns then."""

    def __init__(self, *messages: bytes | int | None, alive: Callable[[], bool] = lambda: True):
        self._messages, self._alive, self.handed, self.freed = list(messages), alive, 0, 0
        self._buffers: list[Any] = []
        get = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int)(self._get)
        consume = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda connection: int(self._alive()))
        free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._free)
        self._kept = (get, consume, free)
        first, second, third = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in self._kept)
        self.addresses = (first, second, third)
        self.readable, self._writable = os.pipe()
        os.write(self._writable, b"x")

    def drain(self) -> None:
        """Nothing to read any more at the socket."""
        os.read(self.readable, 1)

    def close(self) -> None:
        os.close(self.readable)
        os.close(self._writable)

    def add(self, *messages: bytes | int | None) -> None:
        self._messages += messages

    def _get(self, connection: int, message: Any, asynchronous: int) -> int:
        assert (connection, asynchronous) == (7, 1)
        found = self._messages.pop(0) if self._messages else None
        if found is None or isinstance(found, int):
            return found or 0
        data = ctypes.create_string_buffer(found, len(found))  # no byte more: a reader beyond it would meet its guard
        self._buffers.append(data)
        message[0] = ctypes.addressof(data)
        self.handed += 1
        return len(found)

    def _free(self, message: int) -> None:
        assert message == ctypes.addressof(self._buffers.pop())
        self.freed += 1


def field(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def row(values: Sequence[bytes | None]) -> bytes:
    return struct.pack(">h", len(values)) + b"".join(map(field, values))


def pulled(kinds: Sequence[Kind], *messages: bytes | int | None, most_rows: int = 100_000) -> Any:
    """The parser after all messages, and the end."""
    libpq = FakeLibpq(*messages, -1)
    rows = Rows(tuple(kinds), libpq.addresses, most_rows, 1 << 20)
    try:
        rows.pull(7, libpq.readable)
    finally:
        libpq.close()
        assert libpq.handed == libpq.freed
    return rows


def batch_of(rows: Any, schema: pa.Schema) -> tuple[pa.RecordBatch, columns.Findings]:
    batch, findings = columns.batch(rows, schema, "source shop", "t")
    batch.validate(full=True)
    return batch, findings


def one(kind: Kind, type: pa.DataType, *values: bytes | None) -> tuple[pa.Array, Finding]:
    """A single column, and what was found; numbers and times that do not fit are an error."""
    rows = pulled([kind], HEADER + b"".join(row([value]) for value in values) + TRAILER)
    assert rows.ended and rows.whole and rows.count == len(values)
    batch, findings = batch_of(rows, pa.schema([pa.field("c", type)]))
    return batch.column(0), findings.get(0, Finding(0))


def numeric(value: Decimal) -> bytes:
    """As numeric_send writes it: digits to the base of 10000, zeros at both ends left out."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    whole, part = (text[:exponent], text[exponent:]) if exponent else (text, "")
    part = part.rjust(-exponent, "0")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    part = part.ljust(-(-len(part) // 4) * 4, "0")
    groups = [int((whole + part)[at : at + 4]) for at in range(0, len(whole + part), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        del groups[0]
        weight -= 1
    while groups and groups[-1] == 0:
        del groups[-1]
    weight = weight if groups else 0
    return struct.pack(f">HhHH{len(groups)}H", len(groups), weight, 0x4000 * sign, -exponent, *groups)


def test_values_of_every_kind_and_nulls_between_them() -> None:
    whole, empty = row([wire for _, _, wire, _ in SOME_OF_EACH]), row([None] * len(KINDS))
    rows = pulled(KINDS, HEADER + whole, empty, whole + whole, TRAILER)
    batch, findings = batch_of(rows, SCHEMA)
    assert findings == {} and batch.num_rows == 4 and rows.ended and rows.whole
    for number, (*_, value) in enumerate(SOME_OF_EACH):
        assert batch.column(number).to_pylist() == [value, None, value, value]


def test_a_header_alone_and_a_trailer_with_it_are_no_rows() -> None:
    for messages in ((HEADER, TRAILER), (HEADER + TRAILER,)):
        rows = pulled(KINDS, *messages)
        assert (rows.count, rows.whole, rows.ended) == (0, True, True)


@pytest.mark.parametrize("scale", [0, 1, 2, 3, 4, 5, 8, 19, 37, 38])
def test_a_decimal_is_exact_at_every_scale(scale: int) -> None:
    random = Random(scale)
    numbers = [0, 1, -1, 9, 10**38 - 1, -(10**38) + 1, 10**scale if scale < 38 else 5, 10 ** (scale // 2)]
    numbers += [random.randrange(-(10**size), 10**size) for size in range(1, 39) for _ in range(20)]
    values = [Decimal(number).scaleb(-scale) for number in numbers]
    exact = [Decimal((value.is_signed(), value.as_tuple().digits, -scale)) for value in values]
    found, _ = one((DECIMAL, 38, scale), pa.decimal128(38, scale), *(numeric(value) for value in exact))
    assert found.to_pylist() == exact


@pytest.mark.parametrize(
    ("precision", "scale", "text"),
    [(5, 2, "1000.00"), (5, 2, "1.001"), (5, 2, "0.00001"), (38, 0, "1" + "0" * 38), (4, 4, "1"), (3, 0, "1e40")],
)
def test_a_number_that_does_not_fit_is_an_error(precision: int, scale: int, text: str) -> None:
    value = Decimal(f"{Decimal(text):f}")
    with pytest.raises(DbError, match=r"cannot hold, in c\b"):
        one((DECIMAL, precision, scale), pa.decimal128(precision, scale), numeric(value))


@pytest.mark.parametrize(("sign", "found"), [(0xC000, Finding.NOT_A_NUMBER), (0xD000, None), (0xF000, None)])
def test_nan_is_found_and_infinity_an_error(sign: int, found: Finding | None) -> None:
    data = struct.pack(">HhHH", 0, 0, sign, 0)
    if found is None:
        with pytest.raises(DbError, match="cannot hold"):
            one((DECIMAL, 5, 2), pa.decimal128(5, 2), data)
    else:
        values, findings = one((DECIMAL, 5, 2), pa.decimal128(5, 2), data)
        assert (values.to_pylist(), findings) == ([None], found)


def test_moments_count_from_1970_and_infinities_are_the_lakes() -> None:
    wire = [0, 1, -EPOCH_MICROSECONDS, -(2**63) + 1, 2**63 - 1 - EPOCH_MICROSECONDS - 1, 2**63 - 1, -(2**63)]
    lake = [value + EPOCH_MICROSECONDS for value in wire[:-2]] + [2**63 - 1, -(2**63) + 1]
    found, _ = one((TIMESTAMP, 0, 0), pa.timestamp("us"), *(struct.pack(">q", value) for value in wire))
    assert found.view(pa.int64()).to_pylist() == lake
    wire = [0, -EPOCH_DAYS, 2**31 - 1 - EPOCH_DAYS - 1, -(2**31) + 1, 2**31 - 1, -(2**31)]
    lake = [value + EPOCH_DAYS for value in wire[:-2]] + [2**31 - 1, -(2**31) + 1]
    found, _ = one((DATE, 0, 0), pa.date32(), *(struct.pack(">i", value) for value in wire))
    assert found.view(pa.int32()).to_pylist() == lake


def test_the_end_of_a_day_is_a_time() -> None:
    """24:00, which Arrow's own validation does not know."""
    rows = pulled([(TIME, 0, 0)], HEADER + row([struct.pack(">q", 86_400_000_000)]) + TRAILER)
    batch, _ = columns.batch(rows, pa.schema([("c", pa.time64("us"))]), "source shop", "t")
    assert batch.column(0).view(pa.int64()).to_pylist() == [86_400_000_000]


@pytest.mark.parametrize("value", [2**63 - 1 - EPOCH_MICROSECONDS, 2**63 - 2])
def test_a_moment_that_does_not_fit_is_an_error(value: int) -> None:
    """The last 48 years before 294276, whose microseconds since 1970 need more than 63 bits."""
    with pytest.raises(DbError, match="cannot hold"):
        one((TIMESTAMP, 0, 0), pa.timestamp("us"), struct.pack(">q", value))
    with pytest.raises(DbError, match="cannot hold"):
        one((DATE, 0, 0), pa.date32(), struct.pack(">i", 2**31 - 1 - EPOCH_DAYS))


def test_a_text_that_is_not_utf8_is_an_error() -> None:
    with pytest.raises(DbError, match="not UTF-8"):
        one((TEXT, 0, 0), pa.string(), b"a\xc3", b"\xa4b")


def test_a_batch_ends_where_it_has_its_rows_or_bytes() -> None:
    libpq = FakeLibpq(HEADER, *[row([struct.pack(">i", n)]) for n in range(25)], TRAILER, -1)
    rows, found = Rows(((INTEGER, -4, -4),), libpq.addresses, 10, 1 << 20), []
    while not rows.ended:
        rows.pull(7, libpq.readable)
        found.append(batch_of(rows, pa.schema([("c", pa.int32())]))[0].column(0).to_pylist() if rows.count else [])
    assert [len(part) for part in found] == [10, 10, 5] and [n for part in found for n in part] == list(range(25))
    libpq.close()
    libpq = FakeLibpq(HEADER, *[row([bytes(400)])] * 9, TRAILER, -1)
    rows, counts = Rows(((BYTES, 0, 0),), libpq.addresses, 100, 1000), []
    while not rows.ended:
        rows.pull(7, libpq.readable)
        counts.append(batch_of(rows, pa.schema([("c", pa.binary())]))[0].num_rows if rows.count else 0)
    assert counts == [3, 3, 3, 0]
    libpq.close()


def test_a_message_that_comes_late_is_waited_for() -> None:
    """Also where the socket never shows it, as under TLS."""
    for shown in (True, False):
        libpq = FakeLibpq(HEADER, None, None, None)
        if not shown:
            libpq.drain()
        rows = Rows(((INTEGER, -4, -4),), libpq.addresses, 10, 1 << 20)
        late = Timer(0.5, libpq.add, (row([bytes(4)]), None, TRAILER, -1))
        late.start()
        rows.pull(7, libpq.readable)
        late.join()
        assert (rows.count, rows.whole, rows.ended) == (1, True, True)
        libpq.close()


@pytest.mark.parametrize("returned", [-2, None])
def test_a_connection_that_is_lost_is_not_an_end(returned: int | None) -> None:
    libpq = FakeLibpq(HEADER, row([bytes(4)]), returned, alive=lambda: False)
    rows = Rows(((INTEGER, -4, -4),), libpq.addresses, 10, 1 << 20)
    rows.pull(7, libpq.readable)
    assert (rows.lost, rows.ended, rows.whole) == (True, False, False)
    libpq.close()


def test_the_end_without_its_trailer_is_not_whole() -> None:
    rows = pulled([(INTEGER, -4, -4)], HEADER + row([bytes(4)]))
    assert (rows.ended, rows.whole, rows.count) == (True, False, 1)


class FakeConnection:
    """What libpq says after the last row."""

    def __init__(self, rows: int):
        self._results = [SimpleNamespace(status=ExecStatus.COMMAND_OK, command_tuples=rows), None]

    def get_result(self) -> Any:
        return self._results.pop(0)


def test_fewer_rows_than_the_server_says_are_an_error() -> None:
    number = row([bytes(4)])
    for messages, said, good in (
        ([number, number, TRAILER], 2, True),
        ([number, TRAILER], 2, False),
        ([number], 1, False),
    ):
        rows = pulled([(INTEGER, -4, -4)], HEADER, *messages)
        with nullcontext() if good else pytest.raises(psycopg.OperationalError, match="rows are missing"):
            postgres_rows._assert_whole(rows, FakeConnection(said), rows.count)


@pytest.mark.parametrize(
    "message",
    [
        b"PGCOPY\n\xff\r\r\0" + bytes(8) + TRAILER,
        b"PGCOPY\n\xff\r\n\0\0\1\0\0" + bytes(4) + TRAILER,  # with OIDs, as before version 12
        HEADER[:-4] + b"\0\0\0\x09" + TRAILER,  # an extension of the header that is longer than the message
        HEADER + row([bytes(4), bytes(4)]),
        HEADER + row([bytes(8)]),
        HEADER + TRAILER + row([bytes(4)]),
        HEADER + struct.pack(">hi", 1, -2),
        HEADER + struct.pack(">hi", 1, 2**31 - 1) + bytes(4),
        HEADER + struct.pack(">h", -2),
    ],
    ids=["signature", "oids", "extension", "columns", "width", "after the end", "negative", "length", "count"],
)
def test_what_is_not_the_format_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="malformed message"):
        pulled([(INTEGER, -4, -4)], message)


def test_a_message_cut_off_anywhere_is_refused() -> None:
    message = row([wire for _, _, wire, _ in SOME_OF_EACH])
    for size in range(1, len(message)):
        with pytest.raises(ValueError, match="malformed message"):
            pulled(KINDS, HEADER, message[:size])


def test_random_bytes_do_no_harm() -> None:
    """Either they are refused, or the columns are whole."""
    random, whole = Random(3), row([wire for _, _, wire, _ in SOME_OF_EACH])
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            damaged[random.randrange(len(damaged))] = random.choice([0, 1, 127, 128, 255, random.randrange(256)])
        with suppress(ValueError, DbError):
            rows = pulled(KINDS, HEADER, bytes(damaged), whole, TRAILER)
            assert batch_of(rows, SCHEMA)[0].num_rows == 2
