"""How a window is read: by pages or ranges, in one go, ahead of the writer or by several readers; and why."""

from dataclasses import dataclass, replace
from typing import Literal

from ..model.errors import ConfigError
from ..model.table import TableSpec
from ..sources.base import Read, Source, TableFacts
from .rules import Resolved

MB = 1024 * 1024
READER_MB = 64
"""Memory that a reader needs: a row group that fills up, its encoding, and the batches on their way."""

PARQUET_SHARE = 0.4
"""Parquet with zstd against the size of the table on the server, its indexes included: a rough half of a half."""

SNAPSHOT = "snapshot"
Strategy = Literal["keyset", "range", "snapshot"]
SizeClass = Literal["standard", "streaming", "parallel"]


@dataclass(frozen=True)
class Choice:
    """`rows` and `row_bytes` are the server's estimates of the window, 0 where it has none.

    `size_class` parallel stands for `workers` readers if the window's ids can be shared out (see `parallel`); `large`
    is a window of ids of that size, whoever reads it.
    """

    strategy: Strategy
    reason: str
    size_class: SizeClass
    size_reason: str
    workers: int = 1
    rows: int = 0
    row_bytes: float = 0.0
    large: bool = False


def choose(
    source: Source, spec: TableSpec, resolved: Resolved, facts: TableFacts, read: Read, rows: int | None = None
) -> Choice:
    """The choice for the window `read`, of about `rows` rows where that is known. Reads no rows.

    Raises ConfigError where the declared strategy cannot be.
    """
    if not spec.cursor:
        return Choice(SNAPSHOT, "no cursor: read whole", "streaming", "one snapshot")
    strategy, reason = _strategy(source, spec, resolved, facts, read)
    rows = _rows(source, spec, facts, read) if rows is None else rows
    row_bytes = facts.bytes_estimate / facts.rows_estimate if facts.rows_estimate > 0 else 0.0
    choice = Choice(strategy, reason, "streaming", "the table was never analysed", 1, rows, row_bytes)
    if facts.rows_estimate <= 0:
        return choice
    size_mb, sizes = rows * row_bytes / MB, spec.sizes
    about = f"about {rows:,} rows, {size_mb:.0f} MB"
    if size_mb < sizes.streaming_mb:
        return replace(choice, size_class="standard", size_reason=about)
    if size_mb < sizes.parallel_mb or rows < sizes.parallel_rows:
        return replace(choice, size_reason=about)
    if not is_by_id(resolved, spec) or read.prefix is not None:
        return replace(choice, size_reason=f"{about}; several workers need one integer cursor")
    choice = replace(choice, large=True)
    if spec.workers == 1:
        return replace(choice, size_reason=f"{about}; `workers: 1`")
    workers = min(spec.workers, max(1, spec.memory_mb // READER_MB))
    if workers == 1:
        return replace(choice, size_reason=f"{about}; memory_mb: {spec.memory_mb} is enough for one worker")
    if workers < spec.workers:
        about = f"{about}; memory_mb: {spec.memory_mb} is enough for {workers} workers"
    return replace(choice, size_class="parallel", size_reason=about, workers=workers)


def is_by_id(resolved: Resolved, spec: TableSpec) -> bool:
    """Whether windows can be cut anywhere between two ids."""
    return len(spec.cursor) == 1 and resolved.cursor is not None and resolved.cursor.kind == "integer"


def _strategy(
    source: Source, spec: TableSpec, resolved: Resolved, facts: TableFacts, read: Read
) -> tuple[Literal["keyset", "range"], str]:
    if spec.strategy == "range" and not is_by_id(resolved, spec):
        raise ConfigError(
            f"`strategy: range` needs one integer cursor, not {', '.join(spec.cursor) or 'none'}",
            table=spec.table,
            fix="use `strategy: auto`, or an integer cursor",
        )
    if spec.strategy != "auto":
        return spec.strategy, f"declared: `strategy: {spec.strategy}`"
    if not is_by_id(resolved, spec):
        return "keyset", "the cursor is no single integer"
    if any(columns[:1] == spec.cursor for columns in facts.indexes):
        return "keyset", f"an index on {spec.cursor[0]} serves pages in order, whatever gaps there are"
    if 0 < facts.rows_estimate <= spec.chunk.rows:
        return "keyset", "one chunk holds the table"
    top = read.upto[0] if read.upto else source.maximum(spec.table, resolved.order[0])
    if isinstance(top, int):
        part = replace(read, after=(top - spec.chunk.rows,), upto=(top,), start=None, end=None, limit=None)
        index = source.explain(part).index
        if index is not None:
            return "range", f"no index serves pages in order, but {index} serves ranges of {spec.cursor[0]}"
    return "keyset", f"no index serves {spec.cursor[0]}: pages and ranges alike scan the table"


def _rows(source: Source, spec: TableSpec, facts: TableFacts, read: Read) -> int:
    """About how many rows the window has. Small tables are not asked about."""
    whole = facts.rows_estimate
    if whole <= 0:
        return 0
    bounded = (read.after, read.start, read.end, read.prefix) != (None, None, None, None)
    if not bounded or facts.bytes_estimate < spec.sizes.streaming_mb * MB:
        return whole
    return min(whole, source.explain(replace(read, limit=None)).rows)
