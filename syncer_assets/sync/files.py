"""Files into their raw table: what is listed and the ledger has not, in loads of many files, several at once."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from ..model.documents import Piece, Refusal
from ..model.errors import SyncError
from ..model.files import FileCounts, FileRefused, FileReport, FileSpec, LoadedFile, RefusedFile, SourceFile
from ..model.partition import UNPARTITIONED
from ..model.report import CheckResult, Emit, silent
from ..sources.json_lines import FileStore, read_file
from ..warehouses.files import FilePlan, FilesLoaded, FileWarehouse
from .prefetch import Prefetch
from .progress import peak_memory_mb
from .retry import DEFAULT, Backoff, retrying

NAMED = 3
"""Refused files that a message names."""
LARGE_BYTES, ROUNDS = 16_000_000, 3
"""Packed bytes from which on each worker has several loads, and how many."""


@dataclass(frozen=True)
class PendingFiles:
    """The files of a partition that are to be loaded."""

    partition: str
    files: tuple[SourceFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


def pending_files(
    store: FileStore, warehouse: FileWarehouse, spec: FileSpec, *, refused_again: bool = False
) -> list[PendingFiles]:
    """The listing less what the ledger has, by partition: new files, changed ones, and those that another file needs
    again. A refused file waits until it changes, unless `refused_again`. Files of no partition are left out."""
    listed = store.list(spec.pattern)
    loaded = retrying(lambda: warehouse.loaded(spec.target))
    refused = {} if refused_again else retrying(lambda: warehouse.refused(spec.target))
    by_partition: dict[str, list[SourceFile]] = {}
    for file in listed:
        partition = spec.partition(file.path)
        if partition is not None and is_pending(file, loaded, refused):
            by_partition.setdefault(partition, []).append(file)
    return [PendingFiles(partition, tuple(files)) for partition, files in sorted(by_partition.items())]


def is_pending(file: SourceFile, loaded: dict[str, LoadedFile], refused: dict[str, RefusedFile]) -> bool:
    """Whether a listed file is to be loaded."""
    known = loaded.get(file.path)
    if known is not None and known.etag == file.etag:
        return known.reload
    return not is_refused(file, refused)


def is_refused(file: SourceFile, refused: dict[str, RefusedFile]) -> bool:
    """Whether a listed file was refused as it is now."""
    return file.path in refused and refused[file.path].etag == file.etag


def load_files(
    store: FileStore,
    warehouse: FileWarehouse,
    spec: FileSpec,
    partition: str = UNPARTITIONED,
    *,
    full: bool = False,
    refused_again: bool = False,
    run_id: str = "",
    emit: Emit = silent,
    backoff: Backoff = DEFAULT,
) -> FileReport:
    """Load what is pending in a partition; with `full` every file of it, as if all had changed.

    A file that is refused is told in the report, and leaves the others. Raises SyncError where a load failed as a
    whole: what other loads have committed stays, and the next call goes on from there."""
    started = time.monotonic()
    retrying(lambda: warehouse.prepare(spec), backoff)
    report = FileReport(spec.target.name, partition)
    listed = store.list(spec.pattern)
    own = [file for file in listed if spec.partition(file.path) == partition]
    known = retrying(lambda: warehouse.loaded(spec.target), backoff)
    refused = {} if refused_again else retrying(lambda: warehouse.refused(spec.target), backoff)
    files = [file for file in own if full or is_pending(file, known, refused)]
    report.nothing_new = not files
    report.files_replaced = sum(file.path in known for file in files)
    while files:
        emit("files found", table=spec.target.name, files=len(files), bytes=sum(file.size for file in files))
        report.bytes += sum(file.size for file in files)
        _load_all(store, warehouse, spec, files, report, full, run_id, emit, backoff)
        known, full = retrying(lambda: warehouse.loaded(spec.target), backoff), False
        refused = retrying(lambda: warehouse.refused(spec.target), backoff)
        files = [file for file in own if file.path in known and known[file.path].reload and file.path not in refused]
    refused = retrying(lambda: warehouse.refused(spec.target), backoff)
    report.refused = {file.path: refused[file.path].reason for file in own if is_refused(file, refused)}
    report.files_refused = len(report.refused)
    report.files_outside = sum(spec.partition(file.path) is None for file in listed)
    report.checks = _checks(report, spec)
    report.seconds = round(time.monotonic() - started, 3)
    report.peak_memory_mb = peak_memory_mb()
    return report


def _load_all(
    store: FileStore,
    warehouse: FileWarehouse,
    spec: FileSpec,
    files: Sequence[SourceFile],
    report: FileReport,
    full: bool,
    run_id: str,
    emit: Emit,
    backoff: Backoff,
) -> None:
    loads = list(batches(spec, files))

    def load_batch(batch: Sequence[SourceFile]) -> FilesLoaded | SyncError:
        try:
            return retrying(lambda: _load_batch(store, warehouse, spec, batch, full, run_id, emit), backoff)
        except SyncError as error:
            return error

    with ThreadPoolExecutor(min(spec.workers, len(loads)), thread_name_prefix="syncer-files") as pool:
        outcomes = list(pool.map(load_batch, loads))
    errors = [outcome for outcome in outcomes if isinstance(outcome, SyncError)]
    for outcome in outcomes:
        if isinstance(outcome, FilesLoaded):
            report.loads += 1
            report.copies += outcome.copies
            report.rows_deleted += outcome.deleted
            for counts in outcome.counts.values():
                report.add(counts)
    if errors:
        raise errors[0]


def batches(spec: FileSpec, files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    """Loads of neighbouring files, none larger than the spec says unless one file is. Some more than there are workers,
    where it is worth it: merges come one after the other, and the next load is staged meanwhile."""
    total = sum(file.size for file in files)
    rounds = max(
        ROUNDS if total > LARGE_BYTES else 1,
        -(-len(files) // (spec.files_per_load * spec.workers)),
        round(total / (spec.load_mb * 1e6 * spec.workers)),
    )
    share, done = total / (rounds * spec.workers), 0
    batch: list[SourceFile] = []
    for file in files:
        batch.append(file)
        done += file.size
        if done >= share or len(batch) >= spec.files_per_load:
            yield batch
            batch, done = [], 0
    if batch:
        yield batch


def _load_batch(
    store: FileStore,
    warehouse: FileWarehouse,
    spec: FileSpec,
    batch: Sequence[SourceFile],
    full: bool,
    run_id: str,
    emit: Emit,
) -> FilesLoaded:
    """One attempt. What an earlier one has committed without its answer having arrived is in the ledger."""
    known = warehouse.loaded(spec.target)
    done = {
        file.path: known[file.path]
        for file in batch
        if not full and file.path in known and not is_pending(file, known, {})
    }
    files = tuple(file for file in batch if file.path not in done)
    counts = {path: _counts(file) for path, file in done.items()}
    if not files:
        return FilesLoaded(counts, {})
    loaded = warehouse.load(
        FilePlan(
            spec=spec,
            files=files,
            seen={file.path: known[file.path].etag for file in files if file.path in known},
            open=lambda: _stream(store, spec, files),
            run_id=run_id,
            emit=emit,
        )
    )
    return FilesLoaded(counts | loaded.counts, loaded.refused, loaded.deleted, loaded.copies)


def _counts(file: LoadedFile) -> FileCounts:
    return FileCounts(
        lines=file.lines,
        inserted=file.inserted,
        updated=file.updated,
        unchanged=file.unchanged,
        rejected=file.rejected,
        duplicates=file.duplicates,
    )


@contextmanager
def _stream(store: FileStore, spec: FileSpec, files: Sequence[SourceFile]) -> Iterator[Iterator[Piece | Refusal]]:
    """Read ahead in a thread, so that unpacking overlaps with the server's parsing."""
    with Prefetch(_pieces(store, spec, files), depth=1) as pieces:
        yield iter(pieces)


def _pieces(store: FileStore, spec: FileSpec, files: Sequence[SourceFile]) -> Iterator[Piece | Refusal]:
    for file in files:
        try:
            yield from read_file(store, file, spec.limits)
        except FileRefused as error:
            yield Refusal(file.path, error.message.removeprefix(f"{file.path} "))


def _checks(report: FileReport, spec: FileSpec) -> list[CheckResult]:
    adds_up = report.lines == report.rows + report.rejected + report.duplicates
    said = f"{report.lines:,} lines = {report.rows:,} loaded + {report.rejected:,} rejected"
    said += f" + {report.duplicates:,} duplicates, of {report.files} files"
    names = [f"{path}: {reason}" for path, reason in sorted(report.refused.items())]
    more = f" .. and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [
        CheckResult("row_count", adds_up, description="nothing new to load" if report.nothing_new else said),
        CheckResult(
            "rejects",
            not report.rejected,
            severity="WARN",
            description=f"{report.rejected:,} lines are in {spec.rejects.name}" if report.rejected else "",
            metadata={"rejected": report.rejected},
        ),
        CheckResult("refused", not names, description="; ".join(names[:NAMED]) + more),
        CheckResult(
            "files_outside_partitions",
            not report.files_outside,
            severity="WARN",
            description=f"{report.files_outside} files match and belong to no partition"
            if report.files_outside
            else "",
        ),
    ]
