"""Histories with numbers that can be added up by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from syncer_assets.sync.report.history import Load, Seqs, Sync, TableHistory

DAY = datetime(2024, 5, 1, 12, tzinfo=UTC)


def at(days: float) -> datetime:
    return DAY + timedelta(days=days)


def sync(days: float, rows: int, partition: str = "all", **measured: Any) -> Sync:
    """One file of 100 bytes a row."""
    return Sync(at(days), partition, rows, bytes=rows * 100, files=1, **measured)


def load(days: float, rows: int, partition: str = "all", **measured: Any) -> Load:
    """All rows are new."""
    return Load(at(days), partition, 1, rows, rows, 0, 0, 0, **measured)


def history(syncs: list[Sync], loads: list[Load], table: str = "shop.orders", error: str | None = None) -> TableHistory:
    return TableHistory(
        table, f"analytics.{table}", tuple(syncs), tuple(loads), {"all": Seqs(len(syncs), len(loads))}, error
    )


def slow() -> TableHistory:
    """1,000 rows a second from 10 queries and 2 files, at most 400 MB; loaded by 2 COPYs at 500 rows a second."""
    return history(
        [
            sync(0, 6000, queries=6, seconds=6.0, peak_memory_mb=400.0, longest_query_seconds=1.5),
            sync(1, 4000, queries=4, seconds=4.0, peak_memory_mb=300.0, longest_query_seconds=2.5),
        ],
        [load(0, 6000, copies=1, seconds=12.0), load(1, 4000, copies=1, seconds=8.0, wal_bytes=1024)],
    )


def fast() -> TableHistory:
    """20,000 rows at 4,000 a second from 2 queries into 1 file, at most 200 MB; loaded by 1 COPY at 1,000 a second."""
    return history(
        [sync(2, 20_000, queries=2, seconds=5.0, peak_memory_mb=200.0)],
        [load(2, 20_000, copies=1, seconds=20.0)],
    )
