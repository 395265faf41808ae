"""From the loop's batches to committed manifests: final rows, provisional rows, and commits on the way (DESIGN 5)."""

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from ..model.errors import LakeCorrupt, ObjectStoreError
from ..model.manifest import DataFile, Manifest
from ..model.marks import Mark
from ..model.report import Emit, SyncReport
from ..model.table import TableSpec
from ..sources.arrow import apply, arrow_schema
from .chunks import last_mark
from .lake import Lake, Place, lost_race
from .metrics import Metrics
from .parquet import MB, ROW_GROUP_BYTES, FileSink
from .savings import FixedRanges

FILL = 0.9
"""How full files are planned: estimates may be off, and a file beyond its size begins another."""
ROW_GROUPS_IN_MEMORY = 5
"""A row group that is written is in memory about so many times: rows, encoded pages, and what comes meanwhile."""

Count = Callable[[Manifest], int]
"""`count(manifest)` is how many rows the source has now in a manifest's window. It runs in a thread of its own."""
Verify = Callable[[Manifest, int, int], int]
"""`verify(manifest, final_rows, found)` asserts the window against that number; how many rows left it since."""


class WindowWriter:
    """Writes the rows of one window and commits them. `draft` has the window's marks, the next free `seq`, and the
    files that are named again without being read again.

    Rows up to the draft's `safe` are final and are committed on the way, after each full file or `commit_every`; rows
    above it go to provisional files of the last manifest. A `replace` is one manifest.
    """

    def __init__(
        self,
        lake: Lake,
        place: Place,
        spec: TableSpec,
        draft: Manifest,
        *,
        mask: Callable[[pa.RecordBatch], pa.RecordBatch],
        count_rows: Count,
        verify: Verify,
        metrics: Metrics,
        report: SyncReport,
        emit: Emit,
    ):
        self._metrics, self._round_sinks, self._round_files = metrics, [], []
        self._lake, self._place, self._spec, self._draft = lake, place, spec, draft
        self._mask, self._report, self._emit = mask, report, emit
        self._count, self._verify = count_rows, verify
        self._schema = arrow_schema(draft.columns)
        self._names = [column.name for column in draft.columns]
        self._cursor = list(draft.cursor)
        self._final_rows = 0
        self.rows_left_window = 0
        self._committed_at = time.monotonic()
        self._open_folder()
        self._last_final: Mark | None = None
        self.page: Mark | None = None

    @property
    def ranges(self) -> FixedRanges:
        """What the loop over fixed ranges would have done for the rows written so far."""
        return self._metrics.ranges

    def add(self, batch: pa.RecordBatch) -> None:
        """Rows of the window, in order."""
        final = rows_up_to(batch, self._cursor, self._draft.safe)
        if final:
            self._add_final(batch.slice(0, final))
        self._sink.write(self.shaped(batch.slice(final)), provisional=True)
        self.page = last_mark(batch, self._draft.order, self._draft.table)
        self.ranges.note(batch)

    def add_beside(self, batch: pa.RecordBatch) -> None:
        """Rows that no window holds; they are read again each time."""
        self._sink.write(self.shaped(batch), provisional=True)

    def add_whole(self, batch: pa.RecordBatch) -> None:
        """Rows of a table that is read in one piece."""
        self._write_final(batch)

    def rows_per_file(self, row_bytes: float) -> int:
        """Rows that fill a file, by the rows written so far, or by an estimate of a row's bytes in Parquet."""
        if self._report.rows:
            row_bytes = self._report.bytes / self._report.rows
        files = self._spec.files
        rows = int(FILL * files.target_mb * MB / max(row_bytes, 1.0))
        return max(min(rows, files.max_rows or rows), files.min_rows or 1)

    def reader_sinks(self, workers: int) -> list[FileSink]:
        """A sink for each reader of a round; each takes shaped rows and is closed by its reader."""
        self._round_sinks = [self._new_sink(workers) for _ in range(workers)]
        return self._round_sinks

    def add_round(self, *, reached: Mark, last: bool) -> None:
        """The files of a round: every row up to `reached`. Committed, unless it is the window's last or a `replace`."""
        files = [file for sink in self._round_sinks for file in sink.take()]
        self._round_sinks = []
        self._round_files += sorted(files, key=lambda file: file.min or "")
        self._final_rows += sum(file.rows for file in files)
        self.page = reached
        if not last and self._draft.mode == "append":
            self._commit_on_the_way(reached)

    def finish_unless_same(self, head: Manifest | None) -> bool:
        """As `finish`, but where `head` has files of the same content, drop what was written. False then.

        Of a window without news only the provisional files are compared: rows beside it that did not change.
        """
        self._sink.close_file()
        named = () if head is None else [file for file in head.files if file.provisional or not self._cursor]
        if head is None or _content(self._sink.files, self._draft) != _content(named, head):
            self.finish()
            return True
        self._lake.remove([file.path for file in self._sink.take()])
        return False

    def finish(self) -> Manifest:
        """Complete the files, assert, and commit the last manifest of the window."""
        return self._commit(self._draft)

    def __enter__(self) -> "WindowWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Drop what was not committed. Without effect after `finish`.

        The winner of this `seq` removes what it finds of others, also while they write: then the race is lost.
        """
        for sink in (self._sink, *self._round_sinks):
            sink.abandon()
        if isinstance(error, ObjectStoreError | LakeCorrupt) and self._draft.seq in self._lake.seqs(self._place):
            raise lost_race(self._place, self._draft.seq) from None

    def _add_final(self, batch: pa.RecordBatch) -> None:
        if self._may_commit():
            behind = self._last_final is not None and self._last_final != _mark_at(batch, self._cursor, 0)
            cut = 0 if behind else start_of_last_group(batch, self._cursor)
            if cut:
                self._write_final(batch.slice(0, cut))
            if cut or behind:
                assert self._last_final is not None
                self._commit_on_the_way(self._last_final)
                batch = batch.slice(cut)
        self._write_final(batch)

    def _commit_on_the_way(self, reached: Mark) -> None:
        self._commit(replace(self._draft, safe=reached, high=reached, closed=False, captures=()))
        self._draft = replace(self._draft, seq=self._draft.seq + 1, low=reached)
        self._open_folder()

    def _may_commit(self) -> bool:
        if self._draft.mode != "append" or self._final_rows < (self._spec.files.min_rows or 1):
            return False
        overdue = time.monotonic() - self._committed_at >= self._spec.commit_every.total_seconds()
        return overdue or self._sink.completed > 0

    def _write_final(self, batch: pa.RecordBatch) -> None:
        self._sink.write(self.shaped(batch))
        self._final_rows += batch.num_rows
        if self._cursor:
            self._last_final = _mark_at(batch, self._cursor, -1)

    def _commit(self, manifest: Manifest) -> Manifest:
        """The source counts while the last row group is written."""
        with ThreadPoolExecutor(1, "syncer-count") as pool:
            found = pool.submit(self._count, manifest)
            self._sink.close_file()
        files = (*self._round_files, *self._sink.take())
        self._round_files = []
        named = (*manifest.files, *files)
        metrics = self._metrics.of(files)
        manifest = replace(manifest, files=named, rows=sum(file.rows for file in named), metrics=metrics)
        self._emit("files written", seq=manifest.seq, files=len(files), rows=manifest.rows)
        left = self._verify(manifest, self._final_rows, found.result())
        self._lake.commit(self._place, manifest)
        self.rows_left_window += left
        self._emit("manifest committed", seq=manifest.seq, rows=manifest.rows, rows_left_window=left)
        self._note(manifest, files)
        self._draft = replace(self._draft, files=())
        self._final_rows, self._committed_at = 0, time.monotonic()
        return manifest

    def _note(self, manifest: Manifest, files: Sequence[DataFile]) -> None:
        report = self._report
        report.rows += sum(file.rows for file in files)
        report.bytes += sum(file.bytes for file in files)
        report.files += len(files)
        report.manifests += 1
        report.last_seq, report.mode, report.closed = manifest.seq, manifest.mode, manifest.closed

    def _open_folder(self) -> None:
        self._folder = self._place.data(self._draft.seq, uuid.uuid4().hex[:12])
        self._numbers = count()
        self._sink = self._new_sink()

    def _new_sink(self, readers: int = 1) -> FileSink:
        """A sink whose row groups leave the other readers their share of the memory."""
        memory = self._spec.memory_mb * MB // (ROW_GROUPS_IN_MEMORY * readers)
        cursor = self._cursor[0] if self._cursor and self._cursor[0] in self._names else None
        hidden = cursor in self._spec.columns.hash
        return FileSink(
            self._lake.store,
            self._folder,
            self._schema,
            target_bytes=int(self._spec.files.target_mb * MB),
            min_rows=self._spec.files.min_rows,
            max_rows=self._spec.files.max_rows,
            cursor=None if hidden else cursor,
            row_group_bytes=min(ROW_GROUP_BYTES, memory),
            numbers=self._numbers,
        )

    def shaped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as it is written: the lake's columns, masked."""
        return self._mask(batch.select(self._names)) if batch.num_rows else batch


def _content(files: Sequence[DataFile], manifest: Manifest) -> tuple[object, ...]:
    """What makes two manifests bring the same: mode, columns, and the bytes of their files."""
    return (
        manifest.mode if not manifest.cursor else "",
        manifest.columns,
        tuple((file.sha256, file.bytes) for file in files),
    )


def rows_up_to(batch: pa.RecordBatch, cursor: Sequence[str], mark: Mark | None) -> int:
    """How many of the batch's rows (ordered by cursor) lie at or below a mark."""
    if mark is None:
        return 0
    below: pa.Array | None = None
    equal: pa.Array | None = None
    for name, value in zip(cursor, mark, strict=False):
        column = batch.column(name)
        scalar = pa.scalar(value, column.type)
        less = apply("less", column, scalar)
        same = apply("equal", column, scalar)
        below = less if below is None else apply("or", below, apply("and", equal, less))
        equal = same if equal is None else apply("and", equal, same)
    return apply("sum", apply("or", below, equal)).as_py() or 0


def _mark_at(batch: pa.RecordBatch, cursor: Sequence[str], row: int) -> Mark:
    return tuple(batch.column(name)[row].as_py() for name in cursor)


def start_of_last_group(batch: pa.RecordBatch, cursor: Sequence[str]) -> int:
    """Where the rows begin that share the last row's cursor: before it, every value was read completely."""
    same: pa.Array | None = None
    for name in cursor:
        column = batch.column(name)
        equal = apply("equal", column, column[-1])
        same = equal if same is None else apply("and", same, equal)
    return pc.index(same, True).as_py()
