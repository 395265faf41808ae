"""What the ledger has of a keyed update, for people: counts and times, no prefix."""

from psycopg.rows import class_row

from ...model.keyed_update import KeyedStatus
from ...model.table import Target
from .session import Sessions

STATUS_SQL = """
SELECT c.partition_key AS partition, c.began_at IS NOT NULL AND c.finished_at IS NULL AS is_open, c.fingerprint,
    b.batches, b.batches_done, b.rows_left, b.rows, b.rows_updated, b.rows_unmatched,
    c.window_since AS since, c.window_until AS until, c.mark, c.mark_until, c.began_at, c.finished_at
FROM _syncer.batch_cycles c CROSS JOIN LATERAL (
    SELECT count(*) AS batches, count(done_at) AS batches_done,
        coalesce(sum(rows_fetched), 0)::bigint AS rows, coalesce(sum(rows_updated), 0)::bigint AS rows_updated,
        coalesce(sum(rows_unmatched), 0)::bigint AS rows_unmatched,
        coalesce(sum((SELECT sum(size) FROM unnest(sizes) size)) FILTER (WHERE done_at IS NULL), 0)::bigint AS rows_left
    FROM _syncer.batches s
    WHERE s.target_name = c.target_name AND s.job = c.job AND s.partition_key = c.partition_key AND s.cycle = c.cycle
) b
WHERE c.target_name = $1 AND c.job = $2 ORDER BY 1
"""


def keyed_status(sessions: Sessions, target: Target, job: str) -> list[KeyedStatus]:
    """A row a partition that was ever begun; none where no keyed update ran in this warehouse."""
    with sessions.errors("load", target.name), sessions.open() as session:
        there = session.execute("SELECT to_regclass('_syncer.batch_cycles') IS NOT NULL").fetchone()
        if not (there and there[0]):
            return []
        with session.cursor(row_factory=class_row(KeyedStatus)) as cursor:
            return cursor.execute(STATUS_SQL, (target.name, job)).fetchall()
