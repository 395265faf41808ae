"""One file as pieces of some MB each, from the store to documents; no more of it than a piece is in memory."""

from collections.abc import Iterator

from ...model.documents import Piece
from ...model.files import FileLimits, SourceFile
from .split import split_documents, split_lines
from .store import FileStore
from .unpack import PACKED_SUFFIXES, unpacked


def read_file(store: FileStore, file: SourceFile, limits: FileLimits) -> Iterator[Piece]:
    """The documents of a file: of `.json` what `split_documents` finds, of any other name a document a line.

    A file of zero bytes has no lines, whatever its name. Raises FileRefused, ObjectStoreError."""
    parts = unpacked(file.path, store.read(file), limits.max_ratio)
    split = split_documents if _holds_documents(file.path) else split_lines
    yield from split(file.path, parts, int(limits.max_document_mb * 1e6))


def _holds_documents(path: str) -> bool:
    name = path.lower()
    for suffix in PACKED_SUFFIXES:
        name = name.removesuffix(suffix)
    return name.endswith(".json")
