"""A load of some files from beginning to end: stage, then ONE transaction; the ledger decides what was committed."""

import time
from collections.abc import Sequence
from datetime import datetime

import psycopg
from psycopg import sql

from ....model.errors import LostRace
from ....model.files import SourceFile
from ...files import FilePlan, FilesLoaded
from .. import names
from ..session import Sessions, commit, transaction
from . import stage
from .merge import Merge, Merged
from .stage import Staged

LOCK_PATIENCE = "30min"
"""How long a load waits for another one of the same table to commit."""

STAMP_SQL = """
UPDATE _syncer.targets SET updated_at = greatest(clock_timestamp(), updated_at + interval '1 microsecond')
WHERE target_name = $1 RETURNING updated_at
"""
"""The transaction's first statement. It locks the target's row until the commit, so that stamps grow in the order of
the commits: a later reader who sees one stamp has seen all below it. Core tables rest on that."""

SEEN_SQL = "SELECT path, etag FROM _syncer.files WHERE target_name = $1 AND path = ANY ($2)"

RECORD_SQL = """
INSERT INTO _syncer.files (target_name, path, partition_key, size, etag, modified, lines, loaded, rejected, duplicates,
    inserted, updated, unchanged, seconds, deleted_at, run_id, loaded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (target_name, path) DO UPDATE SET partition_key = excluded.partition_key, size = excluded.size,
    etag = excluded.etag, modified = excluded.modified, lines = excluded.lines, loaded = excluded.loaded,
    rejected = excluded.rejected, duplicates = excluded.duplicates, inserted = excluded.inserted,
    updated = excluded.updated, unchanged = excluded.unchanged, seconds = excluded.seconds, reload = false,
    deleted_at = coalesce(excluded.deleted_at, files.deleted_at), run_id = excluded.run_id,
    loaded_at = excluded.loaded_at
"""
REFUSED_SQL = """
INSERT INTO _syncer.refused_files (target_name, path, etag, reason, run_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (target_name, path) DO UPDATE
SET etag = excluded.etag, reason = excluded.reason, run_id = excluded.run_id, refused_at = now()
"""
KEEP_REJECTS_SQL = """
INSERT INTO {} (file, line_number, byte_offset, reason, raw, run_id)
SELECT file, line_number, byte_offset, reason, raw, $2 FROM pg_temp._syncer_rejects WHERE file = ANY ($1)
"""
NOT_REFUSED_SQL = "DELETE FROM _syncer.refused_files WHERE target_name = $1 AND path = ANY ($2)"


def load(sessions: Sessions, plan: FilePlan) -> FilesLoaded:
    """Load the plan's files. Those that are refused leave the others; raises what `FileWarehouse.load` says."""
    target = plan.spec.target.name
    started, connection = time.monotonic(), sessions.open()
    try:
        with sessions.errors("load", target):
            staged = stage.stage(connection, plan)
            plan.emit("files staged", table=target, files=len(plan.files), rows=sum(staged.rows.values()))
            merged = _transact(sessions, connection, plan, staged, started)
    finally:
        connection.close()
    plan.emit("files committed", table=target, files=len(merged.counts), refused=len(staged.refused))
    return FilesLoaded(merged.counts, staged.refused, sum(merged.deleted.values()), staged.copies)


def _transact(
    sessions: Sessions, connection: psycopg.Connection, plan: FilePlan, staged: Staged, started: float
) -> Merged:
    target = plan.spec.target.name
    with transaction(connection, "READ COMMITTED"):
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_PATIENCE)))
        row = connection.execute(STAMP_SQL, (target,)).fetchone()
        assert row is not None
        seen = dict(connection.execute(SEEN_SQL, (target, [file.path for file in plan.files])).fetchall())
        if seen != dict(plan.seen):
            raise LostRace("another load had one of these files meanwhile", table=target)
        files = [file for file in plan.files if file.path not in staged.refused]
        replaced = [file.path for file in files if seen.get(file.path, file.etag) != file.etag]
        merged = Merge(connection, plan.spec, files, replaced, staged.rows).run(plan.run_id, row[0])
        for path, counts in merged.counts.items():
            counts.lines, counts.rejected = staged.lines[path], staged.rejected[path]
        _record(connection, plan, files, merged, row[0], time.monotonic() - started)
        _keep_rejects(connection, plan, files)
        _keep_refused(connection, plan, files, staged)
        with sessions.errors("commit", target):
            commit(connection)
    return merged


def _record(
    connection: psycopg.Connection,
    plan: FilePlan,
    files: Sequence[SourceFile],
    merged: Merged,
    stamp: datetime,
    seconds: float,
) -> None:
    size = sum(file.size for file in plan.files)
    rows = []
    for file in files:
        counts = merged.counts[file.path]
        rows.append(
            (
                *(plan.spec.target.name, file.path, plan.spec.partition(file.path) or "", file.size, file.etag),
                *(file.modified, counts.lines, counts.loaded, counts.rejected, counts.duplicates),
                *(counts.inserted, counts.updated, counts.unchanged, seconds * file.size / size if size else 0.0),
                *(stamp if merged.deleted.get(file.path) else None, plan.run_id, stamp),
            )
        )
    with connection.cursor() as cursor:
        cursor.executemany(RECORD_SQL, rows)


def _keep_rejects(connection: psycopg.Connection, plan: FilePlan, files: Sequence[SourceFile]) -> None:
    paths, table = [file.path for file in files], names.table(plan.spec.rejects)
    connection.execute(sql.SQL("DELETE FROM {} WHERE file = ANY ($1)").format(table), (paths,))
    connection.execute(sql.SQL(KEEP_REJECTS_SQL).format(table), (paths, plan.run_id))


def _keep_refused(connection: psycopg.Connection, plan: FilePlan, files: Sequence[SourceFile], staged: Staged) -> None:
    target = plan.spec.target.name
    connection.execute(NOT_REFUSED_SQL, (target, [file.path for file in files]))
    etags = {file.path: file.etag for file in plan.files}
    with connection.cursor() as cursor:
        cursor.executemany(
            REFUSED_SQL,
            [(target, path, etags[path], reason, plan.run_id) for path, reason in staged.refused.items()],
        )
