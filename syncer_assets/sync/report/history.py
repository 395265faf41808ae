"""What was read and loaded of a table so far: a `Sync` a manifest of the lake, a `Load` a transaction of the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from ...model.manifest import Manifest
from ...model.table import TableSpec, Target
from ...warehouses.base import LedgerRow, Warehouse
from ..lake import Lake, Place

PAGE = 64
AT_ONCE = 8
"""Manifests that are fetched at a time, and partitions."""


@dataclass(frozen=True)
class Seqs:
    """The last manifest of a partition: in the lake, and loaded."""

    lake: int = 0
    loaded: int = 0


@dataclass(frozen=True)
class Sync:
    """One manifest: what was read of a partition. None was not measured: an earlier release wrote the manifest.

    `queries_saved`, `seconds_saved` and `files_consolidated` are estimates (see `model.report.METRICS`).
    """

    at: datetime
    partition: str
    rows: int
    bytes: int
    files: int
    lag_seconds: float | None = None
    queries: int | None = None
    seconds: float | None = None
    longest_query_seconds: float | None = None
    peak_memory_mb: float | None = None
    sparse_detections: int | None = None
    queries_saved: int | None = None
    seconds_saved: float | None = None
    files_consolidated: int | None = None


@dataclass(frozen=True)
class Load:
    """One transaction that brought a partition's pending manifests into the warehouse. None was not measured."""

    at: datetime
    partition: str
    manifests: int
    rows: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_deleted: int
    bytes: int | None = None
    files: int | None = None
    copies: int | None = None
    seconds: float | None = None
    wal_bytes: int | None = None


@dataclass(frozen=True)
class TableHistory:
    """A table's syncs and loads, oldest first, and how far each partition is. `error` says what could not be asked."""

    table: str
    target: str
    syncs: tuple[Sync, ...] = ()
    loads: tuple[Load, ...] = ()
    seqs: Mapping[str, Seqs] = field(default_factory=dict)
    error: str | None = None


def table_history(
    lake: Lake,
    spec: TableSpec,
    target: Target,
    warehouse: Warehouse | None,
    *,
    since: datetime | None = None,
    after: Mapping[str, Seqs] | None = None,
    error: str | None = None,
) -> TableHistory:
    """What was done `since` a time, and `after` these manifests of each partition; without a warehouse, the syncs."""
    counted = after or {}
    ledger = [] if warehouse is None else warehouse.ledger(target)
    loaded: dict[str, int] = {}
    for row in ledger:
        loaded[row.partition] = max(row.seq, loaded.get(row.partition, 0))

    def of_partition(partition: str) -> tuple[str, Seqs, list[Sync]]:
        place = Place(spec.source, spec.table, partition)
        seqs = lake.seqs(place)
        fresh = [seq for seq in seqs if seq > counted.get(partition, Seqs()).lake]
        syncs = [_sync(manifest) for manifest in _recent(lake, place, fresh, since)]
        return partition, Seqs(max(seqs, default=0), loaded.get(partition, 0)), syncs

    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = list(pool.map(of_partition, lake.partitions(spec.source, spec.table)))
    fresh = [row for row in ledger if row.seq > counted.get(row.partition, Seqs()).loaded]
    loads = [load for load in _loads(fresh) if since is None or load.at >= since]
    return TableHistory(
        table=table_title(spec),
        target=target_title(target),
        syncs=tuple(sorted((sync for _, _, syncs in parts for sync in syncs), key=lambda sync: sync.at)),
        loads=tuple(sorted(loads, key=lambda load: load.at)),
        seqs={partition: seqs for partition, seqs, _ in parts},
        error=error,
    )


def table_title(spec: TableSpec) -> str:
    """A table as people know it: its source, and its name there without `public`."""
    return f"{spec.source}.{spec.table.removeprefix('public.')}"


def target_title(target: Target) -> str:
    """The warehouse, and the table there."""
    return f"{target.warehouse}.{target.name}"


def _recent(lake: Lake, place: Place, seqs: Sequence[int], since: datetime | None) -> list[Manifest]:
    """Those of the manifests that were read since a time, in order; from the last page with an older one no further."""
    found: list[Manifest] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for end in range(len(seqs), 0, -PAGE):
            page = list(pool.map(lambda seq: lake.manifest(place, seq), seqs[max(0, end - PAGE) : end]))
            recent = [manifest for manifest in page if since is None or manifest.captured_at >= since]
            found = [*recent, *found]
            if len(recent) < len(page):
                break
    return found


def _sync(manifest: Manifest) -> Sync:
    """A manifest as numbers. Files that it only names again were counted where they were read."""
    read = [file for file in manifest.files if file.carried_from is None]
    measured = dict(manifest.metrics)
    return Sync(
        at=manifest.captured_at.astimezone(UTC),
        partition=manifest.partition,
        rows=sum(file.rows for file in read),
        bytes=sum(file.bytes for file in read),
        files=len(read),
        lag_seconds=_lag(manifest),
        queries=_whole(measured.get("queries")),
        seconds=measured.get("seconds"),
        longest_query_seconds=measured.get("longest_query_seconds"),
        peak_memory_mb=measured.get("peak_memory_mb"),
        sparse_detections=_whole(measured.get("sparse_detections")),
        queries_saved=_whole(measured.get("queries_saved")),
        seconds_saved=measured.get("seconds_saved"),
        files_consolidated=_whole(measured.get("files_consolidated")),
    )


def _lag(manifest: Manifest) -> float | None:
    """How far what was proven final lay behind the source's time; 0 where all that was there was final."""
    first = manifest.safe[0] if manifest.safe else None
    if manifest.closed or not isinstance(first, datetime) or first.tzinfo is None:
        return None
    if manifest.safe == manifest.high:
        return 0.0
    return round(max(0.0, (manifest.captured_at - first).total_seconds()), 1)


def _loads(rows: Sequence[LedgerRow]) -> Iterator[Load]:
    """The ledger has a row a manifest; those of one transaction have its time."""

    def transaction(row: LedgerRow) -> tuple[str, datetime]:
        return row.partition, row.loaded_at

    for (partition, at), group in groupby(sorted(rows, key=transaction), key=transaction):
        together = list(group)
        yield Load(
            at=at.astimezone(UTC),
            partition=partition,
            manifests=len(together),
            rows=sum(row.rows_in for row in together),
            rows_inserted=sum(row.rows_inserted for row in together),
            rows_updated=sum(row.rows_updated for row in together),
            rows_unchanged=sum(row.rows_unchanged for row in together),
            rows_deleted=sum(row.rows_deleted for row in together),
            bytes=_total(row.bytes for row in together),
            files=_total(row.files for row in together),
            copies=_total(row.copies for row in together),
            seconds=next((row.seconds for row in together if row.seconds is not None), None),
            wal_bytes=_total(row.wal_bytes for row in together),
        )


def _total(values: Iterator[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
