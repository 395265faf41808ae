"""A session that PyMySQL opened, handed to another client of the MySQL protocol over a socket of our own.

ConnectorX speaks no TLS to MySQL, reads a result as fast as it comes into memory without bound, prepares a statement
before its session is set up, and panics onto stderr with the server's text. So it never sees the server or the
password: PyMySQL logs in and sets the session up, ConnectorX is given a greeting on a private Unix socket, and from
then on bytes pass through here: not faster than they are used, and the server's error is kept with its number.
"""

import select
import socket
import ssl
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Condition, Lock, Thread
from types import TracebackType

from pymysql.constants import CLIENT

from . import mysql

AHEAD_BYTES = 32 * 1024 * 1024
"""How much may be read from the server while nobody waits for it."""

RECEIVE_BYTES = 256 * 1024
STARVING_SECONDS = 0.02
"""Who has waited for so long has nothing left of what was sent."""

LONGEST_ERROR_BYTES = 2048
ROWS_END = b"\xfe\x00\x00\x02\x00"


class Relay:
    """One session. `address` is where the other client connects; `error` is what the server sent instead of rows.

    Use `wanting` around each wait for rows; `close` ends both sides, and the server's query with them.
    """

    def __init__(self, connection: mysql.Connection):
        self._connection = connection
        self._server: socket.socket = connection._sock  # type: ignore[attr-defined]  # PyMySQL has no public name for it
        self._folder = tempfile.TemporaryDirectory(prefix="syncer-", dir=_short_folder())
        self.address = str(Path(self._folder.name) / "s")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen(1)
        self._client: socket.socket | None = None
        self._turn, self._talk = Condition(), Lock()
        self._hungry = self._closed = False
        self._ahead = 0
        self.error: tuple[int, str] | None = None
        self.lost = False
        Thread(target=self._serve, name="mysql-relay", daemon=True).start()

    def wanting(self) -> "_Wanting":
        """While the block runs, somebody waits for rows."""
        return _Wanting(self)

    def close(self) -> None:
        """End the session. May be called more than once."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
        for end in (self._client, self._listener, self._server):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                with suppress(OSError):
                    end.close()
        mysql.discard(self._connection)
        self._folder.cleanup()

    def set_hungry(self, hungry: bool) -> None:
        with self._turn:
            self._hungry = hungry
            self._turn.notify_all()

    def _serve(self) -> None:
        with suppress(OSError):
            self._client, _ = self._listener.accept()
            _greet(self._client, self._connection)
            Thread(target=self._pump_requests, args=(self._client,), name="mysql-requests", daemon=True).start()
            self._pump_rows(self._client)
        with suppress(OSError):
            if self._client is not None:
                self._client.shutdown(socket.SHUT_RDWR)

    def _pump_rows(self, client: socket.socket) -> None:
        while True:
            try:
                data = self._from_server()
            except (OSError, ValueError):  # a socket that was closed meanwhile cannot be polled
                data = b""
            if not data:
                self.lost = not self._closed
                return
            client.sendall(self._without_error(data))
            if not self._hungry:
                self._ahead += len(data)
            if self._ahead >= AHEAD_BYTES and not self._wait_for_hunger():
                return

    def _from_server(self) -> bytes:
        """What comes next; empty at the end. A TLS socket must not be read and written at the same time."""
        if not (isinstance(self._server, ssl.SSLSocket) and self._server.pending()):
            waiting = select.poll()
            waiting.register(self._server, select.POLLIN)
            if not waiting.poll(mysql.ANSWER_SECONDS * 1000):
                return b""
        with self._talk:
            return self._server.recv(RECEIVE_BYTES)

    def _pump_requests(self, client: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(RECEIVE_BYTES):
                with self._talk:
                    self._server.sendall(data)

    def _wait_for_hunger(self) -> bool:
        """Until somebody has waited so long that all that was sent is used up. False at the end."""
        with self._turn:
            while not self._closed:
                self._turn.wait_for(lambda: self._hungry or self._closed)
                if not self._turn.wait_for(lambda: not self._hungry or self._closed, STARVING_SECONDS):
                    self._ahead = 0
                    return True
        return False

    def _without_error(self, data: bytes) -> bytes:
        """The bytes for the client. An error after rows becomes an end of rows: who reads them asks `error` then."""
        found = _error_at_end(data)
        if found is None:
            return data
        start, sequence, number, text = found
        self.error = (number, text)
        if sequence == 1:
            return data
        return data[:start] + _packet(sequence, ROWS_END)


class _Wanting:
    def __init__(self, relay: Relay):
        self._relay = relay

    def __enter__(self) -> None:
        self._relay.set_hungry(True)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._relay.set_hungry(False)


def _error_at_end(data: bytes) -> tuple[int, int, int, str] | None:
    """(start, sequence, number, message) where the bytes end with exactly one whole ERR packet."""
    end, start = len(data), max(0, len(data) - LONGEST_ERROR_BYTES)
    while (marker := data.find(b"#", start)) >= 0:
        first = marker - 7  # length (3), sequence (1), 0xff (1), number (2), '#'
        length = int.from_bytes(data[max(0, first) : first + 3], "little")
        if first >= 0 and data[first + 4] == 0xFF and first + 4 + length == end:
            number = int.from_bytes(data[first + 5 : first + 7], "little")
            return first, data[first + 3], number, data[marker + 6 :].decode(errors="replace")
        start = marker + 1
    return None


def _short_folder() -> str | None:
    """The path of a Unix socket has at most 107 bytes."""
    return None if len(tempfile.gettempdir()) < 80 else "/tmp"


def _greet(client: socket.socket, connection: mysql.Connection) -> None:
    """The server's side of the login: what the session can do, then OK to whatever the client answers."""
    server_can: int = connection.server_capabilities  # type: ignore[attr-defined]  # PyMySQL sets it at login
    can = connection.client_flag & server_can & ~(CLIENT.SSL | CLIENT.COMPRESS)
    can = (can | CLIENT.PLUGIN_AUTH | CLIENT.SECURE_CONNECTION) & ~CLIENT.PLUGIN_AUTH_LENENC_CLIENT_DATA
    version = str(connection.get_server_info()).encode()
    thread = connection.thread_id() & 0xFFFFFFFF
    greeting = b"\x0a" + version + b"\x00" + struct.pack("<I", thread) + b"12345678\x00"
    greeting += struct.pack("<HBHHB", can & 0xFFFF, 45, 2, can >> 16, 21) + bytes(10)
    greeting += b"901234567890\x00mysql_native_password\x00"
    client.sendall(_packet(0, greeting))
    header = _receive(client, 4)
    _receive(client, int.from_bytes(header[:3], "little"))
    client.sendall(_packet(header[3] + 1, b"\x00\x00\x00\x02\x00\x00\x00"))


def _packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([sequence & 0xFF]) + payload


def _receive(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = end.recv(count - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data
