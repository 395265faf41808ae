"""What a keyed update would do, and what stands in its way: for people. Writes nothing, and names no key or prefix."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

from ..model.errors import SyncError
from ..model.keyed_update import Batch, KeyedStatus, KeyedUpdateSpec, Slice
from ..sources.base import Source
from ..sources.keyed import KeyedSource
from ..warehouses.base import Warehouse
from ..warehouses.keyed import KeyedWarehouse, UpdateColumns
from .doctor import Finding
from .keyed_cycle import batches_of, is_current, measure_all, slice_of
from .keyed_update import able


@dataclass(frozen=True)
class PartitionPlan:
    """A partition's next run. Of a cycle that a run left, `batches` and `rows` are what is left of it."""

    partition: str
    reason: str
    batches: int
    rows: int
    rows_of_largest: int = 0
    changed_after: datetime | None = None


@dataclass(frozen=True)
class UpdatePlan:
    """A keyed update's next run. `columns` are (target, source, source type), key first; `sql` is a batch's."""

    target: str
    key: tuple[str, ...]
    columns: tuple[tuple[str, str, str], ...]
    since: str
    until: str
    key_indexed: bool
    rows_without_prefix: int = 0
    sql: str = ""
    partitions: list[PartitionPlan] = field(default_factory=list)


def plan_update(
    source: Source, warehouse: Warehouse, spec: KeyedUpdateSpec, partition: str | None = None
) -> UpdatePlan:
    """The batches of each partition, or of one, as the source's sizes and the ledger have them. Raises SyncError."""
    keyed, store = able(source, warehouse, spec)
    reader = keyed.keyed(spec)
    columns, key_indexed = _fitting(keyed, store, spec)
    known = {status.partition: status for status in store.keyed_status(spec.target, spec.name)}
    slices = {key: _slice(spec, known.get(key)) for key in ([partition] if partition else spec.group_keys())}
    measured = {rows: measure_all(reader, spec, rows) for rows in set(slices.values())}
    partitions, first = [], None
    for key, rows in slices.items():
        status = known.get(key)
        if status and status.is_open and is_current(spec, status.fingerprint, status.since, status.until):
            left = status.batches - status.batches_done
            partitions.append(PartitionPlan(key, "left by a run", left, status.rows_left))
            continue
        batches = batches_of(reader, spec, rows, measured[rows][0], key)
        sizes = [batch.rows for batch in batches]
        reason = "what changed" if rows.changed_after else "every row of the window" if spec.window else "every row"
        counts = (len(batches), sum(sizes), max(sizes, default=0))
        partitions.append(PartitionPlan(key, reason, *counts, rows.changed_after))
        first = first or next(iter(batches), None)
    rows = next(iter(slices.values()))
    return UpdatePlan(
        target=spec.target.name,
        key=tuple(spec.key),
        columns=tuple(
            (name, columns.columns[name].name, columns.columns[name].source_type) for name in columns.targets
        ),
        since=str(rows.since or ""),
        until=str(rows.until or ""),
        key_indexed=key_indexed,
        rows_without_prefix=max((without for _, without in measured.values()), default=0),
        sql=reader.sql(rows, first or Batch(1, ()), columns.sources) if first else "",
        partitions=partitions,
    )


def examine_update(source: Source, warehouse: Warehouse, spec: KeyedUpdateSpec, about: str) -> Iterator[Finding]:
    """The source has the columns, the table takes their types, an index serves the batches. No row is read."""
    try:
        columns, key_indexed = _fitting(*able(source, warehouse, spec), spec)
    except SyncError as error:
        yield Finding(about, "columns", "error", str(error))
        return
    yield Finding(about, "columns", "ok", f"{len(columns.data)} columns fit, by {', '.join(columns.key)}")
    if not (key_indexed or spec.indexes):
        keys = ", ".join(columns.key)
        text = f"no index of {spec.target.name} begins with {keys}, so that each batch scans the table: declare one"
        fix = f"indexes: [{{columns: [{keys}], unique: true}}]"
        yield Finding(about, "key_indexed", "warning", text, fix)


def _fitting(source: KeyedSource, warehouse: KeyedWarehouse, spec: KeyedUpdateSpec) -> tuple[UpdateColumns, bool]:
    """Which column goes where, and whether an index serves the key. Raises ConfigError, SchemaChanged."""
    with closing(warehouse.keyed(spec.target, spec.name, spec.group_keys()[0])) as target:
        return target.prepare(spec, source.keyed(spec).columns()), target.key_index()


def _slice(spec: KeyedUpdateSpec, status: KeyedStatus | None) -> Slice:
    if status is None:
        return slice_of(spec, None, None, None)
    return slice_of(spec, status.fingerprint, status.mark, status.mark_until)
