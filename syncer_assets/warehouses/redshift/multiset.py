"""Tables without a key: rows are appended, or the table is made equal to what was read, row for row counted."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ..base import CAPTURED_AT, DELETED_AT, DeleteMissing, LoadPlan
from ..postgres.ledger import Counts
from ..postgres.missing import assert_deleted, guard
from . import names, types
from .missing import scope
from .names import ORDER, SOURCE
from .schema import Shape
from .staging import STAGE, Staging

DIFFERENT = sql.Identifier("_syncer_different")

INSERT_SQL = "INSERT INTO {table} ({columns}, {captured_at}) SELECT {columns}, {captured_at} FROM {stage}"

DIFFERENT_SQL = """
CREATE TEMP TABLE {different} AS
SELECT COALESCE(s.hash, t.hash) AS hash, COALESCE(s.copies, 0) AS staged, COALESCE(t.copies, 0) AS present
FROM (SELECT {staged_hash} AS hash, COUNT(*) AS copies FROM {stage} s GROUP BY 1) s
FULL JOIN (
    SELECT {target_hash} AS hash, COUNT(*) AS copies FROM {table} t
    WHERE t.{deleted_at} IS NULL AND t.{captured_at} <= {at} {scope} GROUP BY 1
) t ON s.hash = t.hash
"""
TOTALS_SQL = """
SELECT SUM(present), SUM(CASE WHEN present > staged THEN present - staged ELSE 0 END) FROM {different}
"""
NEW_SQL = """
SELECT s.{source}, SUM(CASE WHEN s.place > d.present THEN 1 ELSE 0 END), COUNT(*) FROM (
    SELECT h.{source}, h.hash, ROW_NUMBER() OVER (PARTITION BY h.hash ORDER BY h.{source}, h.{order}) AS place
    FROM (SELECT s.{source}, s.{order}, {staged_hash} AS hash FROM {stage} s) h
) s JOIN {different} d ON d.hash = s.hash GROUP BY s.{source}
"""
DELETE_SQL = """
DELETE FROM {table} USING {different}
WHERE {own_hash} = {different}.hash AND {different}.staged <> {different}.present
    AND {own}.{deleted_at} IS NULL AND {own}.{captured_at} <= {at} {own_scope}
"""
REPLACE_SQL = """
INSERT INTO {table} ({columns}, {captured_at})
SELECT {staged_columns}, s.{captured_at} FROM {stage} s JOIN {different} d ON d.hash = {staged_hash}
WHERE d.staged <> d.present
"""


@dataclass(frozen=True)
class Multiset:
    """A staged load into a table without a key."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    staging: Staging

    def append(self, counts: dict[int, Counts]) -> int:
        """Insert every staged row; how many."""
        self.connection.execute(self._sql(INSERT_SQL))
        for seq, number in self.staging.rows.items():
            counts[seq].inserted += number - counts[seq].stale
        return sum(count.inserted for count in counts.values())

    def compare(self, rule: DeleteMissing, counts: dict[int, Counts]) -> int:
        """Count what is new, and what is there too often; the number of the latter. Raises RefusedByGuard."""
        self.connection.execute(self._sql(DIFFERENT_SQL, rule))
        row = self.connection.execute(self._sql(TOTALS_SQL)).fetchone()
        present, gone = (int(number or 0) for number in row) if row else (0, 0)
        guard(self.plan, rule, present=present, missing=gone)
        for source, new, staged in self.connection.execute(self._sql(NEW_SQL)):
            count = counts[self.staging.sources[source]]
            count.inserted += int(new)
            count.unchanged += int(staged) - int(new)
        return gone

    def replace(self, rule: DeleteMissing, surplus: int, new: int) -> None:
        """Write the rows that are not there as often as they were read; all others stay as they are.

        Raises AssertionFailed where not as many rows are more as `compare` found."""
        deleted = self.connection.execute(self._sql(DELETE_SQL, rule)).rowcount
        inserted = self.connection.execute(self._sql(REPLACE_SQL)).rowcount
        assert_deleted(self.plan, deleted, inserted - new + surplus)

    def _sql(self, query: str, rule: DeleteMissing | None = None) -> sql.Composed:
        own = sql.Identifier(self.plan.target.table)
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            own=own,
            stage=STAGE,
            different=DIFFERENT,
            columns=names.columns(self.shape.names),
            staged_columns=names.columns(self.shape.names, "s"),
            staged_hash=self._hash(sql.SQL("s")),
            target_hash=self._hash(sql.SQL("t")),
            own_hash=self._hash(own),
            scope=scope(rule, sql.SQL("t")) if rule else sql.SQL(""),
            own_scope=scope(rule, own) if rule else sql.SQL(""),
            at=names.moment(rule.captured_at) if rule else sql.SQL(""),
            source=names.column(SOURCE),
            order=names.column(ORDER),
            captured_at=names.column(CAPTURED_AT),
            deleted_at=names.column(DELETED_AT),
        )

    def _hash(self, alias: sql.Composable) -> sql.Composed:
        """A hash of the row, over those of its values: a row may be longer than a VARCHAR."""
        hashes = (
            sql.SQL("COALESCE(MD5({}), '')").format(types.text_of(column.name, column.type, alias))
            for column in self.shape.columns
        )
        return sql.SQL("MD5({})").format(sql.SQL(" || '.' || ").join(hashes))
