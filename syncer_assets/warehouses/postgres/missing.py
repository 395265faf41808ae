"""Rows that a re-read did not bring: deleted within its range, unless a later extraction wrote them."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed, RefusedByGuard
from ..base import CAPTURED_AT, DELETED_AT, DeleteMissing, LoadPlan
from . import names
from .ledger import Counts
from .names import ORDER
from .schema import Shape
from .staging import ROW_BITS, STAGE, Staging

OVERTAKEN_SQL = """
WITH gone AS (DELETE FROM {stage} s WHERE s.{captured_at} < {at} {scope} RETURNING s.{order} >> {bits} AS source)
SELECT source, count(*) FROM gone GROUP BY source
"""

COUNT_SQL = """
SELECT (SELECT count(*) FROM {table} t WHERE t.{deleted_at} IS NULL {scope}),
    (SELECT count(*) FROM {table} t
     WHERE t.{deleted_at} IS NULL AND t.{captured_at} <= {at} {scope} AND {not_staged})
"""
"""Twice over the table: in a FILTER the planner cannot make NOT EXISTS an anti-join (200,000 rows took minutes)."""

DELETE_SQL = """
DELETE FROM {table} t WHERE t.{deleted_at} IS NULL AND t.{captured_at} <= {at} {scope} AND {not_staged}
"""


@dataclass(frozen=True)
class Missing:
    """A `replace` of a range, or of the whole table, by key."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    staging: Staging
    rule: DeleteMissing

    def drop_overtaken(self, counts: dict[int, Counts]) -> None:
        """Staged rows of the range that were extracted before the re-read: it would have brought them again."""
        if all(live.captured_at >= self.rule.captured_at for live in self.plan.files):
            return
        for source, number in self.connection.execute(self._query(OVERTAKEN_SQL, "s")):
            counts[self.staging.sources[source]].stale += number

    def count(self) -> tuple[int, int]:
        """(rows in the range now, rows of them that are missing). Raises RefusedByGuard before anything is deleted."""
        row = self.connection.execute(self._query(COUNT_SQL, "t")).fetchone()
        assert row is not None
        present, missing = row
        guard(self.plan, self.rule, present=present, missing=missing)
        return present, missing

    def delete(self, missing: int) -> None:
        """Delete what `count` found missing. Raises AssertionFailed where the table keeps a row all the same."""
        assert_deleted(self.plan, self.connection.execute(self._query(DELETE_SQL, "t")).rowcount, missing)

    def _query(self, query: str, alias: str) -> sql.Composed:
        not_staged = sql.SQL("NOT EXISTS (SELECT FROM {} s WHERE {})").format(
            STAGE, names.equal(self.shape.key, "s", "t") if self.shape.key else sql.SQL("false")
        )
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            stage=STAGE,
            scope=scope(self.rule, alias),
            at=sql.Literal(self.rule.captured_at),
            not_staged=not_staged,
            order=names.column(ORDER),
            bits=sql.Literal(ROW_BITS),
            captured_at=names.column(CAPTURED_AT),
            deleted_at=names.column(DELETED_AT),
        )


def assert_deleted(plan: LoadPlan, deleted: int, missing: int) -> None:
    """Raises AssertionFailed where fewer rows were deleted than had to be."""
    if deleted < missing:
        raise AssertionFailed(
            f"{missing - deleted} rows that a re-read did not bring are still in the table",
            table=plan.target.name,
            partition=plan.partition,
            fix="look for a trigger, rule or policy on the table that keeps rows, and disable it",
        )


def scope(rule: DeleteMissing, alias: str) -> sql.Composable:
    """` AND ..` for the rule's range."""
    if rule.column is None:
        return sql.SQL("")
    column = names.column(names.cut(rule.column), alias)
    return sql.SQL("").join(
        sql.SQL(" AND {} {} {}").format(column, operator, sql.Literal(value))
        for operator, value in ((sql.SQL(">="), rule.start), (sql.SQL("<"), rule.end), (sql.SQL("<="), rule.upto))
        if value is not None
    )


def guard(plan: LoadPlan, rule: DeleteMissing, *, present: int, missing: int) -> None:
    """Raises RefusedByGuard where a re-read would empty the whole table, or take more than `max_shrink` of it."""
    if not missing:
        return
    staged = sum(live.file.rows for live in plan.files)
    if staged == 0 and rule.column is None:
        if rule.allow_empty:
            return
        raise RefusedByGuard(
            f"the source is empty, but the warehouse has {present} rows; nothing was changed",
            table=plan.target.name,
            partition=plan.partition,
            fix="set allow_empty: true if the table may become empty",
        )
    if rule.max_shrink is not None and missing > rule.max_shrink * present:
        raise RefusedByGuard(
            f"{missing} of {present} rows would be deleted, more than max_shrink {rule.max_shrink:g} allows;"
            " nothing was changed",
            table=plan.target.name,
            partition=plan.partition,
            fix=f"raise max_shrink above {missing / present:.2f} if that is right",
        )
