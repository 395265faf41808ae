"""`Manifest.metrics`: what was done since the manifest before (the names are in `model.report.METRICS`)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..model.manifest import DataFile
from ..model.table import TableSpec
from .chunks import LoopStats
from .progress import peak_memory_mb
from .savings import FixedRanges

Totals = dict[str, float]


@dataclass
class Metrics:
    """Counts over the whole attempt, told as differences from manifest to manifest.

    `round_trip_seconds` is what a query costs that brings nothing: time saved is counted by it. `asked_before` are the
    queries before the loop: the one for the ceiling. `workers` is the number of readers at work, `lag_seconds` None
    where the cursor is no time.
    """

    spec: TableSpec
    stats: LoopStats
    ranges: FixedRanges
    round_trip_seconds: float = 0.0
    asked_before: int = 1
    workers: int = 1
    lag_seconds: float | None = None
    files: int = 0
    _told: Totals = field(default_factory=dict, init=False)
    _since: float = field(default_factory=time.monotonic, init=False)

    def of(self, files: Sequence[DataFile]) -> tuple[tuple[str, float], ...]:
        """The numbers of the manifest that is about to be put with these new files."""
        now = time.monotonic()
        seconds, self._since = max(now - self._since, 1e-6), now
        rows, size = sum(file.rows for file in files), sum(file.bytes for file in files)
        self.files += len(files)
        done, before = self.totals(), self._told
        self._told = done
        new = {name: max(0.0, value - before.get(name, 0)) for name, value in done.items()}
        queries = max(1.0, new["queries"])
        told = {
            "rows": rows,
            "bytes": size,
            "files": len(files),
            "seconds": seconds,
            "rows_per_second": rows / seconds,
            "rows_per_query": rows / queries,
            "longest_query_seconds": self.stats.take_longest(),
            "chunk_efficiency_percent": self.efficiency_percent(rows, new["queries"]),
            "peak_memory_mb": peak_memory_mb(),
            "workers": self.workers,
            **new,
        }
        if self.lag_seconds is not None:
            told["lag_seconds"] = self.lag_seconds
        return tuple((name, round(float(value), 3)) for name, value in sorted(told.items()))

    def totals(self) -> Totals:
        """What the attempt has done so far, and what a loop over fixed ranges would have done more."""
        saved = max(0, self.ranges.queries - self.stats.queries)
        return {
            "queries": self.asked_before + self.stats.queries,
            "sparse_detections": self.sparse_detections,
            "queries_saved": saved,
            "seconds_saved": saved * self.round_trip_seconds,
            "files_consolidated": max(0, self.ranges.files - self.files),
        }

    @property
    def sparse_detections(self) -> int:
        """Sparse ranges of the `range` strategy; else 1 where the window's rows are sparse as a whole."""
        return self.stats.sparse_detections or int(self.is_sparse)

    @property
    def is_sparse(self) -> bool:
        """Whether the rows read so far lie sparsely in their ids."""
        sparse = self.spec.sparse
        judged = sparse.enabled and self.spec.chunk.rows > sparse.min_chunk_size_check
        return judged and self.stats.rows < sparse.efficiency_threshold * self.ranges.span

    def efficiency_percent(self, rows: int, queries: float) -> float:
        """Rows against those that the queries asked for."""
        return round(100 * min(1.0, rows / max(1.0, queries * self.spec.chunk.rows)), 1)
