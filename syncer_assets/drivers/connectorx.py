"""ConnectorX as the reader of MySQL: a query on a session that is set up already, its rows as Arrow batches."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Lock
from typing import IO

import pyarrow as pa

from ..model.errors import DbError
from . import mysql
from .mysql_relay import Relay

PROGRAM = Path(__file__).with_name("connectorx_reader.py")


class Readers:
    """Reading processes, one for each read at a time, kept for the next one."""

    def __init__(self) -> None:
        self._idle: list[_Reader] = []
        self._lock = Lock()

    def read(
        self, connection: mysql.Connection, query: str, *, who: str, table: str | None, batch_rows: int
    ) -> Generator[pa.RecordBatch, None, None]:
        """The rows of `query`; `connection` is used up. Raises DbError, never ends with fewer rows than there are.

        What was read ahead of its use stays below some 40 MB.
        """
        reader = self._take()
        relay = Relay(connection)
        try:
            yield from reader.read(relay, query, batch_rows)
            if relay.error is not None:
                raise _error(relay, "", who, table)
        except _ReadFailed as failed:
            raise _error(relay, str(failed), who, table) from None
        finally:
            relay.close()
            self._give_back(reader)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.end()

    def _take(self) -> "_Reader":
        with self._lock:
            return self._idle.pop() if self._idle else _Reader()

    def _give_back(self, reader: "_Reader") -> None:
        if not reader.is_idle:
            return reader.end()
        with self._lock:
            self._idle.append(reader)


class _ReadFailed(Exception):
    """ConnectorX's own words, or that its process ended."""


class _Reader:
    """One process. `is_idle` once it has answered to the end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH")},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        self._answers: IO[bytes] = self._process.stdout
        self.is_idle = True

    def read(self, relay: Relay, query: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        self.is_idle = False
        request = {"url": f"mysql://relay@localhost/?socket={relay.address}", "query": query, "rows": batch_rows}
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except OSError:
            raise _ReadFailed("the reading process ended") from None
        schema = pa.schema([])
        while True:
            with relay.wanting():  # not while it comes over: the server would send the next one in the meantime
                kind, size = self._head()
            payload = self._payload(size)
            if kind == b"S":
                schema = pa.ipc.read_schema(payload)
            elif kind == b"B":
                batch = pa.ipc.read_record_batch(payload, schema)
                if batch.num_rows:  # without rows ConnectorX gives one empty batch
                    yield batch
            else:
                self.is_idle = True
                if kind == b"E":
                    raise _ReadFailed(bytes(payload).decode(errors="replace"))
                return

    def end(self) -> None:
        self._process.kill()
        self._requests.close()
        self._answers.close()
        self._process.wait()

    def _head(self) -> tuple[bytes, int]:
        head = self._answers.read(9)
        if len(head) < 9:
            raise _ReadFailed("the reading process ended")
        return head[:1], int.from_bytes(head[1:], "little")

    def _payload(self, size: int) -> pa.Buffer:
        payload = pa.allocate_buffer(size)
        view, done = memoryview(payload), 0
        while done < size:
            count = self._answers.readinto(view[done:])  # type: ignore[attr-defined]  # a buffered reader
            if not count:
                raise _ReadFailed("the reading process ended")
            done += count
        return payload


TEXTS = (
    ("bytes remaining on stream", 2013),
    ("IoError", 2013),
    ("IO error", 2013),
    ("server disconnected", 2013),
    ("timed out waiting for connection", 2013),
    ("the reading process ended", 2013),
)
"""ConnectorX tells a lost connection in these words. What the server says has its number from the relay."""


def _error(relay: Relay, text: str, who: str, table: str | None) -> DbError:
    if relay.error is not None:
        number, message = relay.error
        return mysql.translate(number, message, "read", who=who, table=table)
    known = next(((fragment, number) for fragment, number in TEXTS if fragment in text), None)
    if relay.lost or known:
        return mysql.translate(
            2013, "the server closed the connection while rows were read", "read", who=who, table=table
        )
    return DbError(
        f"{who}: the reader could not read a value",
        table=table,
        fix="list the columns of the rarest types in `columns.exclude`, and report those types: it is a defect",
    )
