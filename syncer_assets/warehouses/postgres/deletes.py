"""Rows that are gone at the source, as a repair's manifest names them: deleted or marked, unless a later extraction
wrote them."""

from collections.abc import Iterator

import psycopg
import pyarrow as pa
from psycopg import sql

from ...model.errors import AssertionFailed
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from . import encode, names, staging
from .ledger import Counts
from .names import ORDER
from .schema import Shape, spelt
from .staging import ROW_BITS, STAGE, Staging

DELETES = sql.Identifier("pg_temp", "_syncer_deletes")
SEQ = "_syncer_seq"
"""The manifest that names the key."""

OVERTAKEN_SQL = """
WITH gone AS (
    DELETE FROM {stage} s USING {deletes} d WHERE {staged_key} AND s.{captured_at} <= d.{captured_at}
    RETURNING s.{order} >> {bits} AS source
)
SELECT source, count(*) FROM gone GROUP BY source
"""

HARD_SQL = "DELETE FROM {table} t USING {deletes} d WHERE {judged} RETURNING d.{seq} AS seq"
SOFT_SQL = "UPDATE {table} t SET {deleted_at} = d.{deleted_at} FROM {deletes} d WHERE {judged} RETURNING d.{seq} AS seq"
COUNT_SQL = "WITH gone AS ({change}) SELECT seq, count(*) FROM gone GROUP BY seq"
LEFT_SQL = "SELECT count(*) FROM {table} t JOIN {deletes} d ON {judged}"


def stage(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> None:
    """COPY the keys into a temporary table, each with the extraction that was judged. Raises LakeCorrupt."""
    if not plan.deletes:
        return
    ways = [way for way in staging.wires(shape) if way.name in shape.key]
    columns = [sql.SQL("{} {}").format(names.column(way.name), spelt(way.type)) for way in ways]
    columns += [sql.SQL("{} timestamptz NOT NULL").format(names.column(name)) for name in (CAPTURED_AT, DELETED_AT)]
    columns += [sql.SQL("{} bigint NOT NULL").format(names.column(SEQ))]
    connection.execute(sql.SQL("CREATE TEMP TABLE _syncer_deletes ({})").format(sql.SQL(", ").join(columns)))
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(DELETES)) as copy:
            for data in _encoded(plan, ways):
                copy.write(data)
        copied, named = cursor.rowcount, sum(live.file.rows for live in plan.deletes)
    if copied != named:
        raise AssertionFailed(
            f"{copied} deleted keys were staged, the manifests name {named}",
            table=plan.target.name,
            partition=plan.partition,
            fix="restore the data object from a backup, or run `syncer reconcile --repair` anew",
        )
    staging.cast(connection, plan, ways, DELETES)
    connection.execute(sql.SQL("ANALYZE {}").format(DELETES))


def apply(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> None:
    """Before the merge: staged rows of these keys that are not newer are stale, and the target's are deleted.

    Raises AssertionFailed where the table keeps one all the same."""
    if not plan.deletes:
        return
    drop_overtaken(connection, plan, shape, staged, counts)
    if shape.created:
        return
    change = sql.SQL(COUNT_SQL).format(change=_sql(HARD_SQL if plan.hard_deletes else SOFT_SQL, plan, shape))
    for seq, number in connection.execute(change):
        counts[seq].deleted += number
    row = connection.execute(_sql(LEFT_SQL, plan, shape)).fetchone()
    if row and row[0]:
        raise AssertionFailed(
            f"{row[0]} rows that were deleted are still in the table",
            table=plan.target.name,
            partition=plan.partition,
            fix="look for a trigger, rule or policy on the table that keeps rows, and disable it",
        )


def drop_overtaken(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> None:
    """Staged rows that were extracted before their key was found gone."""
    if plan.deletes:
        for source, number in connection.execute(_sql(OVERTAKEN_SQL, plan, shape)):
            counts[staged.sources[source]].stale += number


def _encoded(plan: LoadPlan, ways: list[encode.Wire]) -> Iterator[bytes]:
    own = [encode.wire(name, "int64", "bigint") for name in (CAPTURED_AT, DELETED_AT, SEQ)]
    encoder = encode.encoder([*ways, *own])
    schema = encode.arrow_schema([*ways, *own])
    columns = [column.name for column in plan.columns if names.cut(column.name) in {way.name for way in ways}]
    yield encoder.write_header()
    for live in plan.deletes:
        with plan.open_file(live.file) as batches:
            for batch in batches:
                arrays = [way.convert(batch.column(name)) for name, way in zip(columns, ways, strict=True)]
                arrays.append(encode.microseconds(batch.column(CAPTURED_AT)))
                for value in (staging.micros(live.captured_at), live.seq):
                    arrays.append(pa.repeat(pa.scalar(value, pa.int64()), batch.num_rows))
                yield encoder.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    yield encoder.finish()


def _sql(query: str, plan: LoadPlan, shape: Shape) -> sql.Composed:
    alive = sql.SQL("t.{} IS NULL").format(names.column(DELETED_AT))
    not_newer = sql.SQL("t.{0} <= d.{0}").format(names.column(CAPTURED_AT))
    return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
        table=names.table(plan.target),
        stage=STAGE,
        deletes=DELETES,
        staged_key=names.equal(shape.key, "s", "d"),
        judged=sql.SQL(" AND ").join([names.equal(shape.key, "t", "d"), not_newer, alive]),
        order=names.column(ORDER),
        bits=sql.Literal(ROW_BITS),
        seq=names.column(SEQ),
        captured_at=names.column(CAPTURED_AT),
        deleted_at=names.column(DELETED_AT),
    )
