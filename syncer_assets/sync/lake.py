"""The lake: an object store with Parquet and the manifests that commit it (DESIGN 6).

Layout below the root: `_lake.json`, and per partition `<source>/<table>/<partition>/data/<seq>-<attempt>/*.parquet`,
`_manifests/<seq:08d>.json`; per table `_registered/<warehouse>.<target>.json` names who loads from it.
"""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, unquote, urlsplit

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from ..model.backoff import DEFAULT, Backoff
from ..model.errors import ConfigError, LakeCorrupt, LostRace, ObjectStoreError
from ..model.manifest import DataFile, Manifest
from ..model.table import Target
from ..sources.objects import retry_config, store_error
from ..sources.s3_keys import keys_of
from .retry import Retry

READ_ROWS = 65_536
COPY_BYTES = 4 * 1024 * 1024
T = TypeVar("T")
UNDECIDED = ("ConditionalRequestConflict", "OperationAborted")
"""S3's 409, which obstore takes for 412: another put of this object is under way, and may fail."""


def open_lake(url: str, backoff: Backoff = DEFAULT, **options: str) -> "Lake":
    """The lake at `url` (`file://`, `s3://`, `az://`, `gs://`); `options` are the object store's own.

    A relative `file://./folder` counts from the working directory. Keys come from the environment or `options`.
    `backoff` is how the store's client repeats a request, and this module a put-if-absent.
    """
    parts = urlsplit(url)
    with _errors(f"the lake {url} cannot be opened"):
        if parts.scheme == "file":
            root = Path(unquote(url.removeprefix("file://"))).expanduser().resolve()
            try:
                root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ObjectStoreError(
                    f"the lake folder {root} cannot be made ({error.strerror})", fix="give the user write permission"
                ) from None
            return Lake(url, obstore.store.LocalStore(root), root)
        if not parts.scheme or parts.scheme not in ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "memory"):
            raise ConfigError(
                f"the lake url {url!r} is of no known kind", fix="use file://, s3://bucket/prefix, gs:// or az://"
            )
        keys = keys_of(parts.scheme, options)
        store: Any = obstore.store.from_url(url, retry_config=retry_config(backoff), **keys, **options)  # type: ignore[arg-type]  # options differ by store
        return Lake(url, store, None, backoff)


@dataclass(frozen=True)
class Place:
    """Where a partition of a table lies in the lake."""

    source: str
    table: str
    partition: str

    @property
    def table_folder(self) -> str:
        return f"{_safe(self.source)}/{_safe(self.table)}"

    @property
    def folder(self) -> str:
        return f"{self.table_folder}/{_safe(self.partition)}"

    def manifest(self, seq: int) -> str:
        return f"{self.folder}/_manifests/{seq:08d}.json"

    def data(self, seq: int, attempt: str) -> str:
        return f"{self.folder}/data/{seq:08d}-{attempt}"


class Lake:
    """An opened lake. Paths are relative to its root."""

    def __init__(self, url: str, store: Any, root: Path | None, backoff: Backoff = DEFAULT):
        self.url, self.store, self.root, self._backoff = url.rstrip("/"), store, root, backoff
        self._generation: str | None = None

    @property
    def generation(self) -> str:
        """The UUID that this lake was born with: a wiped and refilled lake has another."""
        if self._generation is None:
            body = json.dumps({"version": 1, "generation": str(uuid.uuid4())}).encode()
            self.put_if_absent("_lake.json", body)
            self._generation = str(json.loads(self.get("_lake.json"))["generation"])
        return self._generation

    def uri(self, place: Place) -> str:
        """The address of a partition's folder, for people."""
        return f"{self.url}/{place.folder}"

    def head(self, place: Place) -> Manifest | None:
        """The last manifest of a partition, or None."""
        last = max(self.seqs(place), default=0)
        return self.manifest(place, last) if last else None

    def seqs(self, place: Place) -> list[int]:
        """The committed sequence numbers of a partition, in order. Raises LakeCorrupt where one is missing."""
        return list(self._stamps(place))

    def last(self, place: Place, since: int = 1) -> tuple[int, str] | None:
        """The last committed `seq`, and a stamp of its object: another object of that name has another one.

        Only manifests from `since` on are listed, where that one is there still. Raises LakeCorrupt as `seqs` does.
        """
        found = self._stamps(place, since) or (self._stamps(place) if since > 1 else {})
        return max(found.items()) if found else None

    def _stamps(self, place: Place, since: int = 1) -> dict[int, str]:
        """By `seq`, in order; {} where that of `since` is not there."""
        folder = f"{place.folder}/_manifests"
        offset = place.manifest(since - 1) if since > 1 else None
        found = {
            int(Path(meta["path"]).stem): f"{meta['e_tag']} {meta['size']} {meta['last_modified']}"
            for meta in self._list(folder, offset)
            if meta["path"].endswith(".json")
        }
        if since > 1 and since not in found:
            return {}
        if found and (missing := set(range(since, max(found) + 1)) - set(found)):
            raise LakeCorrupt(
                f"manifest {min(missing)} is missing from the lake",
                table=place.table,
                partition=place.partition,
                fix="restore the object from a backup, or from the bucket's older versions",
            )
        return dict(sorted(found.items()))

    def manifest(self, place: Place, seq: int) -> Manifest:
        """One manifest. Raises LakeCorrupt if it is not there or cannot be read."""
        path = place.manifest(seq)
        return Manifest.from_bytes(self.get(path), path)

    def manifests(self, place: Place, after: int = 0) -> list[Manifest]:
        """Every manifest with a `seq` above `after`, in order."""
        seqs = [seq for seq in self.seqs(place) if seq > after]
        if not seqs:
            return []
        with ThreadPoolExecutor(min(8, len(seqs))) as pool:
            return list(pool.map(lambda seq: self.manifest(place, seq), seqs))

    def partitions(self, source: str, table: str) -> list[str]:
        """The keys of the partitions that have a folder."""
        prefix = f"{_safe(source)}/{_safe(table)}"
        with _errors(f"the lake {self.url} cannot be listed"):
            found = obstore.list_with_delimiter(self.store, prefix)["common_prefixes"]
        names = [path.rsplit("/", 1)[1] for path in found]
        return sorted(unquote(name) for name in names if not name.startswith("_"))  # of a key it is written as %5F

    def commit(self, place: Place, manifest: Manifest) -> None:
        """Put the manifest if its `seq` is free: the one commit point of an extraction.

        Raises LostRace if another writer has it; a lost reply is recognised by the body's own hash.
        """
        path, body = place.manifest(manifest.seq), manifest.to_bytes()
        try:
            if self.put_if_absent(path, body) or self.get(path) == body:
                return
        except ObjectStoreError:
            with suppress(ObjectStoreError, LakeCorrupt):
                if self.get(path) == body:
                    return
            raise
        raise lost_race(place, manifest.seq)

    def put_if_absent(self, path: str, body: bytes) -> bool:
        """True if the object was written, False if one was there already.

        The store's client does not repeat a put that may have been done. Here it is repeated: an object that is there
        then, with this very body, is ours.
        """
        unsure = False

        def put() -> bool:
            nonlocal unsure
            before, unsure = unsure, True
            return self._put(path, body) or (before and self.get(path) == body)

        return self._repeated(put)

    def _put(self, path: str, body: bytes) -> bool:
        with _errors(f"{path} cannot be written to the lake {self.url}", client_repeats=False):
            try:
                obstore.put(self.store, path, body, mode="create")
            except (AlreadyExistsError, PreconditionError) as error:
                if any(code in str(error) for code in UNDECIDED):
                    raise
                return False
        return True

    def get(self, path: str) -> bytes:
        """An object's bytes. Raises LakeCorrupt if it is not there."""
        with _errors(f"{path} cannot be read from the lake {self.url}"):
            try:
                return bytes(obstore.get(self.store, path).bytes())
            except FileNotFoundError:
                raise _missing(path) from None

    def paths(self, prefix: str) -> list[str]:
        """Every object below a folder."""
        return sorted(meta["path"] for meta in self._list(prefix))

    def put_file(self, path: str, file: BinaryIO) -> None:
        """Write an object from a file, in parts where it is large; one that is there is overwritten."""
        with _errors(f"{path} cannot be written to the lake {self.url}"):
            obstore.put(self.store, path, file)

    def copy(self, path: str, to: str) -> None:
        """Copy an object within the store, as one step: it is there whole or not at all."""
        with _errors(f"{to} cannot be written to the lake {self.url}"):
            obstore.copy(self.store, path, to)

    def register(self, place: Place, target: Target) -> None:
        """Note that a warehouse loads this table: superseded data is kept until it has loaded past it."""
        name = f"{_safe(target.warehouse)}.{_safe(target.name)}.json"
        body = {"warehouse": target.warehouse, "schema": target.schema, "table": target.table}
        self.put_if_absent(f"{place.table_folder}/_registered/{name}", json.dumps(body).encode())

    @contextmanager
    def batches(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[Iterator[pa.RecordBatch]]:
        """The rows of a data file, after its size and hash were found as the manifest has them (LakeCorrupt)."""
        with self.local(file) as path, pq.ParquetFile(path, memory_map=True, pre_buffer=False) as parquet:
            yield parquet.iter_batches(READ_ROWS, columns=list(columns) if columns is not None else None)

    def size(self, path: str) -> int:
        """An object's bytes. Raises LakeCorrupt if it is not there."""
        with _errors(f"{path} cannot be read from the lake {self.url}"):
            try:
                return obstore.head(self.store, path)["size"]
            except FileNotFoundError:
                raise _missing(path) from None

    @contextmanager
    def local(self, file: DataFile) -> Iterator[Path]:
        """A data file on this machine, after its size and hash were found as the manifest has them (LakeCorrupt)."""
        if self.root is not None:
            path = self.root / file.path
            with _errors(f"{file.path} cannot be read"):
                _check(file, *_hash_file(path, file.path))
            yield path
            return
        with TemporaryFile(prefix="syncer-", suffix=".parquet") as copy:  # without a name, so that a kill leaves none
            digest, size = hashlib.sha256(), 0
            with _errors(f"{file.path} cannot be read from the lake {self.url}"):
                try:
                    for part in obstore.get(self.store, file.path).stream(min_chunk_size=COPY_BYTES):
                        digest.update(part)
                        size += copy.write(part)
                except FileNotFoundError:
                    raise _missing(file.path) from None
                copy.flush()
            _check(file, digest.hexdigest(), size)
            yield Path(f"/dev/fd/{copy.fileno()}")

    def remove(self, paths: Sequence[str]) -> None:
        """Remove data objects that no manifest names."""

        def delete() -> None:
            with _errors(f"data objects cannot be removed from the lake {self.url}"):
                try:
                    obstore.delete(self.store, list(paths))
                except FileNotFoundError:  # another sync tidies up at the same time
                    for path in paths:
                        with suppress(FileNotFoundError):
                            obstore.delete(self.store, path)

        if paths:
            self._repeated(delete)

    def _list(self, prefix: str, offset: str | None = None) -> list[Any]:
        """What obstore says of every object below a folder."""

        def whole() -> list[Any]:
            with _errors(f"the objects below {self.url}/{prefix} cannot be listed"):
                return [meta for page in obstore.list(self.store, prefix=prefix, offset=offset) for meta in page]

        return self._repeated(whole)

    def _repeated(self, call: Callable[[], T]) -> T:
        """Call again what the store's client does not repeat. What else it gives up is not repeated here."""
        retry = Retry(self._backoff)
        while True:
            try:
                return call()
            except ObjectStoreError as error:
                wait = retry.wait_seconds(error) if error.failure == "retry_transaction" else None
                if wait is None:
                    error.retryable = error.failure == "once"
                    raise
            time.sleep(wait)

    def remove_orphans(self, place: Place, since: int = 1) -> int:
        """Remove data that no manifest names once its `seq` is taken; the number of objects removed.

        A `seq` that is not taken yet may belong to a sync that is still writing: it is left alone (DESIGN 6). Manifests
        below `since` are read only where their `seq` has the data of several attempts.
        """
        taken = set(self.seqs(place))
        attempts: dict[int, dict[str, list[str]]] = {}
        for meta in self._list(f"{place.folder}/data"):
            folder = meta["path"].rsplit("/", 2)[1]
            if seq := _seq_of(folder):
                attempts.setdefault(seq, {}).setdefault(folder, []).append(meta["path"])
        doomed: list[str] = []
        for seq, folders in attempts.items():
            if seq in taken and (seq >= since or len(folders) > 1):
                manifest = self.manifest(place, seq)
                named = {file.path for file in (*manifest.files, *manifest.deletes)}
                doomed += [path for paths in folders.values() for path in paths if path not in named]
        self.remove(doomed)
        return len(doomed) + self._remove_cut_off_uploads(place, taken)

    def _remove_cut_off_uploads(self, place: Place, taken: set[int]) -> int:
        """What a killed writer leaves in a folder on disk, `part-00000.parquet#1`; no listing shows it.

        In a bucket an upload that was not completed is no object: a lifecycle rule of the bucket removes its parts.
        """
        if self.root is None:
            return 0
        with _errors(f"the data below {self.uri(place)} cannot be cleaned"):
            found = [
                path
                for path in (self.root / place.folder).glob("data/*-*/*.parquet#*")
                if _seq_of(path.parent.name) in taken
            ]
            for path in found:
                path.unlink(missing_ok=True)
        return len(found)


def lost_race(place: Place, seq: int) -> LostRace:
    """The error of an attempt whose `seq` another one took."""
    return LostRace(
        f"another sync committed manifest {seq} first; this attempt was thrown away",
        table=place.table,
        partition=place.partition,
        fix="none needed: the next attempt goes on from the winner's marks",
    )


def _hash_file(path: Path, name: str) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except FileNotFoundError:
        raise _missing(name) from None


def _check(file: DataFile, sha256: str, size: int) -> None:
    if (sha256, size) != (file.sha256, file.bytes):
        what = f"has {size} bytes, its manifest says {file.bytes}" if size != file.bytes else "has another hash"
        raise LakeCorrupt(
            f"data object {file.path} {what}",
            fix="restore the object from a backup, or re-read the partition with `--full`",
        )


def _missing(path: str) -> LakeCorrupt:
    return LakeCorrupt(
        f"object {path} is missing from the lake",
        fix="restore the object from a backup, or re-read the partition with `--full`",
    )


def _seq_of(folder: str) -> int | None:
    """The `seq` of an attempt's folder; None for a folder that is not ours."""
    number, dash, attempt = folder.partition("-")
    return int(number) if dash and attempt and number.isdigit() else None


def _safe(name: str) -> str:
    """A name as one path segment: percent-encoded, and never starting with a dot or an underscore."""
    text = quote(name, safe="-_. ").replace(" ", "%20")
    return f"%{ord(text[0]):02X}{text[1:]}" if text[:1] in ("_", ".") else text


@contextmanager
def _errors(what: str, *, client_repeats: bool = True) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        fix = "check the folder's or bucket's permissions, free space, and the keys in the environment"
        raise store_error(what, error, fix, client_repeats=client_repeats) from None
