"""The readers of one window: pages or ranges, by one reader or several, as `strategy` chooses."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from ..model.manifest import Manifest
from ..model.report import Emit
from ..model.table import TableSpec
from ..sources.base import Read, Source, TableFacts
from .chunks import ChunkSizer, LoopStats, Until, read_chunks
from .density import Density, density_of
from .effort import predict_remaining_effort
from .lake import Lake, Place
from .parallel import is_wide_enough, read_in_parallel
from .parquet import MB
from .prefetch import Prefetch
from .progress import ProgressMeter
from .ranges import read_ranges
from .retry import Retry
from .rules import Resolved
from .sparse import RangeSizer
from .strategy import PARQUET_SHARE, Choice, choose
from .window import Window
from .writer import WindowWriter

Batches = AbstractContextManager[Iterator[pa.RecordBatch]]


@dataclass
class Loop:
    """Reads a window as `choice` has it; what was done is in `stats`.

    `ids` are those that several readers share, `begin` is the id before the window's first, where it was asked for.
    What `sizer` learns of the source, all readers know.
    """

    source: Source
    lake: Lake
    place: Place
    spec: TableSpec
    choice: Choice
    sizer: ChunkSizer
    server: str
    retry: Retry
    emit: Emit
    stats: LoopStats = field(default_factory=LoopStats)
    ids: tuple[int, int] | None = None
    begin: int | None = None
    density: Density | None = None

    @classmethod
    def of(
        cls,
        source: Source,
        lake: Lake,
        place: Place,
        spec: TableSpec,
        resolved: Resolved,
        facts: TableFacts,
        base: Read,
        window: Window,
        head: Manifest | None,
        *,
        server: str,
        retry: Retry,
        emit: Emit,
    ) -> "Loop":
        """Choose how to read the window `base`, and say why."""
        choice = choose(source, spec, resolved, facts, base)
        sizer = ChunkSizer(spec.chunk, spec.memory_mb * MB // (2 * choice.workers), choice.row_bytes)
        loop = cls(source, lake, place, spec, choice, sizer, server, retry, emit)
        if choice.large:
            loop._look_at_ids(base, window)
        effort = predict_remaining_effort(choice, spec, base, loop.density, head)
        emit(
            "strategy chosen",
            strategy=choice.strategy,
            reason=choice.reason,
            size_class=loop.choice.size_class,
            size=loop.choice.size_reason,
            workers=loop.choice.workers,
            queries_predicted=effort.queries if choice.rows else None,
            seconds_predicted=effort.seconds,
        )
        return loop

    def read_in_parallel(self, base: Read, window: Window, writer: WindowWriter, meter: ProgressMeter) -> Read | None:
        """The rows up to `safe` by several readers, if the choice is so. What is left to be read in order."""
        if self.ids is None or self.density is None:
            return base
        first, top = self.ids
        read_in_parallel(
            lambda read, stats, until: self._chunks(read, stats, Retry(self.retry.backoff, self.emit), until),
            base,
            first=first,
            top=top,
            density=self.density,
            workers=self.choice.workers,
            chunk=self.spec.chunk.rows,
            writer=writer,
            stats=self.stats,
            row_bytes=self.choice.row_bytes * PARQUET_SHARE,
            commit_seconds=self.spec.commit_every.total_seconds(),
            told=lambda rows: meter.at(rows, self.choice.rows),
            emit=self.emit,
        )
        return None if window.safe == window.high else replace(base, after=window.safe)

    def batches(self, read: Read) -> Batches:
        """The rows of `read`, in order. A small window needs no thread that reads ahead."""
        chunks = self._chunks(read, self.stats, self.retry)
        return closing(chunks) if self.choice.size_class == "standard" else Prefetch(chunks)  # type: ignore[return-value]  # generators have close

    def pages(self, read: Read) -> Batches:
        """The rows of a read beside the window, in order."""
        return Prefetch(self._pages(read, self.stats, self.retry))  # type: ignore[return-value]  # an iterable

    def _look_at_ids(self, base: Read, window: Window) -> None:
        """Where rows lie among the ids up to `safe`, and whether several readers can share them."""
        safe = window.safe[0] if window.safe else None
        top = base.end - 1 if isinstance(base.end, int) and safe == base.end else safe
        after = base.after[0] if base.after else self._ask_begin(base)
        workers, chunk = self.choice.workers, self.spec.chunk.rows
        if isinstance(after, int) and isinstance(top, int) and after < top:
            self.density = density_of(self.source, self.lake, self.place, base, after, top)
            if is_wide_enough(after, top, chunk, workers):
                self.ids = (after, top) if workers > 1 else None
                return
        if workers == 1:
            return
        reason = f"{self.choice.size_reason}; too few ids for {workers} workers"
        self.choice = replace(self.choice, size_class="streaming", size_reason=reason, workers=1)

    def _ask_begin(self, base: Read) -> int | None:
        self.stats.queries += 1
        lowest = self.source.lowest(base)
        self.begin = lowest - 1 if isinstance(lowest, int) else None
        return self.begin

    def _chunks(
        self, read: Read, stats: LoopStats, retry: Retry, until: Until | None = None
    ) -> Iterator[pa.RecordBatch]:
        if self.choice.strategy == "keyset":
            return self._pages(read, stats, retry, until)
        return read_ranges(
            self.source,
            read,
            ranges=RangeSizer(self.spec.sparse, self.spec.chunk.rows),
            sizer=self.sizer,
            stats=stats,
            retry=retry,
            emit=self.emit,
            server=self.server,
            begin=self.begin,
            until=until,
        )

    def _pages(
        self, read: Read, stats: LoopStats, retry: Retry, until: Until | None = None
    ) -> Iterator[pa.RecordBatch]:
        return read_chunks(
            self.source,
            read,
            sizer=self.sizer,
            stats=stats,
            retry=retry,
            emit=self.emit,
            server=self.server,
            until=until,
        )
