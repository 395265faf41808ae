"""Staging: every live file of a load into one temporary table, by one binary COPY.

A temporary table writes no WAL and goes with its session, so that a killed load leaves nothing behind.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pyarrow as pa
from psycopg import sql

from ...model.errors import AssertionFailed, DbError, SchemaChanged
from ..base import CAPTURED_AT, LoadPlan
from . import encode, names
from .names import ORDER
from .schema import Shape, spelt

STAGE = sql.Identifier("pg_temp", "_syncer_stage")
CHANGES = sql.Identifier("pg_temp", "_syncer_changes")
"""The `_syncer_order` of the staged rows that a merge has to write."""
ROW_BITS = 40
"""`_syncer_order` is (number of the extraction, oldest first) << 40 | row: a key's newest version has the highest."""
SLICE_ROWS = 16_384
EMIT_SECONDS = 5.0


@dataclass(frozen=True)
class Staging:
    """What is staged. `sources[n]` is the `seq` of the rows with `_syncer_order >> 40 = n`."""

    sources: tuple[int, ...]
    rows: dict[int, int]
    copied: int


def wires(shape: Shape) -> list[encode.Wire]:
    """How each column travels."""
    return [encode.wire(column.name, column.arrow, column.type) for column in shape.columns]


def stage(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> Staging:
    """COPY the live files, cast what pgpq cannot write, assert the count. Raises AssertionFailed, LakeCorrupt."""
    ways = wires(shape)
    connection.execute(_create(ways, shape.key))
    connection.execute(sql.SQL("CREATE TEMP TABLE _syncer_changes ({} bigint)").format(names.column(ORDER)))
    copied = _copy(connection, plan, shape, ways, into=STAGE, order=True)
    cast(connection, plan, ways, STAGE)
    if shape.key:
        connection.execute("SET default_statistics_target = 10")  # of this load's own session: a row count is enough
        connection.execute(sql.SQL("ANALYZE {} ({})").format(STAGE, names.columns([*shape.key, ORDER])))
    return Staging(tuple(seq for _, seq in _extractions(plan)), _rows(plan), copied)


def copy_into_target(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> Staging:
    """COPY the live files straight into the target, in the transaction of the load."""
    copied = _copy(connection, plan, shape, wires(shape), into=names.table(plan.target), order=False)
    return Staging((), _rows(plan), copied)


def _extractions(plan: LoadPlan) -> list[tuple[datetime, int]]:
    """What was read when, oldest first. A manifest that names a carried file again has two."""
    return sorted({(live.captured_at, live.seq) for live in plan.files})


def _rows(plan: LoadPlan) -> dict[int, int]:
    rows = {manifest.seq: 0 for manifest in plan.manifests}
    for live in plan.files:
        rows[live.seq] += live.file.rows
    return rows


def _create(ways: Sequence[encode.Wire], key: Sequence[str]) -> sql.Composed:
    needed = {True: sql.SQL(" NOT NULL"), False: sql.SQL("")}
    columns = [
        sql.SQL("{} {}{}").format(names.column(way.name), spelt(way.type), needed[way.name in key]) for way in ways
    ]
    columns.append(sql.SQL("{} timestamptz NOT NULL").format(names.column(CAPTURED_AT)))
    columns.append(sql.SQL("{} bigint NOT NULL").format(names.column(ORDER)))
    return sql.SQL("CREATE TEMP TABLE {} ({})").format(sql.Identifier("_syncer_stage"), sql.SQL(", ").join(columns))


def _copy(
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    ways: Sequence[encode.Wire],
    *,
    into: sql.Composable,
    order: bool,
) -> int:
    if not plan.files:
        return 0
    own = (CAPTURED_AT, ORDER) if order else (CAPTURED_AT,)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary{})").format(
        into, names.columns([*shape.names, *own]), sql.SQL(", FREEZE true" if not order and shape.created else "")
    )
    try:
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for data in _encoded(plan, ways, order):
                    copy.write(data)
            copied = cursor.rowcount
    except psycopg.DataError as error:
        raise _bad_value(plan, shape, error) from None
    except psycopg.errors.NotNullViolation:
        raise null_key(plan) from None
    expected = sum(live.file.rows for live in plan.files)
    if copied != expected:
        raise AssertionFailed(
            f"{copied} rows were staged, the manifests name {expected}",
            table=plan.target.name,
            partition=plan.partition,
            fix="look for a trigger or rule on the table that drops rows" if not order else None,
        )
    return copied


def _encoded(plan: LoadPlan, ways: Sequence[encode.Wire], order: bool) -> Iterator[bytes]:
    encoder = encode.encoder([*ways, *_own_wires(order)])
    yield encoder.write_header()
    row, total, said = 0, sum(live.file.rows for live in plan.files), time.monotonic()
    extractions = _extractions(plan)
    for live in sorted(plan.files, key=lambda live: (live.captured_at, live.seq)):
        captured, source = micros(live.captured_at), extractions.index((live.captured_at, live.seq)) << ROW_BITS
        began = row
        with plan.open_file(live.file) as batches:
            for batch in batches:
                for start in range(0, batch.num_rows, SLICE_ROWS):
                    part = batch.slice(start, SLICE_ROWS)
                    yield encoder.write_batch(_converted(plan, ways, part, captured, source + row, order))
                    row += part.num_rows
                if time.monotonic() - said > EMIT_SECONDS:
                    said = time.monotonic()
                    plan.emit("Staging rows", table=plan.target.name, rows=row, rows_total=total)
        if row - began != live.file.rows:
            raise AssertionFailed(
                f"{live.file.path} holds {row - began} rows, its manifest names {live.file.rows}",
                table=plan.target.name,
                partition=plan.partition,
                fix="read the partition anew with `syncer run --full --partition`",
            )
    yield encoder.finish()


def _own_wires(order: bool) -> list[encode.Wire]:
    own = [encode.wire(CAPTURED_AT, "int64", "bigint")]
    return [*own, encode.wire(ORDER, "int64", "bigint")] if order else own


def _converted(
    plan: LoadPlan, ways: Sequence[encode.Wire], batch: pa.RecordBatch, captured: int, first: int, order: bool
) -> pa.RecordBatch:
    """The columns that the target wants; one that an older file lacks is NULL."""
    arrays = []
    for column, way in zip(plan.columns, ways, strict=True):
        at = batch.schema.get_field_index(column.name)
        try:
            arrays.append(way.convert(batch.column(at)) if at >= 0 else pa.nulls(batch.num_rows, way.arrow))
        except (pa.ArrowException, ValueError):  # their texts hold values
            raise SchemaChanged(
                f"a value of column {column.name!r} ({batch.schema.field(at).type} in its file, {column.type} in the"
                f" newest manifest) cannot become {way.target}",
                table=plan.target.name,
                partition=plan.partition,
                fix="load the table anew with `syncer run --full`",
            ) from None
    arrays.append(pa.repeat(pa.scalar(captured, pa.int64()), batch.num_rows))
    if order:
        arrays.append(pa.arange(first, first + batch.num_rows))
    return pa.RecordBatch.from_arrays(arrays, schema=encode.arrow_schema([*ways, *_own_wires(order)]))


def micros(moment: datetime) -> int:
    """A time as the wire has it: microseconds since 2000."""
    return pa.scalar(moment, pa.timestamp("us", "UTC")).value - encode.EPOCH_MICROSECONDS


def cast(connection: psycopg.Connection, plan: LoadPlan, ways: Sequence[encode.Wire], table: sql.Composable) -> None:
    """Give the columns that pgpq could not write the target's types. Raises DbError for a value that is none."""
    casts = [way for way in ways if way.cast]
    if not casts:
        return
    changes = [
        sql.SQL("ALTER COLUMN {0} TYPE {1} USING {0}::{1}").format(names.column(way.name), spelt(way.target))
        for way in casts
    ]
    try:
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(changes)))
    except psycopg.DataError as error:
        raise DbError(
            f"a value of {', '.join(f'{way.name!r} ({way.target})' for way in casts)} cannot be read as that type",
            code=error.sqlstate,
            phase="load",
            table=plan.target.name,
            partition=plan.partition,
            fix="change the warehouse column to text, or exclude the column",
        ) from None


def null_key(plan: LoadPlan) -> AssertionFailed:
    """A row without a key can be neither found again nor compared."""
    return AssertionFailed(
        f"the key ({', '.join(plan.key)}) is NULL in staged rows",
        table=plan.target.name,
        partition=plan.partition,
        fix="declare a key whose columns are never NULL",
    )


def _bad_value(plan: LoadPlan, shape: Shape, error: psycopg.Error) -> DbError:
    """The context of a binary COPY names the column; other lines of it hold values, so only names we know are told."""
    lines = [line for line in (error.diag.context or "").splitlines() if line.startswith("COPY ")]
    column = next((c for c in shape.columns if any(line.endswith(f", column {c.name}") for line in lines)), None)
    what = f"column {column.name!r} ({column.type})" if column else "a column"
    return DbError(
        f"a value of {what} does not fit: {type(error).__name__} ({error.sqlstate})",
        code=error.sqlstate,
        phase="load",
        table=plan.target.name,
        partition=plan.partition,
        fix="widen the warehouse column, or drop the table and run `syncer run --full`",
    )
