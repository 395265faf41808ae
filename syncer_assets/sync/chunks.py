"""The chunk loop: keyset pages up to the ceiling, sized so that each query stays short (DESIGN 5)."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ..model.errors import DbError, SyncError
from ..model.marks import CursorColumn, Mark
from ..model.report import Emit
from ..model.table import ChunkSettings
from ..sources.base import Read, Source
from .retry import Retry

SMALLEST_CHUNK_ROWS = 1_000


@dataclass
class LoopStats:
    """What the loop did: its queries, and how long the longest of them took."""

    queries: int = 0
    rows: int = 0
    rows_asked: int = 0
    longest_query_seconds: float = 0.0


@dataclass
class ChunkSizer:
    """Rows of the next query: never more than `chunk.rows`, fewer where a query ran longer than `target_seconds`."""

    settings: ChunkSettings
    bytes_most: int
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.settings.rows

    def note(self, rows: int, seconds: float, bytes_read: int) -> None:
        """Learn from a full chunk: keep time below the target, and the chunk's bytes below `bytes_most`."""
        if rows == 0:
            return
        by_time = int(rows * self.settings.target_seconds / max(seconds, 0.001))
        by_bytes = int(rows * self.bytes_most / max(bytes_read, 1))
        wanted = min(by_time, by_bytes, self.settings.rows)
        self.rows = max(min(SMALLEST_CHUNK_ROWS, self.settings.rows), min(wanted, self.rows * 2))


def read_chunks(
    source: Source,
    read: Read,
    *,
    sizer: ChunkSizer,
    stats: LoopStats,
    retry: Retry,
    emit: Emit,
    server: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Every row of `read` in order, exactly once.

    Each query asks for one row more than a chunk: a shorter answer proves that the end was reached, so the number of
    queries is `ceil(rows / chunk)` and one for an empty window. After a lost connection it goes on behind the last row
    that arrived; a table without a key (`with_ties`) cannot, its error ends the attempt.
    """
    page, at_end = read.after, False
    while not at_end:
        asked = sizer.rows + 1
        rows = bytes_read = 0
        started, waited = time.monotonic(), 0.0
        stats.queries += 1
        stats.rows_asked += asked
        try:
            for batch in source.read(replace(read, after=page, limit=asked), server):
                rows += batch.num_rows
                bytes_read += batch.nbytes
                page = last_mark(batch, read.order, read.table)
                handed = time.monotonic()
                yield batch
                waited += time.monotonic() - handed
        except DbError as error:
            if read.with_ties and rows:
                raise
            retry.again(error)
            emit("source connection lost, reading on", code=error.code, rows_of_chunk=rows)
            stats.rows += rows
            continue
        seconds = time.monotonic() - started - waited
        stats.rows += rows
        stats.longest_query_seconds = max(stats.longest_query_seconds, seconds)
        at_end = rows < asked
        retry.succeeded()
        if not at_end:
            sizer.note(rows, seconds, bytes_read)
        emit(
            "chunk read",
            rows_found=rows,
            chunk_size_requested=asked - 1,
            efficiency_percent=round(100 * min(1.0, rows / (asked - 1)), 1),
            seconds=round(seconds, 3),
        )


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
