"""Rows that are gone at the source, as a repair's manifest names them: deleted or marked, unless a later extraction
wrote them."""

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from ..postgres.ledger import Counts
from . import names
from .names import SOURCE
from .schema import Shape
from .staging import GONE, GONE_AT, STAGE, Staging

OVERTAKEN_SQL = """
CREATE TEMP TABLE _syncer_overtaken AS
SELECT {stage}.* FROM {stage} JOIN {gone} ON {staged_key} AND {stage}.{captured_at} <= {gone}.{captured_at}
"""
OVERTAKEN_COUNT_SQL = "SELECT {source}, COUNT(*) FROM _syncer_overtaken GROUP BY {source}"
OVERTAKEN_DELETE_SQL = """
DELETE FROM {stage} USING {gone} WHERE {staged_key} AND {stage}.{captured_at} <= {gone}.{captured_at}
"""

COUNT_SQL = "SELECT {gone}.{source}, COUNT(*) FROM {table} JOIN {gone} ON {judged} GROUP BY {gone}.{source}"
HARD_SQL = "DELETE FROM {table} USING {gone} WHERE {judged}"
SOFT_SQL = "UPDATE {table} SET {deleted_at} = {gone}.{gone_at} FROM {gone} WHERE {judged}"


def apply(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> None:
    """Before the merge: staged rows of these keys that are not newer are stale, and the target's are deleted.

    Raises AssertionFailed where the table keeps one all the same."""
    if not plan.deletes:
        return
    connection.execute(_sql(OVERTAKEN_SQL, plan, shape))
    for source, number in connection.execute(_sql(OVERTAKEN_COUNT_SQL, plan, shape)):
        counts[staged.sources[source]].stale += int(number)
    connection.execute(_sql(OVERTAKEN_DELETE_SQL, plan, shape))
    if shape.created:
        return
    for seq, number in connection.execute(_sql(COUNT_SQL, plan, shape)):
        counts[seq].deleted += int(number)
    connection.execute(_sql(HARD_SQL if plan.hard_deletes else SOFT_SQL, plan, shape))
    if left := connection.execute(_sql(COUNT_SQL, plan, shape)).fetchall():
        raise AssertionFailed(
            f"{sum(int(number) for _, number in left)} rows that were deleted are still in the table",
            table=plan.target.name,
            partition=plan.partition,
            fix="look for a row-level security policy on the table, and let the loading role pass it",
        )


def _sql(query: str, plan: LoadPlan, shape: Shape) -> sql.Composed:
    table = sql.Identifier(plan.target.table)
    alive = sql.SQL("{}.{} IS NULL").format(table, names.column(DELETED_AT))
    not_newer = sql.SQL("{0}.{2} <= {1}.{2}").format(table, GONE, names.column(CAPTURED_AT))
    return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
        table=names.table(plan.target),
        stage=STAGE,
        gone=GONE,
        staged_key=names.equal(shape.key, shape.text_keys, STAGE, GONE),
        judged=sql.SQL(" AND ").join([names.equal(shape.key, shape.text_keys, table, GONE), not_newer, alive]),
        source=names.column(SOURCE),
        captured_at=names.column(CAPTURED_AT),
        deleted_at=names.column(DELETED_AT),
        gone_at=names.column(GONE_AT),
    )
