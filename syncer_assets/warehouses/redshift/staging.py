"""Staging: every live file of a load into one temporary table, by as few COPYs as there are shapes to read.

A load of one manifest COPYs the lake's own files: they never pass through this process. Parquet in Redshift tells of a
row neither the file that it came from nor its place there, so of several manifests the small ones are first written
into one object that says so; each large one has a COPY of its own. So are columns of types that COPY does not take.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from ...model.errors import AssertionFailed, DbError
from ..base import CAPTURED_AT, LiveFile, LoadPlan
from . import names, types
from .copying import CopyObject, Workspace, copy, workspace
from .names import ORDER, SOURCE
from .schema import Shape
from .types import Wire

STAGE = sql.Identifier("_syncer_stage")
GONE = sql.Identifier("_syncer_gone")
COPIED = sql.Identifier("_syncer_copied")
GONE_AT = "_syncer_gone_at"
REWRITTEN_BYTES_MOST = 64 * 2**20
"""A larger extraction has a COPY of its own."""
PART_BYTES = 64 * 2**20
"""The size of a part of what is rewritten, which is held in memory."""

OWN = (
    Wire(CAPTURED_AT, pa.timestamp("us", "UTC"), "TIMESTAMP", "{} AT TIME ZONE 'UTC'", "timestamp with time zone"),
    Wire(SOURCE, pa.int32(), "INTEGER", "{}", "integer"),
    Wire(ORDER, pa.int64(), "BIGINT", "{}", "bigint"),
)


@dataclass(frozen=True)
class Staging:
    """What is staged. `sources[n]` is the `seq` of the rows with `_syncer_source = n`, oldest extraction first."""

    sources: tuple[int, ...]
    rows: dict[int, int]
    copied: int
    copies: int


@dataclass(frozen=True)
class Extraction:
    """The files that were read at one time, for one manifest."""

    number: int
    captured_at: datetime
    files: tuple[LiveFile, ...]
    wires: tuple[Wire, ...] | None
    """How the columns of its files travel; None where the files are of several shapes."""

    @property
    def bytes(self) -> int:
        return sum(live.file.bytes for live in self.files)

    @property
    def as_it_is(self) -> bool:
        """Whether COPY takes the lake's own files."""
        return self.wires is not None and all(wire.convert is None for wire in self.wires)


@dataclass
class _Stage:
    """One staging under way."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    role: str
    space: Workspace
    copies: int = 0

    def extraction(self, extraction: Extraction) -> None:
        """COPY the lake's own files of one extraction."""
        assert extraction.wires is not None
        objects = [CopyObject(live.file.path, live.file.bytes) for live in extraction.files]
        self._copied(extraction.wires, objects)
        own = {
            CAPTURED_AT: names.moment(extraction.captured_at),
            SOURCE: names.number(extraction.number),
            ORDER: sql.SQL("0"),
        }
        self._insert(STAGE, extraction.wires, own)

    def rewritten(self, extractions: Sequence[Extraction]) -> None:
        """COPY several extractions at once, from objects that tell of each row where it came from."""
        wires = (*(types.wire(c.source, c.type) for c in self.shape.columns), *OWN)
        body = _parts(wires, self._tagged(extractions, wires[: -len(OWN)]))
        self._copied(wires, [self.space.put(f"part-{number:05d}.parquet", part) for number, part in enumerate(body)])
        self._insert(STAGE, wires, {})

    def gone(self) -> None:
        """COPY the keys whose rows are gone at the source."""
        keys = [column for column in self.shape.columns if column.name in self.plan.key]
        gone_at = replace(OWN[0], name=GONE_AT)
        wires = (*(types.wire(c.source, c.type) for c in keys), OWN[0], gone_at, OWN[1])
        body = _parts(wires, self._gone(wires))
        self._copied(wires, [self.space.put(f"gone-{number:05d}.parquet", part) for number, part in enumerate(body)])
        self._insert(GONE, wires, {})

    def _copied(self, wires: Sequence[Wire], objects: Sequence[CopyObject]) -> None:
        execute = self.connection.execute
        execute(sql.SQL("DROP TABLE IF EXISTS {}").format(COPIED))
        execute(_temporary(COPIED, [(wire.name, sql.SQL(wire.copied)) for wire in wires]))  # type: ignore[arg-type]  # from types.py
        copy(self.connection, self.space, self.role, COPIED, wires, objects)
        self.copies += 1

    def _insert(self, into: sql.Identifier, wires: Sequence[Wire], own: dict[str, sql.SQL]) -> None:
        read = [sql.SQL(wire.expression).format(names.column(wire.name)) for wire in wires]  # type: ignore[arg-type]  # from types.py
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(
            into,
            names.columns([*(wire.name for wire in wires), *own]),
            sql.SQL(", ").join([*read, *own.values()]),
            COPIED,
        )
        try:
            self.connection.execute(statement)
        except (psycopg.DataError, psycopg.errors.InternalError_) as error:
            raise _unreadable(self.plan, wires, error) from None

    def _tagged(self, extractions: Sequence[Extraction], wires: Sequence[Wire]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([pa.field(wire.name, wire.arrow) for wire in (*wires, *OWN)])
        row = 0
        for extraction in extractions:
            for live in extraction.files:
                began = row
                with self.plan.open_file(live.file) as batches:
                    for batch in batches:
                        rows = batch.num_rows
                        own = [
                            pa.repeat(pa.scalar(extraction.captured_at, pa.timestamp("us", "UTC")), rows),
                            pa.repeat(pa.scalar(extraction.number, pa.int32()), rows),
                            pa.arange(row, row + rows),
                        ]
                        row += rows
                        yield pa.RecordBatch.from_arrays([*_converted(batch, wires), *own], schema=schema)
                _check_rows(self.plan, live, row - began)

    def _gone(self, wires: Sequence[Wire]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([pa.field(wire.name, wire.arrow) for wire in wires])
        for live in self.plan.deletes:
            with self.plan.open_file(live.file) as batches:
                for batch in batches:
                    own = [
                        pa.repeat(pa.scalar(live.captured_at, pa.timestamp("us", "UTC")), batch.num_rows),
                        pa.repeat(pa.scalar(live.seq, pa.int32()), batch.num_rows),
                    ]
                    yield pa.RecordBatch.from_arrays([*_converted(batch, wires[:-2]), *own], schema=schema)


def stage(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, role: str) -> Staging:
    """COPY the live files, assert their count and their keys. Raises AssertionFailed, LakeCorrupt, DbError."""
    connection.execute(_stage_table(shape))
    extractions = _extractions(plan, shape)
    with workspace(plan) as space:
        stage = _Stage(connection, plan, shape, role, space)
        alone, together = _sorted(extractions)
        for extraction in alone:
            stage.extraction(extraction)
        if together:
            stage.rewritten(together)
        if plan.deletes:
            connection.execute(_gone_table(shape))
            stage.gone()
    copied = _count(connection, sql.SQL("TRUE"))
    expected = sum(live.file.rows for live in plan.files)
    if copied != expected:
        raise AssertionFailed(
            f"{copied} rows were staged, the manifests name {expected}",
            table=plan.target.name,
            partition=plan.partition,
            fix="read the partition anew with `syncer run --full --partition`",
        )
    if plan.key and _count(connection, _null_key(plan)):
        raise AssertionFailed(
            f"the key ({', '.join(plan.key)}) is NULL in staged rows",
            table=plan.target.name,
            partition=plan.partition,
            fix="declare a key whose columns are never NULL",
        )
    rows = {manifest.seq: 0 for manifest in plan.manifests}
    for live in plan.files:
        rows[live.seq] += live.file.rows
    return Staging(tuple(each.files[0].seq for each in extractions), rows, copied, stage.copies)


def _extractions(plan: LoadPlan, shape: Shape) -> list[Extraction]:
    """What was read when, oldest first. A manifest that names a carried file again has two."""
    targets = {column.name: column.type for column in shape.columns}
    columns = {manifest.seq: manifest.columns for manifest in plan.manifests}
    found = []
    for number, (captured_at, seq) in enumerate(sorted({(live.captured_at, live.seq) for live in plan.files})):
        files = tuple(live for live in plan.files if (live.captured_at, live.seq) == (captured_at, seq))
        shapes = {columns[live.file.carried_from or seq] for live in files}
        only = next(iter(shapes)) if len(shapes) == 1 else None
        wires = tuple(types.wire(column, targets[column.name]) for column in only) if only else None
        found.append(Extraction(number, captured_at, files, wires))
    return found


def _sorted(extractions: Sequence[Extraction]) -> tuple[list[Extraction], list[Extraction]]:
    """Those that have a COPY of their own, and those that are rewritten and COPYed together."""
    alone = [
        each for each in extractions if each.as_it_is and (len(extractions) == 1 or each.bytes > REWRITTEN_BYTES_MOST)
    ]
    return alone, [each for each in extractions if each not in alone]


def _converted(batch: pa.RecordBatch, wires: Sequence[Wire]) -> list[pa.Array]:
    arrays = []
    for wire in wires:
        array = batch.column(wire.name)
        arrays.append(wire.convert(array) if wire.convert else array.cast(wire.arrow))
    return arrays


def _parts(wires: Sequence[Wire], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Parquet files of these batches, each of about `PART_BYTES`."""
    schema = pa.schema([pa.field(wire.name, wire.arrow) for wire in wires])
    buffer = io.BytesIO()
    writer: pq.ParquetWriter | None = None
    for batch in batches:
        writer = writer or pq.ParquetWriter(buffer, schema, compression="zstd", compression_level=1)
        writer.write_batch(batch)
        if buffer.tell() > PART_BYTES:
            writer.close()
            yield buffer.getvalue()
            buffer, writer = io.BytesIO(), None
    if writer:
        writer.close()
        yield buffer.getvalue()


def _check_rows(plan: LoadPlan, live: LiveFile, rows: int) -> None:
    if rows != live.file.rows:
        raise AssertionFailed(
            f"{live.file.path} holds {rows} rows, its manifest names {live.file.rows}",
            table=plan.target.name,
            partition=plan.partition,
            fix="read the partition anew with `syncer run --full --partition`",
        )


def _stage_table(shape: Shape) -> sql.Composed:
    own = [(wire.name, types.sql_type(wire.target)) for wire in OWN]
    return _temporary(STAGE, [*((c.name, types.sql_type(c.type)) for c in shape.columns), *own])


def _gone_table(shape: Shape) -> sql.Composed:
    keys = [(c.name, types.sql_type(c.type)) for c in shape.columns if c.name in shape.key]
    zoned = sql.SQL("TIMESTAMPTZ")
    return _temporary(GONE, [*keys, (CAPTURED_AT, zoned), (GONE_AT, zoned), (SOURCE, sql.SQL("INTEGER"))])


def _temporary(table: sql.Identifier, columns: Sequence[tuple[str, sql.SQL]]) -> sql.Composed:
    spelt = (sql.SQL("{} {}").format(names.column(name), kind) for name, kind in columns)
    return sql.SQL("CREATE TEMP TABLE {} ({})").format(table, sql.SQL(", ").join(spelt))


def _null_key(plan: LoadPlan) -> sql.Composed:
    return sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(names.column(name)) for name in plan.key)


def _count(connection: psycopg.Connection, where: sql.Composable) -> int:
    row = connection.execute(sql.SQL("SELECT COUNT(*) FROM {} WHERE {}").format(STAGE, where)).fetchone()
    return int(row[0]) if row else 0


def _unreadable(plan: LoadPlan, wires: Sequence[Wire], error: psycopg.Error) -> DbError:
    read = [wire for wire in wires if wire.expression not in ("{}", OWN[0].expression)]
    return DbError(
        f"a value of {', '.join(f'{wire.name!r} ({wire.target})' for wire in read) or 'a column'} cannot be read as"
        " that type",
        code=error.sqlstate,
        phase="load",
        table=plan.target.name,
        partition=plan.partition,
        fix="make the warehouse column a VARCHAR, or exclude the column",
    )
