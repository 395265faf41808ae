"""JSON documents on their way from a file into a raw table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Reject:
    """A line that is no document, and why. `raw` are its bytes, of a very long one the first."""

    path: str
    line: int
    byte_offset: int
    reason: str
    raw: bytes


@dataclass(frozen=True)
class Piece:
    """Documents (binary) of one part of a file, with the number (from 1) and the byte offset of each."""

    path: str
    documents: "pa.Array"
    lines: "pa.Array"
    offsets: "pa.Array"
    rejects: tuple[Reject, ...] = ()

    @property
    def lines_read(self) -> int:
        """Those that are rejects already are lines, too."""
        return len(self.documents) + len(self.rejects)


@dataclass(frozen=True)
class Refusal:
    """The word that a file cannot be read to its end: what was read of it does not count."""

    path: str
    reason: str
