"""Tables without a key: rows are appended, or the table is made equal to what was read, row for row counted.

Rows are compared by grouping both sides by all columns, which treats NULLs as equal and needs no hash. Of a content
that is there more or less often than it was read, all copies are deleted and the staged ones inserted; the rest stays.
"""

from dataclasses import dataclass

from ...model.errors import AssertionFailed, LostRace
from ..base import DeleteMissing, LoadPlan
from . import names
from .ledger import Counts
from .missing import guard
from .schema import Shape, ShapedColumn
from .session import OURS, Session
from .staging import Staging, scope, stamp

INSERT_SQL = (
    "INSERT INTO {table} ({columns}, {captured}) SELECT {staged}, s.{captured} FROM {new} s {only} WHERE {ours}"
)

BOTH_SQL = """
SELECT {staged}, s.{source} AS source, 0 AS present, 1 AS read FROM {new} s
UNION ALL
SELECT {there}, NULL AS source, 1 AS present, 0 AS read FROM {table} t
WHERE t.{deleted} IS NULL AND t.{captured} <= CAST(? AS TIMESTAMP_TZ) {scope}
"""

COMPARE_SQL = """
SELECT source, CASE WHEN read = 0 THEN 'surplus' WHEN copy > there THEN 'new' ELSE 'same' END AS verdict, COUNT(*)
FROM (
    SELECT source, read, SUM(present) OVER (PARTITION BY {columns}) AS there, SUM(read) OVER (PARTITION BY {columns})
        AS wanted, ROW_NUMBER() OVER (PARTITION BY {columns}, read ORDER BY source) AS copy
    FROM ({both}) b
) c WHERE read = 1 OR copy > wanted GROUP BY 1, 2
"""
PRESENT_SQL = """
SELECT COUNT(*) FROM {table} t WHERE t.{deleted} IS NULL AND t.{captured} <= CAST(? AS TIMESTAMP_TZ) {scope}
"""

OTHER_SQL = """
(SELECT {columns} FROM ({both}) b GROUP BY {columns} HAVING SUM(present) <> SUM(read)) d
"""

DELETE_SQL = """
DELETE FROM {table} t USING {other}
WHERE {same} AND t.{deleted} IS NULL AND t.{captured} <= CAST(? AS TIMESTAMP_TZ) {scope}
"""


@dataclass(frozen=True)
class Multiset:
    """A staged load into a table without a key, in the transaction of that id: a second INSERT would double rows."""

    session: Session
    plan: LoadPlan
    shape: Shape
    staging: Staging
    transaction_id: str

    def append(self, counts: dict[int, Counts]) -> int:
        """Insert every staged row; how many."""
        inserted = self._insert("", [])
        if inserted != self.staging.kept:
            raise self._other(f"{inserted} rows were inserted, {self.staging.kept} were to be")
        for count in counts.values():
            count.inserted = count.rows_in - count.stale
        return inserted

    def compare(self, rule: DeleteMissing, counts: dict[int, Counts]) -> tuple[int, int, int]:
        """(rows that were not read, rows that are new, rows in the range now). Adds to `counts`.

        Raises RefusedByGuard before anything is deleted."""
        where, values = self._present(rule)
        new = surplus = 0
        for source, verdict, number in self.session.rows(self._sql(COMPARE_SQL, scope=where), values):
            if verdict == "surplus":
                surplus += number
            elif verdict == "new":
                counts[self.staging.sources[int(source)]].inserted += number
                new += number
            else:
                counts[self.staging.sources[int(source)]].unchanged += number
        present = self.session.row(self._sql(PRESENT_SQL, scope=where), values)[0]
        guard(self.plan, rule, present=present, missing=surplus)
        return surplus, new, present

    def replace(self, rule: DeleteMissing, surplus: int, new: int, present: int) -> None:
        """Make the range what was read, as `compare` found it."""
        if not surplus + new:
            return
        where, values = self._present(rule)
        deleted = self.session.execute(self._sql(DELETE_SQL, scope=where), [*values, *values])
        only = f"JOIN {self._sql(OTHER_SQL, scope=where)} ON {self._same('s')}"
        inserted = self._insert(only, values)
        if inserted - deleted != new - surplus:
            raise self._other(
                f"{deleted} rows were deleted and {inserted} inserted: {new - surplus} more were to be there"
            )
        if self.session.row(self._sql(PRESENT_SQL, scope=where), values)[0] != present - surplus + new:
            raise self._other("the table has not as many rows as were read")

    def _insert(self, only: str, values: list[object]) -> int:
        inserted = self.session.execute(self._sql(INSERT_SQL, only=only), [*values, self.transaction_id])
        if not inserted and self.session.row(f"SELECT COUNT_IF({OURS})", (self.transaction_id,))[0] == 0:
            raise LostRace(
                "Snowflake ended the transaction", table=self.plan.target.name, partition=self.plan.partition
            )
        return inserted

    def _present(self, rule: DeleteMissing) -> tuple[str, list[object]]:
        where, values = scope(rule, "t")
        return where, [stamp(rule.captured_at), *values]

    def _other(self, what: str) -> AssertionFailed:
        return AssertionFailed(
            what,
            table=self.plan.target.name,
            partition=self.plan.partition,
            fix="look for another writer of the table in the query history, and run again",
        )

    def _same(self, alias: str) -> str:
        """Row `alias` has the content `d`."""
        return " AND ".join(
            f"{_grouped(column, alias)} IS NOT DISTINCT FROM d.{names.quoted(column.name)}"
            for column in self.shape.columns
        )

    def _sql(self, query: str, *, only: str = "", scope: str = "") -> str:
        parts = {
            "table": names.table(self.plan.target),
            "new": self.staging.tables.new,
            "source": names.column(names.SOURCE),
            "captured": names.column(names.CAPTURED),
            "deleted": names.column(names.DELETED),
            "columns": names.columns(self.shape.names),
            "scope": scope,
            "only": only,
            "ours": OURS,
        }
        both = BOTH_SQL.format(**parts | {"staged": self._contents("s"), "there": self._contents("t")})
        other = OTHER_SQL.format(**parts, both=both)
        return query.format(
            **parts, both=both, other=other, same=self._same("t"), staged=names.columns(self.shape.names, "s")
        )

    def _contents(self, alias: str) -> str:
        return ", ".join(f"{_grouped(column, alias)} AS {names.quoted(column.name)}" for column in self.shape.columns)


def _grouped(column: ShapedColumn, alias: str) -> str:
    name = names.column(column.name, alias)
    return f"TO_JSON({name})" if column.type == "VARIANT" else name
