"""Syncs and loads summed up: what they brought, what they took, and how fast they were."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .history import Load, Sync

Done = TypeVar("Done", Sync, Load)
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Figures:
    """Syncs (from the source into the lake) and loads (into the warehouse) in sum.

    Rates count only what was measured. `lag_seconds` is that of the last sync, `peak_memory_mb` and
    `longest_query_seconds` are the highest. None: not measured.
    """

    manifests: int = 0
    rows: int = 0
    bytes: int = 0
    files: int = 0
    queries: int | None = None
    seconds: float | None = None
    rows_per_second: float | None = None
    rows_per_query: float | None = None
    rows_per_file: float | None = None
    longest_query_seconds: float | None = None
    peak_memory_mb: float | None = None
    lag_seconds: float | None = None
    sparse_detections: int | None = None
    queries_saved: int | None = None
    seconds_saved: float | None = None
    files_consolidated: int | None = None
    loads: int = 0
    rows_loaded: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_deleted: int = 0
    bytes_loaded: int | None = None
    files_loaded: int | None = None
    copies: int | None = None
    load_seconds: float | None = None
    load_rows_per_second: float | None = None
    rows_per_copy: float | None = None
    wal_bytes: int | None = None


@dataclass(frozen=True)
class Comparison:
    """Now against before. Ratios above 1 are better: faster, less memory.

    Saved is what these rows would have taken at the baseline's rows a query, file or COPY, less what they took.
    """

    speed_ratio: float | None = None
    load_speed_ratio: float | None = None
    memory_ratio: float | None = None
    queries_saved: int | None = None
    files_saved: int | None = None
    copies_saved: int | None = None


def figures(syncs: Sequence[Sync], loads: Sequence[Load]) -> Figures:
    """The sum of syncs and loads (each oldest first) of any tables and partitions."""
    return Figures(
        manifests=len(syncs),
        rows=sum(sync.rows for sync in syncs),
        bytes=sum(sync.bytes for sync in syncs),
        files=sum(sync.files for sync in syncs),
        queries=_sum(sync.queries for sync in syncs),
        seconds=_sum(sync.seconds for sync in syncs),
        rows_per_second=_rate(syncs, lambda sync: sync.seconds),
        rows_per_query=_rate(syncs, lambda sync: sync.queries),
        rows_per_file=_rate(syncs, lambda sync: sync.files),
        longest_query_seconds=_most(sync.longest_query_seconds for sync in syncs),
        peak_memory_mb=_most(sync.peak_memory_mb for sync in syncs),
        lag_seconds=next((sync.lag_seconds for sync in reversed(syncs) if sync.lag_seconds is not None), None),
        sparse_detections=_sum(sync.sparse_detections for sync in syncs),
        queries_saved=_sum(sync.queries_saved for sync in syncs),
        seconds_saved=_sum(sync.seconds_saved for sync in syncs),
        files_consolidated=_sum(sync.files_consolidated for sync in syncs),
        loads=len(loads),
        rows_loaded=sum(load.rows for load in loads),
        rows_inserted=sum(load.rows_inserted for load in loads),
        rows_updated=sum(load.rows_updated for load in loads),
        rows_unchanged=sum(load.rows_unchanged for load in loads),
        rows_deleted=sum(load.rows_deleted for load in loads),
        bytes_loaded=_sum(load.bytes for load in loads),
        files_loaded=_sum(load.files for load in loads),
        copies=_sum(load.copies for load in loads),
        load_seconds=_sum(load.seconds for load in loads),
        load_rows_per_second=_rate(loads, lambda load: load.seconds),
        rows_per_copy=_rate(loads, lambda load: load.copies),
        wal_bytes=_sum(load.wal_bytes for load in loads),
    )


def compare(before: Figures, now: Figures) -> Comparison:
    """How `now` did against `before`."""
    return Comparison(
        speed_ratio=_ratio(now.rows_per_second, before.rows_per_second),
        load_speed_ratio=_ratio(now.load_rows_per_second, before.load_rows_per_second),
        memory_ratio=_ratio(before.peak_memory_mb, now.peak_memory_mb),
        queries_saved=_saved(now.rows, before.rows_per_query, now.queries),
        files_saved=_saved(now.rows, before.rows_per_file, now.files),
        copies_saved=_saved(now.rows_loaded, before.rows_per_copy, now.copies),
    )


def _rate(items: Sequence[Done], taken: Callable[[Done], float | None]) -> float | None:
    """Rows a unit of what they took, over the items that tell it."""
    pairs = [(item.rows, amount) for item in items if (amount := taken(item)) is not None]
    whole = sum(amount for _, amount in pairs)
    return round(sum(rows for rows, _ in pairs) / whole, 4) if whole else None


def _sum(values: Iterable[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _ratio(better: float | None, worse: float | None) -> float | None:
    return round(better / worse, 2) if better and worse else None


def _saved(rows: int, rows_each: float | None, taken: int | None) -> int | None:
    return None if not rows_each or taken is None else round(rows / rows_each) - taken
