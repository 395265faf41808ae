"""A full refresh: write what changed (`diff`), or put a new table in the old one's place (`swap`); RELIABILITY 4."""

from importlib.resources import files

import psycopg
from psycopg import sql

from ..base import CAPTURED_AT, LoadPlan
from . import catalog, names
from .ledger import Counts
from .schema import Shape

OBSTACLES_SQL = (files("syncer_assets.warehouses.postgres") / "obstacles.sql").read_text(encoding="utf-8")
OLDEST_SERVER = 150_000
"""`carry.sql` asks for columns of the catalogue that older servers lack."""
ROWS_LEAST = 100_000
"""A smaller table is written in place in about a second, however much of it changed."""


class SwapInstead(Exception):
    """What changed is known, and so much of it that a new table is cheaper: the transaction is given up for that."""

    def __init__(self, counts: dict[int, Counts], in_target: int, reason: str):
        super().__init__(reason)
        self.counts, self.in_target, self.reason = counts, in_target, reason


def decide(
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    counts: dict[int, Counts],
    *,
    present: int,
    staged: int,
) -> str:
    """Why the changes are written in place. Raises SwapInstead where a new table is to take the old one's place.

    `present` rows are in the table now. `auto` swaps where more than `swap_above` of the rows would be written."""
    rule, settings = plan.delete_missing, plan.refresh
    if rule is None or rule.column is not None or not present or shape.oid is None:
        return ""
    if settings.mode == "diff":
        return "refresh: diff"
    written = sum(count.inserted + count.updated + count.deleted for count in counts.values())
    share = written / max(present, staged)
    if not written:
        return "nothing changed"
    how_much = f"{share:.0%} of {max(present, staged):,} rows changed"
    if settings.mode == "auto" and max(present, staged) < ROWS_LEAST:
        return f"{how_much}: a small table"
    if settings.mode == "auto" and share <= settings.swap_above:
        return f"{how_much}, not more than swap_above {settings.swap_above:g}"
    if obstacle := _obstacle(connection, plan, shape, forced=settings.mode == "swap"):
        return f"{how_much}, but {obstacle}"
    raise SwapInstead(counts, staged, "refresh: swap" if settings.mode == "swap" else f"{how_much}, above swap_above")


def _obstacle(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, *, forced: bool) -> str | None:
    if connection.info.server_version < OLDEST_SERVER:
        return "the server is older than 15"
    if shape.changes or shape.key_index is not None:
        return "its columns or its key change"
    if _has_later_rows(connection, plan):
        return "it has rows of a later extraction"
    assert shape.oid is not None
    own = {column.name for column in catalog.columns(connection, shape.oid)} - set(shape.names) - names.RESERVED
    if own:
        return f"it has columns that do not come from the source ({', '.join(sorted(own))})"
    for reason, may_be_forced in connection.execute(OBSTACLES_SQL.encode(), (shape.oid,)):
        if not (forced and may_be_forced):
            return reason
    return None


def _has_later_rows(connection: psycopg.Connection, plan: LoadPlan) -> bool:
    """Rows that stay though this re-read did not bring them; those of the new table are all of this re-read."""
    assert plan.delete_missing is not None
    row = connection.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > {})").format(
            names.table(plan.target), names.column(CAPTURED_AT), sql.Literal(plan.delete_missing.captured_at)
        )
    ).fetchone()
    return bool(row and row[0])
