"""Tables without a key: rows are appended, or the table is made equal to what was read, row for row counted."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed
from ..base import CAPTURED_AT, DELETED_AT, DeleteMissing, LoadPlan
from . import names
from .ledger import Counts
from .missing import assert_deleted, guard, scope
from .names import ORDER
from .schema import Shape
from .staging import ROW_BITS, STAGE, Staging

DIFF_SQL = """
CREATE TEMP TABLE _syncer_diff ON COMMIT DROP AS
SELECT s.{order} AS staged, t.part AS part, t.place AS place FROM (
    SELECT {order}, hash, row_number() OVER (PARTITION BY hash ORDER BY {order}) AS copy
    FROM (SELECT s.{order}, md5(ROW({staged})::text) AS hash FROM {stage} s) h
) s FULL JOIN (
    SELECT part, place, hash, row_number() OVER (PARTITION BY hash ORDER BY place) AS copy
    FROM (SELECT t.tableoid AS part, t.ctid AS place, md5(ROW({present})::text) AS hash FROM {table} t
          WHERE t.{deleted_at} IS NULL AND t.{captured_at} <= {at} {scope}) h
) t ON s.hash = t.hash AND s.copy = t.copy
"""

COUNT_SQL = """
SELECT staged >> {bits}, place IS NULL, count(*) FROM pg_temp._syncer_diff GROUP BY 1, 2
"""

DELETE_SQL = """
DELETE FROM {table} t USING pg_temp._syncer_diff d
WHERE t.tableoid = d.part AND t.ctid = d.place AND d.staged IS NULL
"""
"""A place is one within its partition only."""

INSERT_SQL = """
INSERT INTO {table} ({columns}, {captured_at}) SELECT {staged}, s.{captured_at}
FROM {stage} s {only}
"""

ONLY_NEW_SQL = "JOIN pg_temp._syncer_diff d ON d.staged = s.{order} AND d.place IS NULL"


@dataclass(frozen=True)
class Multiset:
    """A staged load into a table without a key."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    staging: Staging

    def append(self, counts: dict[int, Counts]) -> int:
        """Insert every staged row; how many."""
        inserted = self._insert("")
        rows = sum(self.staging.rows.values())
        if inserted != rows:
            raise self._swallowed(rows - inserted)
        for seq, number in self.staging.rows.items():
            counts[seq].inserted += number
        return inserted

    def compare(self, rule: DeleteMissing, counts: dict[int, Counts]) -> tuple[int, int, int]:
        """(rows that were not read, rows that are new, rows in the range now). Adds to `counts`.

        Raises RefusedByGuard before anything is deleted."""
        self.connection.execute(self._sql(DIFF_SQL, scope=scope(rule, "t"), at=sql.Literal(rule.captured_at)))
        new = surplus = same = 0
        for source, is_new, number in self.connection.execute(self._sql(COUNT_SQL)):
            if source is None:
                surplus = number
                continue
            count = counts[self.staging.sources[source]]
            if is_new:
                count.inserted += number
                new += number
            else:
                count.unchanged += number
                same += number
        guard(self.plan, rule, present=surplus + same, missing=surplus)
        return surplus, new, surplus + same

    def replace(self, surplus: int, new: int) -> None:
        """Delete what was not read and insert what is new, as `compare` found them; equal rows stay."""
        if surplus:
            assert_deleted(self.plan, self.connection.execute(self._sql(DELETE_SQL)).rowcount, surplus)
        if new:
            inserted = self._insert(ONLY_NEW_SQL)
            if inserted != new:
                raise self._swallowed(new - inserted)

    def _insert(self, only: str) -> int:
        return self.connection.execute(self._sql(INSERT_SQL, only=self._sql(only))).rowcount

    def _swallowed(self, number: int) -> AssertionFailed:
        return AssertionFailed(
            f"{number} staged rows are not in the table after the load",
            table=self.plan.target.name,
            partition=self.plan.partition,
            fix="look for a trigger, rule or policy on the table that drops rows, and disable it",
        )

    def _sql(self, query: str, **parts: sql.Composable) -> sql.Composed:
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            stage=STAGE,
            columns=names.columns(self.shape.names),
            staged=names.columns(self.shape.names, "s"),
            present=names.columns(self.shape.names, "t"),
            order=names.column(ORDER),
            bits=sql.Literal(ROW_BITS),
            captured_at=names.column(CAPTURED_AT),
            deleted_at=names.column(DELETED_AT),
            **parts,
        )
