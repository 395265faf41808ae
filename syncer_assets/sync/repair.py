"""The repair of one partition: its rows re-read by their keys, the keys that are gone, and the manifest of both."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .. import __version__
from ..model.columns import Column
from ..model.errors import AttemptVoid, ConfigError, LakeCorrupt, ObjectStoreError, SyncError
from ..model.keys import Keys, KeySpan, key_fields
from ..model.manifest import DataFile, Manifest
from ..model.report import Emit
from ..sources.arrow import arrow_schema, arrow_type
from ..sources.base import Read, Source
from ..warehouses.base import CAPTURED_AT
from . import table_note
from .differences import Compared
from .lake import Lake, Place, lost_race
from .load import deletes_schema
from .mask import masker
from .parquet import MB, FileSink
from .rules import resolve
from .window import carried, stamp
from .writer import ROW_GROUPS_IN_MEMORY

KEYS_A_QUERY = 10_000
DENSE = 2
"""Integer keys of which at least one in so many is wanted are read as a range."""


@dataclass(frozen=True)
class Wanted:
    """What a partition's repair has to bring: rows by key, those that have no cursor apart; and the rows that the
    warehouse has and the source has not, with the `captured_at` that was seen."""

    partition: str
    rows: Keys
    rows_without_cursor: Keys
    gone: pl.DataFrame


@dataclass(frozen=True)
class Repaired:
    """What was committed. `alive` keys were there again when the source was asked once more."""

    rows: int
    alive: int
    manifests: int


def repair(source: Source, lake: Lake, table: Compared, wanted: Wanted, *, run_id: str = "", emit: Emit) -> Repaired:
    """Commit one manifest behind the partition's head; none where nothing is left to bring.

    The head is read before the source: a sync that commits meanwhile takes the `seq`, and one that commits later is
    loaded later. Raises LostRace or AttemptVoid where the attempt has to be made afresh.
    """
    place = Place(table.spec.source, table.spec.table, wanted.partition)
    head, server = _head(source, lake, table, place), source.identity().server
    captured_at = stamp(source, table.spec.table, head, emit)
    numbers, folder = count(), place.data(head.seq + 1, uuid.uuid4().hex[:12])
    schema = arrow_schema(head.columns)
    sink = _sink(lake, table, folder, schema, numbers, cursor=_bounded_cursor(table, schema))
    gone = _sink(lake, table, folder, deletes_schema(head.columns, head.key), numbers)
    try:
        _write_rows(source, table, head, wanted, server, sink)
        alive = _write_deletes(source, table, head, wanted.gone, gone)
        sink.close_file()
        gone.close_file()
    except (ObjectStoreError, LakeCorrupt):
        if head.seq + 1 in lake.seqs(place):  # its winner removes what it finds of others
            raise lost_race(place, head.seq + 1) from None
        raise
    finally:
        sink.abandon()
        gone.abandon()
    files, deletes = sink.take(), gone.take()
    if not files and not deletes:
        return Repaired(0, alive, 0)
    _assert_same_table(source, table, head, server)
    manifest = _manifest(head, captured_at, files, deletes, run_id)
    lake.commit(place, manifest)
    rows, keys = sum(file.rows for file in files), sum(file.rows for file in deletes)
    emit("repair committed", table=table.spec.table, partition=wanted.partition, seq=manifest.seq, rows=rows, gone=keys)
    lake.remove_orphans(place, since=manifest.seq)
    return Repaired(rows, alive, 1)


def _head(source: Source, lake: Lake, table: Compared, place: Place) -> Manifest:
    """The manifest whose marks stay. Raises ConfigError or IdentityChanged where it is not this table's."""
    identity, head = source.identity().database, lake.head(place)
    if head is None:
        raise ConfigError(
            "the partition was loaded, but the lake has nothing of it",
            table=place.table,
            partition=place.partition,
            fix="restore the lake, or read the table anew with `syncer run --full`",
        )
    note = table_note.read(lake, place, table.spec, identity)
    table_note.check_scheme(note, table.spec, full=False)
    table_note.check_identity(note, head, identity, full=False)
    if head.columns != table.resolved.columns or head.key != table.resolved.key:
        raise ConfigError(
            "the table's columns or key changed since its last sync",
            table=place.table,
            partition=place.partition,
            fix="sync it once, then reconcile",
        )
    return head


def _manifest(
    head: Manifest, captured_at: datetime, files: tuple[DataFile, ...], deletes: tuple[DataFile, ...], run_id: str
) -> Manifest:
    named = (*carried(head), *files)
    return replace(
        head,
        seq=head.seq + 1,
        mode="repair",
        captured_at=captured_at,
        files=named,
        rows=sum(file.rows for file in named),
        deletes=deletes,
        metrics=(),
        run_id=run_id,
        code_version=__version__,
    )


def _write_rows(source: Source, table: Compared, head: Manifest, wanted: Wanted, server: str, sink: FileSink) -> None:
    """The rows as they are now, of this partition and final; others are still to come."""
    spec, resolved = table.spec, table.resolved
    cursor = resolved.cursor if spec.cursor else None
    partition = spec.partitions.partition(wanted.partition, cursor.kind if cursor else "integer")
    read = Read(
        table=spec.table,
        columns=resolved.read,
        order=resolved.order,
        cursor=spec.cursor,
        upto=head.safe,
        start=partition.start,
        end=partition.end,
        prefix_column=partition.column,
        prefix=partition.prefix,
        prefix_length=partition.length,
        where=resolved.where,
    )
    names = [column.name for column in head.columns]
    mask = masker(spec, names)
    if cursor is None or head.safe is not None:
        for part, only in _queries(wanted.rows):
            _write(source.read(replace(read, keys=part), server), only, names, mask, table.key[0], sink)
    keys_order = tuple(column for column in resolved.order if column.name in resolved.key)
    beside = replace(read, null_cursor=True, order=keys_order, upto=None, start=None, end=None)
    for part in wanted.rows_without_cursor.parts(KEYS_A_QUERY):
        _write(source.read(replace(beside, keys=part), server), None, names, mask, table.key[0], sink)


def _queries(keys: Keys) -> Iterator[tuple[Keys | KeySpan, pa.Array | None]]:
    """The keys by as many as a query asks for; integers that lie close are a range, and `only` those of it wanted."""
    [*others, last] = keys.columns
    kind = arrow_type(last.type)
    if others or not pa.types.is_integer(kind):
        yield from ((part, None) for part in keys.parts(KEYS_A_QUERY))
        return
    ids = pl.Series(keys.texts[0], dtype=pl.String).cast(pl.Int128).sort()
    for start in range(0, len(ids), KEYS_A_QUERY):
        part = ids[start : start + KEYS_A_QUERY]
        low, high = int(part[0]), int(part[-1])
        if high - low < DENSE * len(part):
            yield KeySpan(last.name, low, high), pa.array(part.to_list(), kind)
        else:
            yield Keys(keys.columns, (tuple(part.cast(pl.String)),)), None


def _write(
    batches: Iterator[pa.RecordBatch],
    only: pa.Array | None,
    names: list[str],
    mask: Callable[[pa.RecordBatch], pa.RecordBatch],
    key: str,
    sink: FileSink,
) -> None:
    for batch in batches:
        if only is not None:
            batch = batch.filter(pc.call_function("is_in", [batch.column(key)], pc.SetLookupOptions(only)))
        if batch.num_rows:
            sink.write(mask(batch.select(names)))


def _write_deletes(source: Source, table: Compared, head: Manifest, gone: pl.DataFrame, sink: FileSink) -> int:
    """The keys that are gone still, now that the source is asked once more; how many are not.

    A replica is believed only about rows that it had applied when they were loaded.
    """
    if gone.is_empty():
        return 0
    fields, spec = key_fields(table.key), table.spec
    applied = source.clock(spec.table, (spec.cursor or table.key)[0])
    schema = deletes_schema(head.columns, head.key)
    alive = 0
    for part in gone.iter_slices(KEYS_A_QUERY):
        keys = Keys(table.keys, tuple(tuple(part[name]) for name in fields))
        there = pl.from_arrow(source.key_rows(spec.table, table.keys, table.key, keys, (), table.resolved.where))
        assert isinstance(there, pl.DataFrame)
        left = part.join(there, on=fields, how="anti").filter(pl.col("captured_at") < applied)
        alive += len(part) - len(left)
        if len(left):
            arrays = {c.name: _typed(left[name], c, spec.table) for name, c in zip(fields, table.keys, strict=True)}
            arrays[CAPTURED_AT] = left["captured_at"].to_arrow().cast(schema.field(CAPTURED_AT).type)
            sink.write(pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema))
    return alive


def _typed(texts: pl.Series, column: Column, table: str) -> pa.Array:
    """Canonical texts as the lake's type. Raises SyncError, without the value, where that cannot be."""
    kind = arrow_type(column.type)
    try:
        if pa.types.is_floating(kind):
            scale = pl.when(texts.str.ends_with("p28")).then(2.0**28).otherwise(1.0)  # the contract's large doubles
            return (
                pl.select(pl.lit(texts.str.strip_suffix("p28")).cast(pl.Float64) * scale)
                .to_series()
                .to_arrow()
                .cast(kind)
            )
        if pa.types.is_binary(kind):
            return texts.str.decode("hex").to_arrow().cast(kind)
        if pa.types.is_timestamp(kind):
            return texts.to_arrow().cast(pa.string()).cast(pa.timestamp("us")).cast(kind)
        return texts.to_arrow().cast(pa.string()).cast(kind)
    except (pa.ArrowException, pl.exceptions.PolarsError):
        raise SyncError(
            f"a deleted row has a value of {column.name!r} ({column.source_type}) that cannot be written to the lake",
            table=table,
            fix="delete the row in the warehouse by hand, or read the table anew with `syncer run --full`",
        ) from None


def _bounded_cursor(table: Compared, schema: pa.Schema) -> str | None:
    """The cursor column whose bounds a file tells, though its rows come by key: integers and times."""
    name = table.spec.cursor[0] if table.spec.cursor else None
    if name is None or name in table.spec.columns.hash or name not in schema.names:
        return None
    kind = schema.field(name).type
    return name if pa.types.is_integer(kind) or pa.types.is_temporal(kind) else None


def _sink(
    lake: Lake, table: Compared, folder: str, schema: pa.Schema, numbers: Iterator[int], cursor: str | None = None
) -> FileSink:
    return FileSink(
        lake.store,
        folder,
        schema,
        target_bytes=int(table.spec.files.target_mb * MB),
        row_group_bytes=table.spec.memory_mb * MB // ROW_GROUPS_IN_MEMORY,
        cursor=cursor,
        numbers=numbers,
    )


def _assert_same_table(source: Source, table: Compared, head: Manifest, server: str) -> None:
    """Before the manifest is put: the columns and the server are those that the rows were read from."""
    if resolve(table.spec, source.describe(table.spec.table)).columns != head.columns:
        raise AttemptVoid("its columns changed while it was read", table=table.spec.table)
    if source.identity().server != server:
        raise AttemptVoid("another server answers than at the start", table=table.spec.table)
