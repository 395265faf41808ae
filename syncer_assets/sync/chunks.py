"""The chunk loop: keyset pages up to the ceiling, sized so that each query stays short (DESIGN 5)."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ..model.errors import DbError, SyncError
from ..model.marks import CursorColumn, Mark
from ..model.report import Emit
from ..model.table import ChunkSettings
from ..sources.base import Read, Source
from .retry import Retry, asks_for_less

Until = Callable[[], int]
"""The last id of a read, as it is now: another reader may take over what lies above."""

SMALLEST_CHUNK_ROWS = 1_000
FIRST_ROWS, FIRST_BYTES = 50_000, 32 * 1024 * 1024
"""What a first query asks for at most, without and with an estimate of a row's bytes: it is not known yet how fast
rows come."""
SAMPLES_A_BATCH = 64
CUT_AT = 1.5
"""A query that has run for so many times `target_seconds` is ended, and the loop goes on behind its last row."""


@dataclass
class LoopStats:
    """What the loop did: its queries, and how long the longest was open, waiting for the writer included."""

    queries: int = 0
    rows: int = 0
    rows_asked: int = 0
    sparse_detections: int = 0
    longest_query_seconds: float = 0.0
    longest_since: float = 0.0

    def note(self, rows: int, open_seconds: float) -> None:
        """A query ended."""
        self.rows += rows
        self.longest_query_seconds = max(self.longest_query_seconds, open_seconds)
        self.longest_since = max(self.longest_since, open_seconds)

    def take_longest(self) -> float:
        """The longest since the last call."""
        longest, self.longest_since = self.longest_since, 0.0
        return longest

    def add(self, other: "LoopStats") -> None:
        """What another reader did."""
        self.queries += other.queries
        self.rows += other.rows
        self.rows_asked += other.rows_asked
        self.sparse_detections += other.sparse_detections
        self.longest_query_seconds = max(self.longest_query_seconds, other.longest_query_seconds)
        self.longest_since = max(self.longest_since, other.take_longest())


@dataclass
class ChunkSizer:
    """Rows of the next query: never more than `chunk.rows`, fewer where a query ran longer than `target_seconds`.

    `row_bytes` is an estimate that bounds the first query, which nothing was learnt for yet; 0 where there is none.
    """

    settings: ChunkSettings
    bytes_most: int
    row_bytes: float = 0.0
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        first = int(min(FIRST_BYTES, self.bytes_most) / self.row_bytes) if self.row_bytes else FIRST_ROWS
        self.rows = max(min(SMALLEST_CHUNK_ROWS, self.settings.rows), min(first, self.settings.rows))

    def note(self, rows: int, seconds: float, bytes_read: int) -> None:
        """Learn from a full chunk: keep time below the target, and the chunk's bytes below `bytes_most`."""
        if rows == 0:
            return
        by_time = int(rows * self.settings.target_seconds / max(seconds, 0.001))
        by_bytes = int(rows * self.bytes_most / max(bytes_read, 1))
        wanted = min(by_time, by_bytes, self.settings.rows)
        self.rows = max(min(SMALLEST_CHUNK_ROWS, self.settings.rows), min(wanted, self.rows * 2))

    def halve(self, asked: int) -> bool:
        """Ask for half as many rows as the query that was ended did; False where that is fewer than is sensible."""
        smallest = min(SMALLEST_CHUNK_ROWS, self.settings.rows)
        if asked <= smallest:
            return False
        self.rows = max(smallest, min(self.rows, asked // 2))
        return True


def read_chunks(
    source: Source,
    read: Read,
    *,
    sizer: ChunkSizer,
    stats: LoopStats,
    retry: Retry,
    emit: Emit,
    server: str | None = None,
    until: Until | None = None,
) -> Iterator[pa.RecordBatch]:
    """Every row of `read` in order, exactly once; those above `until()` may be left out, which may fall meanwhile.

    Each query asks for one row more than a chunk: a shorter answer proves that the end was reached, so the number of
    queries is `ceil(rows / chunk)` and one for an empty window. A query that runs for too long is ended in its midst.
    After a lost connection it goes on behind the last row that arrived, after a limit of time or a replica's conflict
    with half the rows; a table without a key (`with_ties`) can do neither: its queries run to their end, its error ends
    the attempt.
    """
    page, at_end = read.after, False
    cut_seconds = float("inf") if read.with_ties else CUT_AT * sizer.settings.target_seconds
    while not at_end:
        asked = sizer.rows + 1
        rows = bytes_read = 0
        ids: list[tuple[int, int]] = []
        started, waited, cut, ended = time.monotonic(), 0.0, False, None
        stats.queries += 1
        stats.rows_asked += asked
        try:
            part = replace(read, after=page, upto=(until(),) if until else read.upto, limit=asked)
            with closing(source.read(part, server)) as batches:  # type: ignore[type-var]  # generators have close
                for batch in batches:
                    rows += batch.num_rows
                    bytes_read += batch.nbytes
                    page = last_mark(batch, read.order, read.table)
                    ids += sampled_ids(batch, read.order)
                    cut = rows < asked and time.monotonic() - started > cut_seconds
                    handed = time.monotonic()
                    yield batch
                    waited += time.monotonic() - handed
                    if cut:
                        break
        except DbError as error:
            ended = time.monotonic()
            if read.with_ties and rows:
                raise
            if rows:
                retry.succeeded()  # each attempt brings rows: it ends
            retry.again(error, halved=asks_for_less(error) and sizer.halve(asked - 1))
            emit("source connection lost, reading on", code=error.code, rows_of_chunk=rows, next_chunk=sizer.rows)
            continue
        finally:
            ended = ended or time.monotonic()
            stats.note(rows, ended - started)
        seconds = ended - started - waited
        at_end = rows < asked and not cut
        retry.succeeded()
        if not at_end:
            sizer.note(rows, seconds, bytes_read)
        emit(
            "chunk read",
            rows_found=rows,
            chunk_size_requested=asked - 1,
            efficiency_percent=round(100 * min(1.0, rows / (asked - 1)), 1),
            seconds=round(seconds, 3),
            ids=tuple(ids),
        )


def sampled_ids(batch: pa.RecordBatch, order: tuple[CursorColumn, ...]) -> list[tuple[int, int]]:
    """Some of a batch's ids in their order, each with the rows that it stands for, and the last one, which stands for
    none. Empty where the order is not by an integer."""
    column = batch.column(order[0].name) if order and batch.num_rows else None
    if column is None or column.null_count or not pa.types.is_integer(column.type):
        return []
    step = max(1, batch.num_rows // SAMPLES_A_BATCH)
    ids = column[::step].to_pylist()
    rows = [step] * (len(ids) - 1) + [batch.num_rows - step * (len(ids) - 1)]
    return [*zip(ids, rows, strict=True), (column[-1].as_py(), 0)]


def last_mark(batch: pa.RecordBatch, order: tuple[CursorColumn, ...], table: str) -> Mark:
    """The position after the last row of a batch."""
    try:
        return tuple(batch.column(column.name)[-1].as_py() for column in order)
    except (ValueError, OverflowError):
        raise SyncError(
            "an order column holds a date outside the years 1 to 9999, behind which paging cannot go on",
            table=table,
            fix="correct the value at the source, or use `load: replace`",
        ) from None
