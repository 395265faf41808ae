"""The merge by key: what was extracted last wins, and a row that did not change is not written (DESIGN 6).

One MERGE, whose source has one row a key: what `classify` counted is what it must write, or nothing is committed.
"""

from dataclasses import dataclass

from ...model.errors import AssertionFailed, SchemaChanged
from ..base import LoadPlan
from . import names
from .ledger import Counts
from .schema import Shape, ShapedColumn
from .session import Session
from .staging import Staging

CLASSIFY_SQL = """
SELECT s.{source}, CASE
    WHEN {absent} THEN 'inserted'
    WHEN NOT ({changed}) THEN 'unchanged'
    WHEN t.{captured} > s.{captured} THEN 'stale'
    ELSE 'updated' END AS verdict, COUNT(*)
FROM {new} s LEFT JOIN {table} t ON {same_key} GROUP BY 1, 2
"""

MERGE_SQL = """
MERGE INTO {table} t USING {new} s ON {same_key} {matched}
WHEN NOT MATCHED THEN INSERT ({columns}, {captured}) VALUES ({staged}, s.{captured})
"""
MATCHED_SQL = """
WHEN MATCHED AND t.{captured} <= s.{captured} AND ({changed}) THEN UPDATE SET {assignments}
"""

INSERT_SQL = "INSERT INTO {table} ({columns}, {captured}) SELECT {staged}, s.{captured} FROM {new} s"

VERIFY_SQL = """
SELECT COUNT(*), COUNT_IF({absent} OR (t.{captured} < s.{captured} AND {wrong}))
FROM {new} s LEFT JOIN {table} t ON {same_key}
"""
"""A row that was left alone is equal, whatever its time; any other is there at the staged version or a newer one."""


@dataclass(frozen=True)
class Merge:
    """A staged load that is merged into its target by key; `only_new` leaves rows that exist as they are."""

    session: Session
    plan: LoadPlan
    shape: Shape
    staging: Staging
    only_new: bool = False

    def classify(self, counts: dict[int, Counts]) -> tuple[int, int]:
        """Find what has to be written: (rows new, rows changed). Adds to `counts`.

        Raises SchemaChanged where the table has rows that share a key."""
        totals = {"inserted": 0, "updated": 0, "unchanged": 0, "stale": 0}
        for source, verdict, number in self.session.rows(self._sql(CLASSIFY_SQL)):
            if self.only_new and verdict != "inserted":
                verdict = "unchanged"
            count = counts[self.staging.sources[int(source)]]
            setattr(count, verdict, getattr(count, verdict) + number)
            totals[verdict] += number
        if sum(totals.values()) != self.staging.kept:
            raise SchemaChanged(
                f"the table has rows that share a key ({', '.join(self.plan.key)})",
                table=self.plan.target.name,
                fix="remove the duplicates, or declare the right key",
            )
        return totals["inserted"], totals["updated"]

    def write(self, inserted: int, updated: int) -> int:
        """Write what `classify` found, and verify; how many staged keys the target has. Raises AssertionFailed."""
        if inserted + updated:
            insert_only = self.shape.created
            written = self.session.execute(self._sql(INSERT_SQL if insert_only else MERGE_SQL))
            if written != inserted + updated:
                raise self._other(f"{written} rows were written, {inserted + updated} were to be")
        found, wrong = self.session.row(self._sql(VERIFY_SQL))
        if wrong or found != self.staging.kept:
            raise self._other(f"{wrong} of {self.staging.kept} staged rows are not in the table after the merge")
        return found

    def _other(self, what: str) -> AssertionFailed:
        return AssertionFailed(
            what,
            table=self.plan.target.name,
            partition=self.plan.partition,
            fix="look for another writer of the table in the query history, and run again",
        )

    def _sql(self, query: str) -> str:
        parts = {
            "table": names.table(self.plan.target),
            "new": self.staging.tables.new,
            "source": names.column(names.SOURCE),
            "same_key": names.equal(self.shape.key, "s", "t"),
            "absent": f"{names.column(self.shape.key[0], 't')} IS NULL",
            "changed": changed(self.shape.data),
            "columns": names.columns(self.shape.names),
            "staged": names.columns(self.shape.names, "s"),
            "captured": names.column(names.CAPTURED),
            "wrong": "FALSE" if self.only_new else f"({changed(self.shape.data)})",
            "assignments": _assignments(self.shape.data),
        }
        matched = "" if self.only_new else MATCHED_SQL.format(**parts)
        return query.format(**parts, matched=matched)


def changed(data: tuple[ShapedColumn, ...]) -> str:
    """Whether staged row `s` and target row `t` differ in a data column, or `t` is a tombstone."""
    differ = [f"{_compared(column, 's')} IS DISTINCT FROM {_compared(column, 't')}" for column in data]
    return " OR ".join([*differ, f"t.{names.column(names.DELETED)} IS NOT NULL"])


def _compared(column: ShapedColumn, alias: str) -> str:
    name = names.column(column.name, alias)
    return f"TO_JSON({name})" if column.type == "VARIANT" else name


def _assignments(data: tuple[ShapedColumn, ...]) -> str:
    taken = [*(column.name for column in data), names.CAPTURED]
    return ", ".join(
        [*(f"{names.column(name)} = s.{names.column(name)}" for name in taken), f"{names.column(names.DELETED)} = NULL"]
    )
