"""The merge of staged documents into the raw table: of an id the newest file's last line wins, in any order of loads.

A document that did not change is not written, so its row keeps naming the file that brought it first. Where files share
an id, `_syncer.file_overlaps` remembers which of them is not in the table; one that may have to come back is flagged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString

import psycopg
from psycopg import sql

from ....model.errors import AssertionFailed
from ....model.files import FileCounts, FileSpec, SourceFile
from .. import names
from .tables import index_name

BATCH_SQL = """
CREATE TEMP TABLE _syncer_batch (path text COLLATE "C" PRIMARY KEY, modified timestamptz NOT NULL) ON COMMIT DROP
"""
FILL_BATCH_SQL = "INSERT INTO _syncer_batch SELECT * FROM unnest($1::text[], $2::timestamptz[])"

DEDUPLICATE_SQL = """
WITH many AS (SELECT id FROM pg_temp._syncer_documents GROUP BY id HAVING count(*) > 1),
ranked AS (
    SELECT d.ctid AS place, first_value(d.source_file) OVER newest AS winner, row_number() OVER newest AS number
    FROM pg_temp._syncer_documents d JOIN many USING (id) JOIN _syncer_batch b ON b.path = d.source_file
    WINDOW newest AS (PARTITION BY d.id ORDER BY {order}, d.line DESC)
), gone AS (
    DELETE FROM pg_temp._syncer_documents d USING ranked r WHERE d.ctid = r.place AND r.number > 1
    RETURNING d.source_file AS loser, r.winner
)
SELECT loser, winner, count(*) FROM gone GROUP BY 1, 2
"""

CLASSIFY_SQL = """
CREATE TEMP TABLE _syncer_verdicts ON COMMIT DROP AS
SELECT d.ctid AS place, d.source_file, t.source_file AS owner, CASE
    WHEN ROW(d.document)::record *= ROW(t.raw_data)::record THEN
        CASE WHEN o.path IS NULL OR t.source_file = d.source_file THEN 'unchanged' ELSE 'moved' END
    WHEN o.path IS NOT NULL OR l.path IS NULL OR {newer} THEN 'updated'
    ELSE 'stale' END AS verdict
FROM pg_temp._syncer_documents d JOIN _syncer_batch b ON b.path = d.source_file
JOIN {raw} t ON t.id = d.id
LEFT JOIN _syncer_batch o ON o.path = t.source_file
LEFT JOIN _syncer.files l ON l.target_name = {name} AND l.path = t.source_file
WHERE t._loaded_at <> {stamp}
"""
"""Of the documents whose id is in the table. A row whose owner is read anew (`o`) is no row to be stale against."""
TALLY_SQL = "SELECT source_file, owner, verdict, count(*) FROM _syncer_verdicts GROUP BY 1, 2, 3"

INSERT_SQL = """
INSERT INTO {raw} (id, raw_data, source_file, run_id, _loaded_at, _updated_at)
SELECT d.id, d.document, d.source_file, $1, $2, $2 FROM pg_temp._syncer_documents d ON CONFLICT DO NOTHING
"""
"""Tried first: most loads bring new documents, and looking each of them up beforehand costs a join with the table."""

UPDATE_SQL = """
UPDATE {raw} t SET raw_data = d.document, source_file = d.source_file, run_id = $1,
    _updated_at = CASE v.verdict WHEN 'moved' THEN t._updated_at ELSE $2 END
FROM pg_temp._syncer_documents d JOIN _syncer_verdicts v ON v.place = d.ctid
WHERE v.verdict IN ('updated', 'moved') AND t.id = d.id
"""

VANISHED_SQL = """
WITH gone AS (
    DELETE FROM {raw} t WHERE t.source_file = ANY ($1)
    AND NOT EXISTS (SELECT FROM pg_temp._syncer_documents d WHERE d.id = t.id)
    RETURNING t.source_file
)
SELECT source_file, count(*) FROM gone GROUP BY 1
"""

OVERLAP_SQL = """
INSERT INTO _syncer.file_overlaps (target_name, winner, loser)
SELECT $1, * FROM unnest($2::text[], $3::text[]) ON CONFLICT DO NOTHING
"""

RELOAD_NEWER_SQL = """
UPDATE _syncer.files l SET reload = true
FROM _syncer.file_overlaps p, unnest($2::text[], $3::text[]) AS taken (owner, path), _syncer_batch b
WHERE l.target_name = $1 AND p.target_name = $1 AND p.winner = taken.owner AND b.path = taken.path
AND l.path = p.loser AND {newer} AND l.path NOT IN (SELECT path FROM _syncer_batch)
"""
"""A file that relied on a row of `owner` which `path` has changed: if it is newer than `path`, it wins."""

RELOAD_BELOW_SQL = """
WITH RECURSIVE below AS (
    SELECT loser FROM _syncer.file_overlaps WHERE target_name = $1 AND winner = ANY ($2)
    UNION SELECT p.loser FROM below JOIN _syncer.file_overlaps p ON p.target_name = $1 AND p.winner = below.loser
)
UPDATE _syncer.files l SET reload = true
WHERE target_name = $1 AND path IN (SELECT loser FROM below) AND path NOT IN (SELECT path FROM _syncer_batch)
"""
"""Rows of these files are gone: whatever lost to them, at whatever remove, may have them."""


@dataclass
class Merged:
    """What the merge did: counts by path, rows `deleted` by the path that they were of.

    `overlaps` are (winner, loser), paths with an id in common; `taken` are (owner, path): a row of `owner` changed."""

    counts: dict[str, FileCounts]
    deleted: dict[str, int] = field(default_factory=dict)
    overlaps: set[tuple[str, str]] = field(default_factory=set)
    taken: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Merge:
    """Staged documents of `files`, of which `replaced` have other rows in the table so far."""

    connection: psycopg.Connection
    spec: FileSpec
    files: Sequence[SourceFile]
    replaced: Sequence[str]
    rows: Mapping[str, int]

    def run(self, run_id: str, stamp: datetime) -> Merged:
        """Everything, in the caller's transaction. Raises AssertionFailed where a row did not arrive."""
        self.connection.execute(BATCH_SQL)
        paths, times = [file.path for file in self.files], [file.modified for file in self.files]
        self.connection.execute(FILL_BATCH_SQL, (paths, times))
        merged = Merged({path: FileCounts() for path in paths})
        if self.spec.id.path:
            self._deduplicate(merged)
        self._write(merged, run_id, stamp)
        if self.replaced:
            self._delete_vanished(merged)
        self._remember(merged)
        return merged

    @property
    def _name(self) -> str:
        return self.spec.target.name

    def _deduplicate(self, merged: Merged) -> None:
        for loser, winner, number in self.connection.execute(self._sql(DEDUPLICATE_SQL)):
            merged.counts[loser].duplicates += number
            if loser != winner:
                merged.overlaps.add((winner, loser))

    def _write(self, merged: Merged, run_id: str, stamp: datetime) -> None:
        staged = sum(self.rows.get(path, 0) - counts.duplicates for path, counts in merged.counts.items())
        inserted = self.connection.execute(self._sql(INSERT_SQL), (run_id, stamp)).rowcount
        present, updates = self._classify(merged, stamp) if inserted < staged else (0, 0)
        self._assert(staged, inserted + present)
        if updates:
            self._assert(updates, self.connection.execute(self._sql(UPDATE_SQL), (run_id, stamp)).rowcount)
        for path, counts in merged.counts.items():
            counts.inserted = self.rows.get(path, 0) - counts.loaded - counts.duplicates

    def _classify(self, merged: Merged, stamp: datetime) -> tuple[int, int]:
        """What is to become of documents whose id was there; how many they are, and how many rows are to be updated."""
        present = self.connection.execute(self._sql(CLASSIFY_SQL, stamp=sql.Literal(stamp))).rowcount
        self.connection.execute("ANALYZE _syncer_verdicts (verdict)")
        updates = 0
        for path, owner, verdict, number in self.connection.execute(TALLY_SQL):
            counts = merged.counts[path]
            match verdict:
                case "unchanged" | "moved":
                    counts.unchanged += number
                    updates += number if verdict == "moved" else 0
                    if owner != path:
                        merged.overlaps.add((path, owner) if verdict == "moved" else (owner, path))
                case "stale":
                    counts.duplicates += number
                    merged.overlaps.add((owner, path))
                case _:
                    counts.updated += number
                    updates += number
                    merged.taken.add((owner, path))
                    if owner != path:
                        merged.overlaps.add((path, owner))
        return present, updates

    def _delete_vanished(self, merged: Merged) -> None:
        """Rows of replaced files that their new content has not. These loads alone need an index on the file."""
        name = index_name(self.spec.target, "source_file")
        qualified = sql.Identifier(self.spec.target.schema, name).as_string()
        if self.connection.execute("SELECT to_regclass($1)", (qualified,)).fetchone() == (None,):
            self.connection.execute(
                self._sql("CREATE INDEX {index} ON {raw} (source_file)", index=sql.Identifier(name))
            )
        for path, number in self.connection.execute(self._sql(VANISHED_SQL), (list(self.replaced),)):
            merged.deleted[path] = number

    def _remember(self, merged: Merged) -> None:
        if merged.overlaps:
            winners, losers = zip(*sorted(merged.overlaps), strict=True)
            self.connection.execute(OVERLAP_SQL, (self._name, list(winners), list(losers)))
        taken = merged.taken | {(path, path) for path in self.replaced}
        if taken:
            owners, paths = zip(*sorted(taken), strict=True)
            self.connection.execute(
                self._sql(RELOAD_NEWER_SQL, newer=_newer(self.spec, "l", "b")), (self._name, list(owners), list(paths))
            )
        if merged.deleted:
            self.connection.execute(RELOAD_BELOW_SQL, (self._name, list(merged.deleted)))

    def _assert(self, expected: int, written: int) -> None:
        if written != expected:
            raise AssertionFailed(
                f"{written} of {expected} rows were written",
                table=self._name,
                fix="look for a trigger, rule or policy on the table that drops rows, and disable it",
            )

    def _sql(self, query: str, **parts: sql.Composable) -> sql.Composed:
        values = {
            "raw": names.table(self.spec.target),
            "name": sql.Literal(self._name),
            "order": sql.SQL(", ").join(sql.SQL("{} DESC").format(column) for column in _order(self.spec, "b")),
            "newer": _newer(self.spec, "b", "l"),
        }
        return sql.SQL(query).format(**values | parts)  # type: ignore[arg-type]  # the constants above


def _order(spec: FileSpec, alias: LiteralString) -> list[sql.Identifier]:
    """By what files are new: two files are never alike."""
    columns: tuple[LiteralString, ...] = ("modified", "path") if spec.newest == "modified" else ("path",)
    return [sql.Identifier(alias, column) for column in columns]


def _newer(spec: FileSpec, one: LiteralString, other: LiteralString) -> sql.Composed:
    """Whether one file is newer than the other, by their aliases."""
    left, right = (sql.SQL(", ").join(_order(spec, alias)) for alias in (one, other))
    return sql.SQL("(({}) > ({}))").format(left, right)
