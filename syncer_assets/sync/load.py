"""The load: every pending manifest of a partition into its warehouse table, in one transaction (DESIGN 6)."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa

from ..model.columns import Column
from ..model.errors import IdentityChanged
from ..model.manifest import DataFile, Manifest
from ..model.partition import UNPARTITIONED
from ..model.report import CheckResult, Emit, LoadReport, silent
from ..model.table import TableSpec, Target
from ..sources.arrow import arrow_schema
from ..warehouses.base import CAPTURED_AT, DeleteMissing, LiveFile, LoadPlan, Warehouse, Watermark
from .lake import Lake, Place
from .progress import peak_memory_mb
from .retry import DEFAULT, Backoff, retrying
from .widening import check_columns


def load(
    lake: Lake,
    warehouse: Warehouse,
    spec: TableSpec,
    target: Target,
    partition: str = UNPARTITIONED,
    *,
    run_id: str = "",
    emit: Emit = silent,
    backoff: Backoff = DEFAULT,
) -> LoadReport:
    """Bring a target up to the last manifest of a partition. Raises SyncError; the target is then as it was.

    The warehouse follows each manifest's own mode. Replaying changes nothing: the watermark says what is loaded.
    """
    started = time.monotonic()
    place = Place(spec.source, spec.table, partition)

    def attempt() -> LoadReport:
        warehouse.register(target, lake.generation)  # each time: a failover may have lost it
        lake.register(place, target)
        return _load_pending(lake, warehouse, spec, target, place, run_id, emit)

    report = retrying(attempt, backoff, emit)
    report.seconds = round(time.monotonic() - started, 3)
    report.peak_memory_mb = peak_memory_mb()
    return report


def _load_pending(
    lake: Lake, warehouse: Warehouse, spec: TableSpec, target: Target, place: Place, run_id: str, emit: Emit
) -> LoadReport:
    mark = warehouse.watermark(target, place.partition)
    last = max(lake.seqs(place), default=0)
    if mark.seq > last:
        raise IdentityChanged(
            f"{target.name} has loaded manifest {mark.seq}, the lake's last one is {last}: this is an older lake",
            table=spec.table,
            partition=place.partition,
            fix="restore the lake, or read the table anew with `syncer run --full`",
        )
    manifests = lake.manifests(place, after=mark.seq)
    if manifests and all(manifest.mode != "replace" for manifest in manifests):
        _assert_same_past(lake, place, mark, target)
    if not manifests:
        warehouse.restore_size(None, emit=emit)  # what a load that was killed may have left
        return LoadReport(
            target=target.name,
            partition=place.partition,
            seq=mark.seq,
            nothing_new=True,
            checks=[CheckResult("row_count", True, description="nothing new to load")],
        )
    emit("load planned", target=target.name, manifests=len(manifests), first_seq=manifests[0].seq, last_seq=last)
    plan = plan_load(lake, spec, target, manifests, run_id=run_id, emit=emit)
    with warehouse.sized(sum(live.file.bytes for live in plan.files), run_id=run_id, emit=emit) as usage:
        report = warehouse.load(plan)
    report.facts |= usage.facts()
    return report


def _assert_same_past(lake: Lake, place: Place, mark: Watermark, target: Target) -> None:
    """A lake that was set back and went on has other manifests under the numbers that were loaded: those that follow
    begin behind rows that the target never had."""
    if mark.sha256 is None:
        return
    body = lake.get(place.manifest(mark.seq))
    if mark.sha256 in (hashlib.sha256(body).hexdigest(), Manifest.from_bytes(body, "").sha256):
        return
    raise IdentityChanged(
        f"{target.name} has loaded another manifest {mark.seq} than the lake has: the lake was set back, and went on",
        table=place.table,
        partition=place.partition,
        fix="restore the lake, or read the table anew with `syncer run --full`",
    )


def plan_load(
    lake: Lake,
    spec: TableSpec,
    target: Target,
    manifests: Sequence[Manifest],
    *,
    run_id: str = "",
    emit: Emit = silent,
) -> LoadPlan:
    """What a load of these pending manifests (in order, without gaps) stages, supersedes and deletes.

    Raises SchemaChanged where a column became what its older rows cannot be read as."""
    last = manifests[-1]
    replacing = max((m.seq for m in manifests if m.mode == "replace"), default=0)
    superseded: dict[int, int] = {}
    live: list[LiveFile] = []
    for manifest, following in zip(manifests, [*manifests[1:], None], strict=True):
        if manifest.seq < replacing:
            superseded[manifest.seq] = replacing
            continue
        for file in manifest.files:
            if file.provisional and spec.load == "append":
                continue
            if file.provisional and following is not None:
                superseded[manifest.seq] = following.seq
            elif file.carried_from is None or file.carried_from >= manifests[0].seq:
                live.append(LiveFile(manifest.seq, _captured_at(manifest, file), file))
    columns = _all_columns(manifests)
    check_columns(columns, [m for m in manifests if m.deletes or any(each.seq == m.seq for each in live)])
    deletes = tuple(LiveFile(m.seq, m.captured_at, file) for m in manifests for file in m.deletes)
    schemas = {live.file.path: deletes_schema(columns, last.key) for live in deletes}
    return LoadPlan(
        target=target,
        partition=last.partition,
        load=spec.load,
        key=last.key,
        columns=columns,
        engine=last.engine,
        expected_seq=manifests[0].seq - 1,
        manifests=tuple(manifests),
        files=tuple(live),
        superseded=superseded,
        open_file=lambda file: _conforming(lake, file, schemas.get(file.path) or arrow_schema(columns)),
        delete_missing=_delete_missing(spec, [m for m in manifests if m.seq == replacing]),
        deletes=deletes,
        hard_deletes=spec.deletes == "hard" or spec.load == "replace",
        refresh=spec.refresh,
        schema_changes=spec.schema_changes,
        indexes=spec.indexes,
        run_id=run_id,
        lake=lake,
        emit=emit,
    )


def deletes_schema(columns: Sequence[Column], key: Sequence[str]) -> pa.Schema:
    """The schema of a file of `deletes`: the key, and the extraction that the row in the target came from."""
    keys = arrow_schema(column for column in columns if column.name in key)
    return keys.append(pa.field(CAPTURED_AT, pa.timestamp("us", "UTC")))


def _captured_at(manifest: Manifest, file: DataFile) -> datetime:
    """When a file's rows were read: a carried file is older than the manifest that names it again."""
    return datetime.fromisoformat(file.captured_at) if file.captured_at else manifest.captured_at


def _all_columns(manifests: Sequence[Manifest]) -> tuple[Column, ...]:
    """The last manifest's columns, and those that only earlier pending ones still have."""
    merged = {column.name: column for column in manifests[-1].columns}
    for manifest in reversed(manifests):
        for column in manifest.columns:
            merged.setdefault(column.name, column)
    return tuple(merged.values())


@contextmanager
def _conforming(lake: Lake, file: DataFile, schema: pa.Schema) -> Iterator[Iterator[pa.RecordBatch]]:
    """A file's batches with exactly these columns: NULL where the file is older than a column."""
    with lake.batches(file) as batches:
        yield (_conform(batch, schema) for batch in batches)


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    named = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in named else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _delete_missing(spec: TableSpec, replacing: Sequence[Manifest]) -> DeleteMissing | None:
    """What a re-read deletes (DESIGN 6): all keys of a whole table, keys of an id range; of a time range nothing,
    since a row may have moved on, and nothing of a prefix or an append target. A row version that is an integer but
    no part of the key moves on as a time does."""
    if not replacing or spec.load == "append":
        return None
    manifest = replacing[0]
    if manifest.cursor and spec.deletes == "soft":
        return None  # reconcile marks them
    if not manifest.cursor:
        return DeleteMissing(manifest.captured_at, max_shrink=spec.max_shrink, allow_empty=spec.allow_empty)
    plain = {column.name for column in manifest.columns if column.transform is None}
    by_id = manifest.order[0].kind == "integer" and spec.partitions.by in ("none", "id")
    stays = manifest.cursor[0] in plain.intersection(manifest.key)
    if not by_id or not stays or manifest.safe is None:
        return None
    partition = spec.partitions.partition(manifest.partition, "integer")
    return DeleteMissing(
        manifest.captured_at,
        column=manifest.cursor[0],
        start=partition.start,
        end=partition.end,
        upto=manifest.safe[0],
    )
