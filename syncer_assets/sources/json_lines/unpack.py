"""Bytes of a file as they were before they were packed: gzip (any number of members), zstd, or plain.

What a file is, its first bytes say, not its name: some stores unpack on the way.
"""

import zlib
from collections.abc import Iterator

from ...model.files import FileRefused

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PACKED_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd")
OUT_BYTES = 4 * 1024 * 1024
BOMB_FROM_BYTES = 64 * 1024 * 1024
"""Up to here any file may unpack, whatever its ratio: zeros of a few kB are no attack."""


def unpacked(path: str, packed: Iterator[bytes], max_ratio: float) -> Iterator[bytes]:
    """The content in parts of at most OUT_BYTES. Raises FileRefused for what is cut off, corrupt, or a bomb."""
    head = b""
    for part in packed:
        head += part
        if len(head) >= 4:
            break
    if head.startswith(GZIP):
        yield from _measured(path, _gunzip(path, _Counted(head, packed)), max_ratio)
    elif head.startswith(ZSTD):
        yield from _measured(path, _unzstd(path, _Counted(head, packed)), max_ratio)
    elif head and path.lower().endswith(PACKED_SUFFIXES) and head.lstrip()[:1] not in b'\xef{["-0123456789tfn':
        raise FileRefused(f"{path} is packed neither with gzip nor with zstd", fix="upload the file again")
    else:
        yield from _plain(head, packed)


class _Counted:
    """The packed parts, and how many bytes of them were taken."""

    def __init__(self, head: bytes, rest: Iterator[bytes]):
        self._head, self._rest, self.taken = head, rest, 0

    def next(self) -> bytes:
        part, self._head = (self._head, b"") if self._head else (next(self._rest, b""), b"")
        self.taken += len(part)
        return part


def _plain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _measured(path: str, parts: Iterator[tuple[bytes, int]], max_ratio: float) -> Iterator[bytes]:
    total = 0
    for part, taken in parts:
        total += len(part)
        if total > BOMB_FROM_BYTES and total > max_ratio * taken:
            raise FileRefused(
                f"{path} unpacks to more than {max_ratio:g} times its size",
                fix="if it is sound, raise `max_ratio` for it",
            )
        yield part


def _gunzip(path: str, packed: _Counted) -> Iterator[tuple[bytes, int]]:
    data, member = packed.next(), zlib.decompressobj(31)
    try:
        while True:
            out = member.decompress(data, OUT_BYTES)
            if out:
                yield out, packed.taken
            if member.eof:
                data = _after_member(member.unused_data, packed)
                if not data:
                    return
                member = zlib.decompressobj(31)
                continue
            data = member.unconsumed_tail or packed.next()
            if not data and not out:
                break
    except zlib.error:
        raise FileRefused(f"{path} is corrupt: it is no gzip to its end", fix="upload the file again") from None
    raise FileRefused(f"{path} is cut off: its gzip does not end", fix="upload the file again")


def _after_member(data: bytes, packed: _Counted) -> bytes:
    """The next member's first bytes; zeros may fill up the end of a file."""
    while not (data := data.lstrip(b"\0")):
        if not (data := packed.next()):
            return b""
    return data


def _unzstd(path: str, packed: _Counted) -> Iterator[tuple[bytes, int]]:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.PythonFile(_Reader(packed), mode="r"), "zstd") as stream:
            while out := stream.read(OUT_BYTES):
                yield out, packed.taken
    except (OSError, pa.ArrowException):
        raise FileRefused(f"{path} is cut off or corrupt: it is no zstd to its end", fix="upload it again") from None


class _Reader:
    """The packed parts as a file that pyarrow reads."""

    closed = False

    def __init__(self, packed: _Counted):
        self._packed, self._left = packed, b""

    def read(self, size: int = -1) -> bytes:
        self._left = self._left or self._packed.next()
        taken, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return taken

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True
