"""The folder or bucket that files are read from: listed whole, read in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError

from ...model.backoff import DEFAULT, Backoff
from ...model.errors import ConfigError
from ...model.file_pattern import FilePattern
from ...model.files import FileRefused, SourceFile
from ..objects import retry_config, store_error
from ..s3_keys import keys_of

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")
READ_BYTES = 4 * 1024 * 1024
VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION",
    "gs": "GOOGLE_SERVICE_ACCOUNT, the path of its key",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The usual ones of each kind of store; obstore reads others, too."""


def open_store(url: str, backoff: Backoff = DEFAULT, **options: str) -> "FileStore":
    """The store at `url` (file://, s3://, az://, gs://). Nothing is made; keys come from the environment.

    `backoff` is how its client repeats a request.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        root = Path(unquote(url.removeprefix("file://"))).expanduser().resolve()
        if not root.is_dir():
            raise ConfigError(f"the folder {root} of {url} is not there", fix="make it, or correct the url")
        return FileStore(url, obstore.store.LocalStore(root))
    if parts.scheme not in SCHEMES:
        raise ConfigError(f"the url {url!r} is of no known kind", fix="use file://, s3://bucket/prefix, gs:// or az://")
    with _errors(f"{url} cannot be opened", url):
        keys = keys_of(parts.scheme, options)
        store: Any = obstore.store.from_url(url, retry_config=retry_config(backoff), **keys, **options)  # type: ignore[arg-type]  # options differ by store
        return FileStore(url, store)


class FileStore:
    """An opened store. Paths count from its url."""

    def __init__(self, url: str, store: Any):
        self.url, self.store = url.rstrip("/"), store

    def list(self, pattern: FilePattern) -> list[SourceFile]:
        """Every matching object, in the order of their paths. Raises ObjectStoreError."""
        with _errors(f"{self.url}/{pattern.folder} cannot be listed", self.url):
            found = [
                SourceFile(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])
                for page in obstore.list(self.store, prefix=pattern.folder or None)
                for meta in page
                if pattern.matches(meta["path"])
            ]
        return sorted(found, key=lambda file: file.path)

    def some(self, folder: str) -> tuple[str, ...]:
        """The first paths of a folder. Raises ObjectStoreError."""
        with _errors(f"{self.url}/{folder} cannot be listed", self.url):
            first = next(iter(obstore.list(self.store, prefix=folder or None)), [])
        return tuple(meta["path"] for meta in first)

    def read(self, file: SourceFile) -> Iterator[bytes]:
        """An object's bytes as they were listed. Raises FileRefused if it is another object by now, or gone."""
        with _errors(f"{file.path} cannot be read from {self.url}", self.url):
            try:
                found = obstore.get(self.store, file.path)
                if self._changed(file, found.meta):
                    raise _changed(file)
                for part in found.stream(min_chunk_size=READ_BYTES):
                    yield bytes(part)
                if isinstance(self.store, obstore.store.LocalStore) and self._changed(
                    file, obstore.head(self.store, file.path)
                ):
                    raise _changed(file)  # a folder, unlike a bucket, lets a file be changed under its reader
            except FileNotFoundError:
                raise FileRefused(f"{file.path} is gone", fix="none needed if it was meant to go") from None

    def _changed(self, file: SourceFile, meta: Any) -> bool:
        """Azure's listings have ETags without the quotes of its headers."""
        return meta["size"] != file.size or (meta["e_tag"] or "").strip('"') != file.etag.strip('"')


def _changed(file: SourceFile) -> FileRefused:
    return FileRefused(f"{file.path} was changed while it was read", fix="none needed: the next run reads it again")


@contextmanager
def _errors(what: str, url: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise store_error(what, error, _fix(url)) from None


def _fix(url: str) -> str:
    kind = "az" if url.startswith("abfs") else url[:2]
    if kind not in VARIABLES:
        return "check the folder's permissions"
    return f"check the bucket's name and permissions, and in the environment {VARIABLES[kind]}"
