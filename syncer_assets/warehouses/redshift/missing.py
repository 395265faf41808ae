"""Rows that a re-read did not bring: deleted within its range, unless a later extraction wrote them."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..base import CAPTURED_AT, DELETED_AT, DeleteMissing, LoadPlan
from ..postgres.ledger import Counts
from ..postgres.missing import assert_deleted, guard
from . import names
from .names import SOURCE
from .schema import Shape
from .staging import STAGE, Staging

MISSING = sql.Identifier("_syncer_missing")

OVERTAKEN_COUNT_SQL = """
SELECT s.{source}, COUNT(*) FROM {stage} s WHERE s.{captured_at} < {at} {staged_scope} GROUP BY s.{source}
"""
OVERTAKEN_DELETE_SQL = "DELETE FROM {stage} WHERE {stage}.{captured_at} < {at} {stage_scope}"

PRESENT_SQL = "SELECT COUNT(*) FROM {table} t WHERE t.{deleted_at} IS NULL {scope}"

MISSING_SQL = """
CREATE TEMP TABLE {missing} AS
SELECT {target_key_columns} FROM {table} t LEFT JOIN {stage} s ON {same_key}
WHERE t.{deleted_at} IS NULL AND t.{captured_at} <= {at} {scope} AND s.{first_key} IS NULL
"""
COUNT_SQL = "SELECT COUNT(*) FROM {missing}"
DELETE_SQL = "DELETE FROM {table} USING {missing} WHERE {missing_key}"


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
        for source, number in self.connection.execute(self._sql(OVERTAKEN_COUNT_SQL)):
            counts[self.staging.sources[source]].stale += int(number)
        self.connection.execute(self._sql(OVERTAKEN_DELETE_SQL))

    def count(self) -> int:
        """How many rows are missing. Raises RefusedByGuard before anything is deleted."""
        self.connection.execute(self._sql(MISSING_SQL))
        present, missing = (self._number(query) for query in (PRESENT_SQL, COUNT_SQL))
        guard(self.plan, self.rule, present=present, missing=missing)
        return missing

    def delete(self, missing: int) -> None:
        """Delete what `count` found missing. Raises AssertionFailed where the table keeps a row all the same."""
        assert_deleted(self.plan, self.connection.execute(self._sql(DELETE_SQL)).rowcount, missing)

    def _number(self, query: str) -> int:
        row = self.connection.execute(self._sql(query)).fetchone()
        return int(row[0]) if row else 0

    def _sql(self, query: str) -> sql.Composed:
        key, texts, own = self.shape.key, self.shape.text_keys, sql.Identifier(self.plan.target.table)
        s, t = sql.SQL("s"), sql.SQL("t")
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            stage=STAGE,
            missing=MISSING,
            at=names.moment(self.rule.captured_at),
            scope=scope(self.rule, t),
            staged_scope=scope(self.rule, s),
            stage_scope=scope(self.rule, STAGE),
            target_key_columns=names.columns(key, "t"),
            same_key=names.equal(key, texts, s, t),
            missing_key=names.equal(key, texts, own, MISSING),
            first_key=names.column(key[0]) if key else sql.SQL(""),
            source=names.column(SOURCE),
            captured_at=names.column(CAPTURED_AT),
            deleted_at=names.column(DELETED_AT),
        )


def scope(rule: DeleteMissing, alias: sql.Composable) -> sql.Composable:
    """` AND ..` for the rule's range."""
    if rule.column is None:
        return sql.SQL("")
    return sql.SQL("").join(
        sql.SQL(" AND {}.{} {} {}").format(alias, names.column(rule.column), operator, names.value(value))
        for operator, value in ((sql.SQL(">="), rule.start), (sql.SQL("<"), rule.end), (sql.SQL("<="), rule.upto))
        if value is not None
    )
