"""The merge by key: what was extracted last wins, and a row that did not change is not written (DESIGN 6)."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from . import names
from .ledger import Counts
from .names import ORDER
from .schema import Shape
from .staging import CHANGES, ROW_BITS, STAGE, Staging

UNIQUE_SQL = """
SAVEPOINT _syncer_unique;
CREATE UNIQUE INDEX IF NOT EXISTS _syncer_stage_key ON {stage} ({key});
RELEASE _syncer_unique
"""
"""One message to the server. With the index, `classify` reads both sides in key order where that is cheap."""

DEDUPLICATE_SQL = """
WITH newest AS (SELECT {key}, max({order}) AS {order} FROM {stage} s GROUP BY {key} HAVING count(*) > 1),
    gone AS (DELETE FROM {stage} s USING newest t WHERE {same_key} AND s.{order} < t.{order}
             RETURNING s.{order} >> {bits} AS source)
SELECT source, count(*) FROM gone GROUP BY source
"""

CLASSIFY_SQL = """
WITH verdicts AS MATERIALIZED (
    SELECT s.{order} AS place, CASE
        WHEN {absent} THEN 'inserted'
        WHEN NOT {changed} THEN 'unchanged'
        WHEN t.{captured_at} > s.{captured_at} THEN 'stale'
        ELSE 'updated' END AS verdict
    FROM {stage} s LEFT JOIN {table} t ON {same_key}
), written AS (
    INSERT INTO {changes} SELECT place FROM verdicts WHERE verdict = 'inserted' OR (verdict = 'updated' AND {updates})
)
SELECT place >> {bits}, verdict, count(*) FROM verdicts GROUP BY 1, 2
"""

WRITE_SQL = """
INSERT INTO {table} AS old ({columns}, {captured_at}) SELECT {staged}, s.{captured_at} FROM {stage} s {only}
"""

ONLY_CHANGED_SQL = "JOIN {changes} c USING ({order})"

ON_CONFLICT_SQL = """
ON CONFLICT ({key}) DO UPDATE SET {assignments} WHERE old.{captured_at} <= excluded.{captured_at}
"""

VERIFY_SQL = """
SELECT count(*), count(*) FILTER (WHERE {absent} OR t.{captured_at} < s.{captured_at})
FROM {stage} s {only} LEFT JOIN {table} t ON {same_key}
"""
"""Of the rows that were written. Those left alone were compared by this transaction's own snapshot."""


@dataclass(frozen=True)
class Merge:
    """A staged load that is merged into its target by key; `only_new` leaves rows that exist as they are."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    staging: Staging
    only_new: bool = False

    def classify(self, counts: dict[int, Counts]) -> tuple[int, int, int]:
        """Deduplicate, and find what has to be written: (rows new, rows changed, rows to leave). Adds to `counts`."""
        self.deduplicate(counts)
        return self._classify(counts)

    def write(self, inserted: int, updated: int, kept: int) -> int:
        """Write what `classify` found, and verify; how many staged keys the target has.

        Raises AssertionFailed if one is not in the target at its version or a newer one."""
        if not inserted + updated:
            return kept
        written = self.connection.execute(self._write(kept)).rowcount
        if written != inserted + updated:
            raise self._swallowed(inserted + updated - written)
        return kept + self._verify(kept)

    def deduplicate(self, counts: dict[int, Counts]) -> None:
        """Leave the newest version of each key. That there is one version alone is seen by indexing the keys."""
        try:
            self.connection.execute(self._sql(UNIQUE_SQL))
        except psycopg.errors.UniqueViolation:
            self.connection.execute("ROLLBACK TO _syncer_unique")
            for source, number in self.connection.execute(self._sql(DEDUPLICATE_SQL)):
                counts[self.staging.sources[source]].deduplicated += number
            self.connection.execute(self._sql(UNIQUE_SQL))

    def _classify(self, counts: dict[int, Counts]) -> tuple[int, int, int]:
        if self.shape.created:
            query = "SELECT s.{order} >> {bits}, 'inserted', count(*) FROM {stage} s GROUP BY 1"
        else:
            query = CLASSIFY_SQL
        totals = {"inserted": 0, "updated": 0, "unchanged": 0, "stale": 0}
        for source, verdict, number in self.connection.execute(self._sql(query)):
            if self.only_new and verdict != "inserted":
                verdict = "unchanged"
            count = counts[self.staging.sources[source]]
            setattr(count, verdict, getattr(count, verdict) + number)
            totals[verdict] += number
        return totals["inserted"], totals["updated"], totals["unchanged"] + totals["stale"]

    def _write(self, kept: int) -> sql.Composed:
        insert = self._sql(WRITE_SQL, only=self._only(kept))
        if self.shape.created:
            return insert  # the table gets its key afterwards
        conflict = "ON CONFLICT DO NOTHING" if self.only_new else ON_CONFLICT_SQL
        return sql.SQL(" ").join([insert, self._sql(conflict)])

    def _verify(self, kept: int) -> int:
        row = self.connection.execute(self._sql(VERIFY_SQL, only=self._only(kept))).fetchone()
        assert row is not None
        written, missing = row
        if missing:
            raise self._swallowed(missing)
        return written

    def _only(self, kept: int) -> sql.Composed:
        return self._sql(ONLY_CHANGED_SQL if kept else "")

    def _swallowed(self, number: int) -> AssertionFailed:
        return AssertionFailed(
            f"{number} staged rows are not in the table after the merge",
            table=self.plan.target.name,
            partition=self.plan.partition,
            fix="look for a trigger, rule or policy on the table that drops or changes rows, and disable it",
        )

    def _sql(self, query: str, **parts: sql.Composable) -> sql.Composed:
        key, data = self.shape.key, self.shape.data
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            stage=STAGE,
            changes=CHANGES,
            updates=sql.Literal(not self.only_new),
            key=names.columns(key),
            same_key=names.equal(key, "s", "t"),
            absent=sql.SQL("{} IS NULL").format(names.column(key[0], "t")),
            changed=changed(data),
            columns=names.columns(self.shape.names),
            staged=names.columns(self.shape.names, "s"),
            assignments=_assignments(data),
            order=names.column(ORDER),
            bits=sql.Literal(ROW_BITS),
            captured_at=names.column(CAPTURED_AT),
            **parts,
        )


def changed(data: tuple[str, ...]) -> sql.Composed:
    """Whether staged row `s` and target row `t` differ in a data column, or `t` is a tombstone.

    Rows are compared by their binary image: that is exact for every type (1.0 and 1.00, json, points), needs no
    equality operator, and NULL equals NULL."""
    image = sql.SQL("ROW({})::record")
    return sql.SQL("({} *<> {} OR t.{} IS NOT NULL)").format(
        image.format(names.columns(data, "s")), image.format(names.columns(data, "t")), names.column(DELETED_AT)
    )


def _assignments(data: tuple[str, ...]) -> sql.Composed:
    taken = [*data, CAPTURED_AT]
    return sql.SQL(", ").join(
        [
            *(sql.SQL("{0} = excluded.{0}").format(names.column(name)) for name in taken),
            sql.SQL("{} = NULL").format(names.column(DELETED_AT)),
        ]
    )
