"""The merge by key: what was extracted last wins, and a row that did not change is not written (DESIGN 6).

Each staged row gets its verdict first; the rows to be written then lie in a table of their own, one a key, which is
what MERGE asks of its source."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import AssertionFailed
from ..base import CAPTURED_AT, DELETED_AT, LoadPlan
from ..postgres.ledger import Counts
from . import names, types
from .names import ORDER, RANK, SOURCE, VERDICT
from .schema import Shape, ShapedColumn
from .staging import STAGE, Staging

VERDICTS = sql.Identifier("_syncer_verdicts")
CHANGES = sql.Identifier("_syncer_changes")

VERDICTS_SQL = """
CREATE TEMP TABLE {verdicts} AS
SELECT s.*, CAST(CASE
    WHEN s.{rank} > 1 THEN 'deduplicated'
    WHEN {absent} THEN 'inserted'
    WHEN {changed} THEN CASE WHEN t.{captured_at} > s.{captured_at} THEN 'stale' ELSE 'updated' END
    ELSE 'unchanged' END AS VARCHAR(16)) AS {verdict}
FROM (
    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY {newest}) AS {rank} FROM {stage} r
) s LEFT JOIN {table} t ON {same_key}
"""
"""Within one extraction the row that was read last wins: by its place where it was rewritten, else by the cursor."""

NEW_TABLE_SQL = """
CREATE TEMP TABLE {verdicts} AS
SELECT s.*, CAST(CASE WHEN s.{rank} > 1 THEN 'deduplicated' ELSE 'inserted' END AS VARCHAR(16)) AS {verdict}
FROM (
    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY {partition} ORDER BY {newest}) AS {rank} FROM {stage} r
) s
"""

COUNT_SQL = "SELECT {source}, {verdict}, COUNT(*) FROM {verdicts} GROUP BY {source}, {verdict}"

CHANGES_SQL = """
CREATE TEMP TABLE {changes} AS
SELECT {columns}, {captured_at}, {verdict} FROM {verdicts} WHERE {verdict} IN ({written})
"""

MERGE_SQL = """
MERGE INTO {table} USING {changes} ON {target_key}
WHEN MATCHED THEN UPDATE SET {assignments}
WHEN NOT MATCHED THEN INSERT ({columns}, {captured_at}) VALUES ({changed_columns}, {changes}.{captured_at})
"""

UPDATE_SQL = "UPDATE {table} SET {assignments} FROM {changes} WHERE {target_key} AND {changes}.{verdict} = 'updated'"
INSERT_SQL = """
INSERT INTO {table} ({columns}, {captured_at}) SELECT {columns}, {captured_at} FROM {changes}
WHERE {verdict} = 'inserted'
"""

VERIFY_SQL = """
SELECT COUNT(*), COUNT(CASE WHEN {absent} OR t.{captured_at} < s.{captured_at} THEN 1 END)
FROM {changes} s LEFT JOIN {table} t ON {same_key}
"""


@dataclass(frozen=True)
class Merge:
    """A staged load that is merged into its target by key; `only_new` leaves rows that exist as they are."""

    connection: psycopg.Connection
    plan: LoadPlan
    shape: Shape
    staging: Staging
    only_new: bool = False

    def classify(self, counts: dict[int, Counts]) -> tuple[int, int, int]:
        """Give every staged row its verdict: (rows new, rows changed, rows to leave). Adds to `counts`.

        Raises AssertionFailed where the table has several rows of a staged key."""
        self.connection.execute(self._sql(NEW_TABLE_SQL if self.shape.created else VERDICTS_SQL))
        totals = {"inserted": 0, "updated": 0, "unchanged": 0, "stale": 0, "deduplicated": 0}
        for source, verdict, number in self.connection.execute(self._sql(COUNT_SQL)):
            if self.only_new and verdict in ("updated", "stale"):
                verdict = "unchanged"
            count = counts[self.staging.sources[source]]
            setattr(count, verdict, getattr(count, verdict) + int(number))
            totals[verdict] += int(number)
        if sum(totals.values()) > sum(self.staging.rows.values()):
            raise AssertionFailed(
                f"rows of the table share a key ({', '.join(self.plan.key)}), which Redshift does not prevent",
                table=self.plan.target.name,
                partition=self.plan.partition,
                fix="remove the duplicates, and look for who else writes to the table",
            )
        return totals["inserted"], totals["updated"], totals["unchanged"] + totals["stale"]

    def write(self, inserted: int, updated: int, kept: int) -> int:
        """Write what `classify` found, and verify; how many staged keys the target has.

        Raises AssertionFailed if one is not in the target at its version or a newer one."""
        if not inserted + updated:
            return kept
        self.connection.execute(self._sql(CHANGES_SQL))
        if not updated:
            self.connection.execute(self._sql(INSERT_SQL))
        elif self.shape.text_keys:
            self.connection.execute(self._sql(UPDATE_SQL))
            self.connection.execute(self._sql(INSERT_SQL))
        else:
            self.connection.execute(self._sql(MERGE_SQL))
        row = self.connection.execute(self._sql(VERIFY_SQL)).fetchone()
        assert row is not None
        written, missing = (int(number) for number in row)
        if missing or written != inserted + updated:
            raise AssertionFailed(
                f"{missing or abs(inserted + updated - written)} staged rows are not in the table after the merge",
                table=self.plan.target.name,
                partition=self.plan.partition,
                fix="look for rows of the table that share a key, which Redshift does not prevent",
            )
        return kept + written

    def _sql(self, query: str) -> sql.Composed:
        key, texts, own = self.shape.key, self.shape.text_keys, sql.Identifier(self.plan.target.table)
        s, t, r = sql.SQL("s"), sql.SQL("t"), sql.SQL("r")
        lengths = [sql.SQL("OCTET_LENGTH({})").format(names.column(name)) for name in sorted(texts)]
        written = "'inserted'" if self.only_new else "'inserted', 'updated'"
        return sql.SQL(query).format(  # type: ignore[arg-type]  # the constants above
            table=names.table(self.plan.target),
            stage=STAGE,
            verdicts=VERDICTS,
            changes=CHANGES,
            columns=names.columns(self.shape.names),
            changed_columns=sql.SQL(", ").join(_of(CHANGES, name) for name in self.shape.names),
            partition=sql.SQL(", ").join([*(_of(r, name) for name in key), *lengths]),
            newest=self._newest(),
            same_key=names.equal(key, texts, s, t),
            target_key=names.equal(key, texts, own, CHANGES),
            absent=sql.SQL("t.{} IS NULL").format(names.column(key[0])),
            changed=changed(self.shape.data),
            assignments=self._assignments(),
            written=sql.SQL(written),
            source=names.column(SOURCE),
            rank=names.column(RANK),
            verdict=names.column(VERDICT),
            captured_at=names.column(CAPTURED_AT),
        )

    def _newest(self) -> sql.Composed:
        plain = {column.name for column in self.shape.columns if column.source.transform is None}
        order = [column.name for column in self.plan.manifests[-1].order if column.name in plain]
        parts = [sql.SQL("r.{} DESC").format(names.column(name)) for name in (SOURCE, ORDER)]
        parts += [sql.SQL("r.{} DESC NULLS LAST").format(names.column(name)) for name in order]
        return sql.SQL(", ").join(parts)

    def _assignments(self) -> sql.Composed:
        taken = [*(column.name for column in self.shape.data), CAPTURED_AT]
        return sql.SQL(", ").join(
            [
                *(sql.SQL("{} = {}").format(names.column(name), _of(CHANGES, name)) for name in taken),
                sql.SQL("{} = NULL").format(names.column(DELETED_AT)),
            ]
        )


def changed(data: tuple[ShapedColumn, ...]) -> sql.Composed:
    """Whether staged row `s` and target row `t` differ in a data column, or `t` is a tombstone."""
    parts = [sql.SQL("t.{} IS NOT NULL").format(names.column(DELETED_AT))]
    for column in data:
        name = names.column(column.name)
        parts.append(sql.SQL("(s.{0} IS NULL AND t.{0} IS NOT NULL)").format(name))
        parts.append(sql.SQL("(s.{0} IS NOT NULL AND t.{0} IS NULL)").format(name))
        if types.is_text(column.type):
            parts.append(sql.SQL("OCTET_LENGTH(s.{0}) <> OCTET_LENGTH(t.{0})").format(name))
        if types.base(column.type) == "super":
            parts.append(sql.SQL("JSON_SERIALIZE(s.{0}) <> JSON_SERIALIZE(t.{0})").format(name))
        else:
            parts.append(sql.SQL("s.{0} <> t.{0}").format(name))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def _of(table: sql.Composable, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(table, names.column(name))
