"""What the catalogue, the counters and the ledger say of many targets at once: three questions, however many."""

from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files

import psycopg

from ...model.table import Target
from ..base import PartitionLoads, TableActivity
from . import bloat, ledger

TABLES_SQL = files("syncer_assets.warehouses.postgres").joinpath("activity.sql").read_text(encoding="utf-8")

LOADS_SQL = """
SELECT target_name, partition_key, max(seq),
    (sum(rows_inserted - rows_deleted) + CASE WHEN sum(rows_unchanged) FILTER (WHERE loaded_at = first) > 0
        THEN sum(rows_unchanged + rows_updated + rows_deleted) FILTER (WHERE loaded_at = first) ELSE 0 END)::bigint,
    max(loaded_at), sum(rows_in) FILTER (WHERE loaded_at = last)::bigint, max(seconds) FILTER (WHERE loaded_at = last)
FROM (
    SELECT *, min(loaded_at) OVER each AS first, max(loaded_at) OVER each AS last
    FROM _syncer.loads WHERE target_name = ANY ($1) WINDOW each AS (PARTITION BY target_name, partition_key)
) AS l
GROUP BY target_name, partition_key ORDER BY target_name, partition_key
"""
"""`rows` as in `PartitionLoads`."""


def activity(connection: psycopg.Connection, targets: Sequence[Target]) -> list[TableActivity]:
    """Of each target, in their order. Bloat is the cheap estimate of `bloat`; where it knows nothing, None."""
    schemas, names = [target.schema for target in targets], [target.table for target in targets]
    found = connection.execute(TABLES_SQL.encode(), (schemas, names)).fetchall()
    sketches = {
        (sketch.schema, sketch.name): sketch for sketch in bloat.sketches(connection, [row[1] for row in found])
    }
    parts: dict[int, list[bloat.Sketch]] = defaultdict(list)
    sizes: dict[int, int] = defaultdict(int)
    for number, _, schema, name, size in found:
        sizes[number] += size or 0
        if sketch := sketches.get((schema, name)):
            parts[number].append(sketch)
    loads = _loads(connection, targets)
    return [
        TableActivity(
            rows=_sum([part.rows for part in parts[number]]),
            bytes=sizes.get(number),
            dead_rows=_sum([part.dead_rows for part in parts[number]]),
            wasted_bytes=_sum([part.wasted_bytes for part in parts[number]]),
            loads=tuple(loads[target.name]),
        )
        for number, target in enumerate(targets)
    ]


def _loads(connection: psycopg.Connection, targets: Sequence[Target]) -> dict[str, list[PartitionLoads]]:
    found: dict[str, list[PartitionLoads]] = defaultdict(list)
    if ledger.exists(connection):
        for name, *values in connection.execute(LOADS_SQL, ([target.name for target in targets],)):
            found[name].append(PartitionLoads(*values))
    return found


def _sum(values: Sequence[int | None]) -> int | None:
    """The whole, unless a part is unknown or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
