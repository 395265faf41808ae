"""Several readers share a large window of ids: cut by density, and an idle reader halves the largest rest (DESIGN 5).

The window goes by in rounds, each about a file a reader. A round is committed whole, so that what is committed is
always complete up to some id. All cuts lie on the grid of `chunk.rows` ids from the window's first id: a piece never
takes more queries than the fixed ranges that it spans.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event, Lock
from typing import Protocol

import pyarrow as pa

from ..model.marks import Mark
from ..model.report import Emit
from ..sources.base import Read
from .chunks import LoopStats, Until
from .density import Density
from .parquet import FileSink
from .savings import FixedRanges
from .writer import WindowWriter, rows_up_to

TELL_SECONDS = 1.0
PIECES_LEAST = 2
"""Chunks of ids for each reader, below which a window is not shared."""


class Chunks(Protocol):
    """The rows of a read, in order, as one reader takes them; its queries are counted in `stats`."""

    def __call__(self, read: Read, stats: LoopStats, until: Until) -> Iterator[pa.RecordBatch]: ...


@dataclass
class Piece:
    """Ids in `(page, end]` are left of it; `after` is where it began. Another reader may lower `end`."""

    after: Mark | None
    page: int
    end: int


@dataclass
class Pieces:
    """What is left of a round. Readers call it from their threads.

    `chunk` is the grid's step and the rows of a query, `first` the id before the grid's first.
    """

    waiting: list[Piece]
    density: Density
    first: int
    chunk: int
    halvings: int = 0
    _taken: list[Piece] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def claim(self) -> Piece | None:
        """The next piece, or half of what is left of the largest; None where nothing is worth another query."""
        with self._lock:
            piece = self.waiting.pop(0) if self.waiting else self._half()
            if piece is not None:
                self._taken.append(piece)
            return piece

    def take(self, piece: Piece, batch: pa.RecordBatch, cursor: str) -> pa.RecordBatch:
        """The rows of a batch that still belong to the piece; fewer than all of them where another took over."""
        with self._lock:
            last = batch.column(cursor)[-1].as_py()
            if last <= piece.end:
                piece.page = last
                return batch
            piece.page = piece.end
        return batch.slice(0, rows_up_to(batch, [cursor], (piece.end,)))

    def finish(self, piece: Piece) -> None:
        """All of a piece was read."""
        with self._lock:
            self._taken.remove(piece)

    def _half(self) -> Piece | None:
        """The owner goes on to the cut; what its query brings beyond is dropped, so a chunk ahead is left to it."""
        best: tuple[float, int, Piece] | None = None
        for piece in self._taken:
            ahead = self.density.id_after(piece.page, self.chunk)
            left = self.density.rows_between(piece.page, piece.end)
            middle = self.density.id_after(piece.page, left / 2)
            cut = on_grid(max(ahead, middle, piece.page + 1), self.first, self.chunk)
            rest = self.density.rows_between(cut, piece.end)
            if cut < piece.end and rest >= self.chunk / 2 and (best is None or rest > best[0]):
                best = rest, cut, piece
        if best is None:
            return None
        _, cut, owner = best
        half = Piece(after=(cut,), page=cut, end=owner.end)
        owner.end = cut
        self.halvings += 1
        return half


def on_grid(id_: int, first: int, step: int) -> int:
    """The first line of the grid at or above an id."""
    return first + -(-(id_ - first) // step) * step


def is_wide_enough(first: int, top: int, chunk: int, workers: int) -> bool:
    """Whether the ids of a window can be shared out to so many readers."""
    return top - first >= PIECES_LEAST * workers * chunk


def read_in_parallel(
    chunks: Chunks,
    read: Read,
    *,
    first: int,
    top: int,
    density: Density,
    workers: int,
    chunk: int,
    writer: WindowWriter,
    stats: LoopStats,
    row_bytes: float,
    commit_seconds: float,
    told: Callable[[int], None],
    emit: Emit,
) -> None:
    """Read the rows of `read` with ids in `(first, top]` by `workers` threads into `writer`, a round at a time.

    `row_bytes` estimates a row in Parquet until a file was written; `told` hears how many rows there are by now. The
    last round is left for the writer's `finish` to commit. The first error of any reader stops all, and is raised.
    """
    start, after, rows_before, began = first, read.after, 0, time.monotonic()
    while start < top:
        per_round = writer.rows_per_file(row_bytes) * workers
        if rows_before:
            per_round = min(per_round, int(rows_before / (time.monotonic() - began) * commit_seconds))
        per_round = max(per_round, PIECES_LEAST * workers * chunk)
        end = on_grid(density.id_after(start, per_round), first, chunk)
        end = max(end, start + PIECES_LEAST * workers * chunk)
        if end >= top or density.rows_between(end, top) < per_round / 2:
            end = top
        pieces = Pieces(_cut(after, start, end, density, workers, first, chunk), density, first, chunk)
        emit("round opened", workers=workers, pieces=len(pieces.waiting), last_processed_id=start, up_to=end)
        readers = [
            _Reader(chunks, replace(read, limit=None), pieces, writer, sink) for sink in writer.reader_sinks(workers)
        ]
        _run(readers, partial(_tell, told, rows_before, readers))
        rows_before += sum(reader.rows for reader in readers)
        for reader in readers:
            stats.add(reader.stats)
            writer.ranges.add(reader.ranges)
        writer.add_round(reached=(end,), last=end == top)
        start, after = end, (end,)


@dataclass
class _Reader:
    """One thread's work in a round."""

    chunks: Chunks
    read: Read
    pieces: Pieces
    writer: WindowWriter
    sink: FileSink
    rows: int = 0
    stats: LoopStats = field(default_factory=LoopStats)
    stop: Event = field(default_factory=Event)
    ranges: FixedRanges = field(init=False)

    def __post_init__(self) -> None:
        self.ranges = FixedRanges(self.read.order[0], self.pieces.chunk)

    def run(self) -> None:
        while not self.stop.is_set() and (piece := self.pieces.claim()) is not None:
            self._read_piece(piece)
            self.pieces.finish(piece)
        if not self.stop.is_set():
            self.sink.close_file()

    def _read_piece(self, piece: Piece) -> None:
        cursor = self.read.order[0].name
        part = replace(self.read, after=piece.after, upto=(piece.end,))
        with closing(self.chunks(part, self.stats, lambda: piece.end)) as batches:  # type: ignore[type-var]  # generators have close
            for batch in batches:
                if self.stop.is_set():
                    return
                own = self.pieces.take(piece, batch, cursor)
                if own.num_rows:
                    self.ranges.note(own)
                    self.sink.write(self.writer.shaped(own))
                    self.rows += own.num_rows
                if piece.page >= piece.end:
                    return


def _cut(
    after: Mark | None, start: int, end: int, density: Density, workers: int, first: int, chunk: int
) -> list[Piece]:
    """`(start, end]` in about equal numbers of rows, at most one piece a reader."""
    share = density.rows_between(start, end) / workers
    cuts = [on_grid(density.id_after(start, share * number), first, chunk) for number in range(1, workers)]
    edges = sorted({cut for cut in cuts if start < cut < end})
    lows = [start, *edges]
    return [
        Piece(after if number == 0 else (low,), low, high)
        for number, (low, high) in enumerate(zip(lows, [*edges, end], strict=True))
    ]


def _tell(told: Callable[[int], None], rows_before: int, readers: list[_Reader]) -> None:
    told(rows_before + sum(reader.rows for reader in readers))


def _run(readers: list[_Reader], tell: Callable[[], None]) -> None:
    """In as many threads. `tell` is called now and then, from this one."""
    with ThreadPoolExecutor(len(readers), thread_name_prefix="syncer-reader") as pool:
        running = [pool.submit(copy_context().run, reader.run) for reader in readers]
        try:
            waiting = set(running)
            while waiting and not any(each.done() and each.exception() for each in running):
                waiting = wait(waiting, TELL_SECONDS, FIRST_EXCEPTION).not_done
                tell()
        finally:
            for reader in readers:
                reader.stop.set()
    for done in running:
        done.result()
