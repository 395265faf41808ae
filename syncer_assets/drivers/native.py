"""The compiled parsers of rows, called by ctypes: they know nothing of Python, so gcc alone builds them.

A call holds no interpreter lock. One `Rows` is used by one thread at a time.
"""

import ctypes
import importlib.util
import math
from collections.abc import Sequence
from ctypes import POINTER, byref, c_bool, c_int32, c_int64, c_ubyte, c_uint32, c_uint64, c_void_p
from functools import cache
from threading import Lock
from time import monotonic
from typing import Any

import pyarrow as pa

from ..model.errors import ConfigError

GOOD, MORE, MALFORMED, NO_MEMORY = range(4)
"""What a call answers, as `_columns.h` numbers it."""

Kind = tuple[int, int, int]
"""(kind, wire, lake): bytes of an integer, negative if it has a sign; precision and scale of a decimal; 0 otherwise."""

Taken = tuple[pa.Buffer | None, pa.Buffer | None, pa.Buffer, int, int]
"""A column: validity (None: no value is NULL), offsets (None: of fixed width), values, number of NULLs, findings."""


class Rows:
    """What both parsers have: rows that wait, and the way to take them."""

    _prefix = ""

    def __init__(self, columns: Sequence[Kind], made: Any):
        self._width, self._alone, self._failed = len(columns), Lock(), False
        self._rows = c_void_p(made)
        if not made:
            raise ValueError("a column is (kind, wire, lake), most_rows at least 1, most_bytes 1 to 512 MB")

    def __del__(self) -> None:
        if getattr(self, "_rows", None):
            self._call("free")

    @property
    def count(self) -> int:
        """Rows that wait for `take`."""
        return self._call("count")

    @property
    def ended(self) -> bool:
        """There are no more: all rows came, or the server's error."""
        return self._call("ended")

    def take(self) -> tuple[Taken, ...]:
        """The rows since the last time, without a copy. Raises ValueError where there are none, or after an error."""
        taken = (_Column * self._width)()
        with self._one_thread():
            if not self._call("take", taken):
                raise ValueError("there are no rows to take")
        return tuple(column.taken() for column in taken)

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(_library(), f"{self._prefix}_{name}")(self._rows, *arguments)

    def _one_thread(self) -> "_OneThread":
        if self._failed:
            raise ValueError("no rows are read after an error")
        return _OneThread(self._alone)

    def _judge(self, result: int, what: str) -> None:
        self._failed = result in (MALFORMED, NO_MEMORY)
        if result == MALFORMED:
            raise ValueError(f"malformed {what}")
        if result == NO_MEMORY:
            raise MemoryError


class MysqlRows(Rows):
    """The rows of one result of MySQL's binary protocol. `sequence` is the number of the next packet."""

    _prefix = "mysql"

    def __init__(self, columns: Sequence[Kind], sequence: int, most_rows: int, most_bytes: int):
        super().__init__(columns, _library().mysql_new(_flat(columns), len(columns), sequence, most_rows, most_bytes))

    def feed(self, data: bytes | bytearray, start: int, stop: int) -> int:
        """Parse `data[start:stop]` as far as its packets are whole, and rows are not too many; where that ended.

        Raises ValueError for bytes that are not the protocol's.
        """
        if not 0 <= start <= stop <= len(data):
            raise ValueError("the bytes lie within the buffer")
        at = c_int64()
        with self._one_thread():
            from_ = data if isinstance(data, bytes) else (c_ubyte * len(data)).from_buffer(data)
            result = self._call("feed", from_, start, stop, byref(at))
        self._judge(result, "packet")
        return at.value

    @property
    def full(self) -> bool:
        """As many rows, or bytes, wait as there should be at most."""
        return self._call("full")

    @property
    def error(self) -> tuple[int, str] | None:
        """The server's error, which ended the rows."""
        code, size = c_int32(), c_int64()
        text = self._call("error", byref(code), byref(size))
        return None if text is None else (code.value, ctypes.string_at(text, size.value).decode(errors="replace"))


class PostgresRows(Rows):
    """The rows of one binary COPY. `libpq` has the addresses of PQgetCopyData, PQconsumeInput and PQfreemem."""

    _prefix = "postgres"

    def __init__(self, columns: Sequence[Kind], libpq: tuple[int, int, int], most_rows: int, most_bytes: int):
        super().__init__(columns, _library().postgres_new(_flat(columns), len(columns), *libpq, most_rows, most_bytes))

    def pull(self, connection: int, socket: int, silent_seconds: float = math.inf) -> bool:
        """Receive until as many rows, or bytes, wait as there should be at most, or until there are no more.

        `connection` is a PGconn whose COPY has begun, `socket` its file. False where no row came for `silent_seconds`.
        Raises ValueError for bytes that are not the format's, and what a signal's handler raises.
        """
        count, heard = self.count, monotonic()
        with self._one_thread():
            result = MORE
            while result == MORE:  # nothing came for a while: Python looks at its signals between two calls
                result = self._call("pull", connection, socket)
                if result == MORE and self.count != count:
                    count, heard = self.count, monotonic()
                elif result == MORE and monotonic() - heard > silent_seconds:
                    return False
        self._judge(result, "message")
        return True

    @property
    def lost(self) -> bool:
        """The connection is lost."""
        return self._call("lost")

    @property
    def whole(self) -> bool:
        """The trailer came, behind which there are no rows."""
        return self._call("whole")


class _OneThread:
    """Raises ValueError where another thread is at work."""

    def __init__(self, lock: Lock):
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise ValueError("another thread is at work")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _Block:
    """Memory of a parser, freed when Arrow needs it no more."""

    def __init__(self, address: int):
        self._address = address
        self._release = _library().rows_release

    def __del__(self) -> None:
        self._release(self._address)


class _Column(ctypes.Structure):
    """`Taken` of `_columns.h`."""

    _fields_ = (
        ("valid", c_void_p),
        ("offsets", c_void_p),
        ("values", c_void_p),
        ("valid_size", c_int64),
        ("offsets_size", c_int64),
        ("values_size", c_int64),
        ("nulls", c_int64),
        ("findings", c_uint32),
    )

    def taken(self) -> Taken:
        """As buffers that own their memory."""
        values = _buffer(self.values, self.values_size)
        assert values is not None
        valid, offsets = _buffer(self.valid, self.valid_size), _buffer(self.offsets, self.offsets_size)
        return valid, offsets, values, self.nulls, self.findings


def _buffer(address: int | None, size: int) -> pa.Buffer | None:
    return None if not address else pa.foreign_buffer(address, size, _Block(address))


def _flat(columns: Sequence[Kind]) -> Any:
    numbers = [number for kind in columns for number in kind]
    if len(numbers) != 3 * len(columns) or any(abs(number) >= 2**31 for number in numbers):
        raise ValueError("a column is (kind, wire, lake)")
    return (c_int32 * len(numbers))(*numbers)


@cache
def _library() -> Any:
    """The compiled part, with the types of its functions. Raises ConfigError where it is missing."""
    found = importlib.util.find_spec("syncer_assets.drivers._rows")
    if found is None or found.origin is None:
        raise ConfigError(
            "the parsers of rows were not compiled when syncer_assets was installed",
            fix="install gcc, then `make clean setup`",
        )
    library = ctypes.CDLL(found.origin)
    rows, columns = c_void_p, POINTER(c_int32)
    signatures: dict[str, tuple[Any, ...]] = {
        "mysql_new": (c_void_p, columns, c_int64, c_int32, c_int64, c_int64),
        "mysql_feed": (c_int32, rows, c_void_p, c_int64, c_int64, POINTER(c_int64)),
        "mysql_full": (c_bool, rows),
        "mysql_error": (c_void_p, rows, POINTER(c_int32), POINTER(c_int64)),
        "postgres_new": (c_void_p, columns, c_int64, c_uint64, c_uint64, c_uint64, c_int64, c_int64),
        "postgres_pull": (c_int32, rows, c_uint64, c_int32),
        "postgres_lost": (c_bool, rows),
        "postgres_whole": (c_bool, rows),
        "rows_release": (None, c_void_p),
    }
    for prefix in ("mysql", "postgres"):
        signatures |= {
            f"{prefix}_free": (None, rows),
            f"{prefix}_take": (c_bool, rows, POINTER(_Column)),
            f"{prefix}_count": (c_int64, rows),
            f"{prefix}_ended": (c_bool, rows),
        }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
