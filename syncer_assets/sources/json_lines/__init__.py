"""Files of JSON documents in a folder or bucket: JSON lines, arrays or single documents; plain, gzip or zstd."""

from .read import read_file
from .store import FileStore, open_store

__all__ = ["FileStore", "open_store", "read_file"]
