"""Messages of the PostgreSQL protocol, version 3."""

import socket
import struct
from dataclasses import dataclass

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3 = 196608


class Closed(Exception):
    """The other side is gone."""


@dataclass(frozen=True)
class Message:
    """One message behind the startup: its type and its body."""

    kind: bytes
    body: bytes

    def to_bytes(self) -> bytes:
        return self.kind + struct.pack("!I", len(self.body) + 4) + self.body

    @property
    def fields(self) -> dict[str, str]:
        """The fields of an ErrorResponse, by their letters."""
        return {part[:1].decode(): part[1:].decode() for part in self.body.split(b"\0") if part}


class Stream:
    """One side of a connection, read by whole messages."""

    def __init__(self, raw: socket.socket):
        self.raw = raw

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                part = self.raw.recv(min(1 << 20, count - len(data)))
            except OSError:
                raise Closed from None
            if not part:
                raise Closed
            data += part
        return data

    def startup(self) -> tuple[int, bytes]:
        """The code and the body of a message without a type."""
        (length,) = struct.unpack("!I", self.exactly(4))
        body = self.exactly(length - 4)
        return struct.unpack("!I", body[:4])[0], body[4:]

    def message(self) -> Message:
        kind = self.exactly(1)
        (length,) = struct.unpack("!I", self.exactly(4))
        return Message(kind, self.exactly(length - 4))

    def send(self, *messages: Message) -> None:
        self.send_bytes(b"".join(message.to_bytes() for message in messages))

    def send_bytes(self, data: bytes) -> None:
        try:
            self.raw.sendall(data)
        except OSError:
            raise Closed from None

    def close(self) -> None:
        self.raw.close()

    def reset(self) -> None:
        """Close with a TCP reset, as a crashed host does."""
        if self.raw.family != socket.AF_UNIX:
            self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.close()


def startup_message(parameters: dict[str, str]) -> bytes:
    """A StartupMessage."""
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!II", len(pairs) + 8, PROTOCOL_3) + pairs


def parameters(body: bytes) -> dict[str, str]:
    """The parameters of a StartupMessage."""
    parts = body.rstrip(b"\0").decode().split("\0")
    return dict(zip(parts[::2], parts[1::2], strict=True))


def query(text: str) -> Message:
    """A simple query."""
    return Message(b"Q", text.encode() + b"\0")


def error(sqlstate: str, text: str, severity: str = "ERROR") -> Message:
    """An ErrorResponse."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text}
    return Message(b"E", b"".join(f"{letter}{value}\0".encode() for letter, value in fields.items()) + b"\0")


def rows(body: bytes) -> list[str | None]:
    """The values of a DataRow, as text."""
    (count,) = struct.unpack("!H", body[:2])
    values: list[str | None] = []
    at = 2
    for _ in range(count):
        (length,) = struct.unpack("!i", body[at : at + 4])
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(0, length)
    return values
