"""Documents out of unpacked bytes: a line each, or the elements of an array, whatever the file's size.

Nothing is parsed here. A document keeps the white space around it, which JSON allows, so that CRLF needs no care.
"""

import re
from collections.abc import Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from ...model.documents import Piece, Reject
from ...model.files import FileRefused

BOM = b"\xef\xbb\xbf"
SAMPLE_BYTES = 1024
BLANK_BYTES = 1
"""A line of at most so many bytes that is empty or a CR is no line at all."""

_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{}])', re.DOTALL)
_SCALAR = re.compile(rb'(?:[^",]++|"(?:[^"\\]++|\\.)*+")++', re.DOTALL)
_SPACE = b" \t\r\n"


def split_lines(path: str, parts: Iterator[bytes], longest: int) -> Iterator[Piece]:
    """A document a line. One of more than `longest` bytes is a reject, and is not held in memory."""
    offset, parts = _after_bom(parts)
    left, line = b"", 1
    for part in parts:
        left += part
        end = left.rfind(b"\n") + 1
        if end:
            piece, line = _lines_of(left[:end], line, offset, path, longest)
            yield piece
            left, offset = left[end:], offset + end
        if len(left) > longest:
            size, rest = _skip_line(parts, left)
            yield _too_long(path, line, offset, left, longest)
            left, line, offset = rest, line + 1, offset + size
    if left:
        yield _lines_of(left + b"\n", line, offset, path, longest)[0]


def split_documents(path: str, parts: Iterator[bytes], longest: int) -> Iterator[Piece]:
    """The elements of the array that a file holds; else the documents that stand one behind the other in it.

    Raises FileRefused for a file that ends within its array or document."""
    offset, parts = _after_bom(parts)
    scanner = _Scanner(path, offset, longest)
    for part in parts:
        yield from scanner.feed(part)
    yield from scanner.end()


def _after_bom(parts: Iterator[bytes]) -> tuple[int, Iterator[bytes]]:
    """The offset at which the text begins, and the text."""
    head = b""
    for part in parts:
        head += part
        if len(head) >= len(BOM):
            break
    skipped = len(BOM) if head.startswith(BOM) else 0
    return skipped, chain([head[skipped:]], parts)


def _lines_of(data: bytes, line: int, offset: int, path: str, longest: int) -> tuple[Piece, int]:
    """The lines of bytes that end with a newline; and the number of the next line."""
    documents = pa.array(data.split(b"\n")[:-1], pa.binary())
    count = len(documents)
    lengths = pc.call_function("add", [pc.call_function("binary_length", [documents]).cast(pa.int64()), 1])
    ends = pc.call_function("cumulative_sum", [lengths])
    starts = pc.call_function("add", [pc.call_function("subtract", [ends, lengths]), offset])
    numbers = pa.array(range(line, line + count), pa.int64())
    full = pc.call_function("greater", [lengths, BLANK_BYTES + 1])
    short = pc.call_function("and_not", [pc.call_function("greater", [lengths, 1]), full])
    if pc.call_function("any", [short]).as_py():
        is_cr = pc.call_function("equal", [documents, pa.scalar(b"\r", pa.binary())])
        full = pc.call_function("or", [full, pc.call_function("and_not", [short, is_cr])])
    if not pc.call_function("all", [full]).as_py():
        documents, numbers, starts = (array.filter(full) for array in (documents, numbers, starts))
    rejects: tuple[Reject, ...] = ()
    if len(documents) and len(data) > longest:
        documents, numbers, starts, rejects = _without_long(path, documents, numbers, starts, longest)
    return Piece(path, documents, numbers, starts, rejects), line + count


def _without_long(
    path: str, documents: pa.Array, numbers: pa.Array, starts: pa.Array, longest: int
) -> tuple[pa.Array, pa.Array, pa.Array, tuple[Reject, ...]]:
    long = pc.call_function("greater", [pc.call_function("binary_length", [documents]), longest])
    if not pc.call_function("any", [long]).as_py():
        return documents, numbers, starts, ()
    rejects = tuple(
        _long_reject(path, number.as_py(), start.as_py(), document.as_py(), longest)
        for document, number, start in zip(
            documents.filter(long), numbers.filter(long), starts.filter(long), strict=True
        )
    )
    kept = pc.call_function("invert", [long])
    return documents.filter(kept), numbers.filter(kept), starts.filter(kept), rejects


def _skip_line(parts: Iterator[bytes], begun: bytes) -> tuple[int, bytes]:
    """The bytes of a line that has begun, its newline included, and what was read behind it."""
    size = len(begun)
    for part in parts:
        end = part.find(b"\n") + 1
        if end:
            return size + end, part[end:]
        size += len(part)
    return size, b""


def _too_long(path: str, line: int, offset: int, begun: bytes, longest: int) -> Piece:
    return _piece(path, [], [], [], (_long_reject(path, line, offset, begun, longest),))


def _long_reject(path: str, line: int, offset: int, begun: bytes, longest: int) -> Reject:
    reason = f"longer than max_document_mb ({longest / 1e6:g} MB)"
    return Reject(path, line, offset, reason, begun[:SAMPLE_BYTES])


def _piece(
    path: str, documents: list[bytes], lines: list[int], offsets: list[int], rejects: tuple[Reject, ...] = ()
) -> Piece:
    arrays = (pa.array(documents, pa.binary()), pa.array(lines, pa.int64()), pa.array(offsets, pa.int64()))
    return Piece(path, *arrays, rejects)


class _Scanner:
    """Finds where documents end by their brackets alone: two steps of Python for a flat document."""

    def __init__(self, path: str, offset: int, longest: int):
        self._path, self._longest = path, longest
        self._data = b""
        self._offset = offset  # of the data's first byte in the file
        self._scanned = 0  # up to here brackets are counted
        self._depth = 0
        self._in_array: bool | None = None  # not known before the first byte
        self._ended = False  # the array
        self._number = 1

    def feed(self, part: bytes) -> Iterator[Piece]:
        self._data += part
        if self._in_array is None:
            begin = self._data.lstrip(_SPACE)
            if not begin:
                return
            self._in_array = begin[:1] == b"["
            if self._in_array:
                self._scanned = len(self._data) - len(begin) + 1
                self._drop(self._scanned)
        yield self._found()
        if len(self._data) > self._longest:
            raise FileRefused(
                f"{self._path} has a document of more than {self._longest / 1e6:g} MB",
                fix="raise `max_document_mb`, or write a document a line",
            )

    def end(self) -> Iterator[Piece]:
        left = self._data.strip(_SPACE)
        if self._depth or (self._in_array and not self._ended):
            raise FileRefused(f"{self._path} is cut off: it ends within a document", fix="upload the file again")
        if left:  # the only document, if it has no brackets; or what is none, for the server to say so
            yield _piece(self._path, [self._data], [self._number], [self._offset])

    def _found(self) -> Piece:
        documents: list[bytes] = []
        offsets: list[int] = []
        begin = 0
        while not self._ended and (bracket := _TO_BRACKET.match(self._data, self._scanned)):
            opens = bracket[1] in b"[{"
            if self._depth == 0 and (opens or self._in_array):
                at = bracket.start(1)
                begin = self._scalars(begin, at, documents, offsets)
            self._scanned = bracket.end()
            self._depth += 1 if opens else -1
            if self._depth == 0 and not opens:
                documents.append(self._data[begin : self._scanned])
                offsets.append(self._offset + begin)
                begin = self._scanned
            elif self._depth < 0:
                if not self._in_array or bracket[1] != b"]":
                    raise FileRefused(f"{self._path} is no JSON: a bracket too many", fix="upload the file again")
                self._depth, self._ended, begin = 0, True, self._scanned
        self._drop(begin)
        first = self._number
        self._number += len(documents)
        return _piece(self._path, documents, list(range(first, self._number)), offsets)

    def _scalars(self, begin: int, end: int, documents: list[bytes], offsets: list[int]) -> int:
        """Elements without brackets that stand before `end`; where the next document begins."""
        between = self._data[begin:end]
        for scalar in _SCALAR.finditer(between):
            if scalar[0].strip(_SPACE):
                documents.append(scalar[0])
                offsets.append(self._offset + begin + scalar.start())
        return end

    def _drop(self, count: int) -> None:
        self._data = self._data[count:]
        self._offset += count
        self._scanned -= count
