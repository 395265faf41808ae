"""The `range` strategy: ranges of ids, scaled where they are nearly empty, and ended early only on proof (DESIGN 5)."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from ..model.errors import DbError
from ..model.marks import Scalar
from ..model.report import Emit
from ..sources.base import Read, Source
from .chunks import ChunkSizer, LoopStats, Until, read_chunks
from .retry import Retry
from .sparse import RangeSizer

FAR = 4
"""Ranges that lie ahead before a gap is asked for that no scaled range has paid for yet."""


def read_ranges(
    source: Source,
    read: Read,
    *,
    ranges: RangeSizer,
    sizer: ChunkSizer,
    stats: LoopStats,
    retry: Retry,
    emit: Emit,
    server: str | None = None,
    begin: int | None = None,
    until: Until | None = None,
) -> Iterator[pa.RecordBatch]:
    """Every row of `read` in order, exactly once, as `read_chunks`; the cursor is one integer column.

    A range that holds more rows than a chunk is paged. After sparse ranges the source is asked for the next row: none
    up to the ceiling is the proof that ends the loop, else it goes on there. Each such question is paid for by queries
    that scaled ranges have saved, so that there are never more queries than `ceil(ids / chunk.rows)`; one more where
    ranges cannot be scaled. `until` is as in `read_chunks`. `begin` is the id before the first row, where that is
    known; without it and without `read.after` it is asked for first.
    """
    top = _top(read)
    at = read.after[0] if read.after else begin
    if at is None:
        at = _before(_lowest(source, read, stats, retry, emit))
    if not isinstance(at, int):
        return
    first, asked_before, page = at, stats.queries, read.after
    while at < (top := min(top, until()) if until else top):
        ids, rows_before = min(ranges.size, top - at), stats.rows
        last: int = at
        upto = read.upto if at + ids == top and until is None else (at + ids,)
        part = replace(read, after=page, upto=upto)
        for batch in read_chunks(source, part, sizer=sizer, stats=stats, retry=retry, emit=emit, server=server):
            last = batch.column(read.order[0].name)[-1].as_py()
            yield batch
        rows, at, page = stats.rows - rows_before, at + ids, upto
        advice = ranges.note(rows, ids)
        stats.sparse_detections += ranges.sparse_in_a_row > 0
        if advice != "terminate_early" or at >= top or 2 * (at - last) < ids:
            continue
        paid_for = (at - first) // ranges.base - (stats.queries - asked_before)
        if paid_for < 1 and (ranges.may_grow or paid_for < 0 or top - at < FAR * ranges.base):
            continue
        found = _lowest(source, replace(read, after=page), stats, retry, emit)
        emit(
            "Sparse ID sequence detected",
            efficiency_percent=round(100 * rows / ids, 2),
            rows_found=rows,
            chunk_size_requested=ids,
            last_processed_id=at,
            watermark_ceiling=top,
            optimization="ended early: no row is left up to the ceiling" if found is None else "jumped over the gap",
            next_id=found,
            queries_saved=max(0, paid_for - 1),
        )
        if not isinstance(found, int):
            return
        at = max(at, found - 1)
        page = (at,)
        ranges.jumped()


def _top(read: Read) -> int:
    """The last id that `read` brings."""
    edges = [read.upto[0]] if read.upto else []
    if isinstance(read.end, int):
        edges.append(read.end - 1)
    return min(edge for edge in edges if isinstance(edge, int))


def _before(lowest: Scalar | None) -> int | None:
    return lowest - 1 if isinstance(lowest, int) else None


def _lowest(source: Source, read: Read, stats: LoopStats, retry: Retry, emit: Emit) -> Scalar | None:
    while True:
        stats.queries += 1
        try:
            found = source.lowest(read)
        except DbError as error:
            retry.again(error)
            emit("source connection lost, reading on", code=error.code)
        else:
            retry.succeeded()
            return found
