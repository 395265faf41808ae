"""Rows that are gone: those that a re-read did not bring, and keys that reconcile found deleted at the source."""

from ...model.errors import RefusedByGuard
from ..base import DeleteMissing, LoadPlan
from . import names
from .schema import Shape
from .session import Session
from .staging import Staging, scope, stamp

COUNT_SQL = """
SELECT COUNT(*), COUNT_IF(t.{captured} <= CAST(? AS TIMESTAMP_TZ) AND s.{first} IS NULL)
FROM {table} t LEFT JOIN {new} s ON {same_key} WHERE t.{deleted} IS NULL {scope}
"""

DELETE_SQL = """
DELETE FROM {table} t WHERE t.{deleted} IS NULL AND t.{captured} <= CAST(? AS TIMESTAMP_TZ) {scope}
AND NOT EXISTS (SELECT 1 FROM {new} s WHERE {same_key})
"""

REMOVE_SQL = """
DELETE FROM {table} t USING {gone} g WHERE {same_key} AND t.{captured} <= g.{captured}
"""

STAMP_SQL = """
UPDATE {table} t SET {deleted} = CAST(? AS TIMESTAMP_TZ) FROM {gone} g
WHERE {same_key} AND t.{captured} <= g.{captured} AND t.{deleted} IS NULL
"""

GONE_SQL = "(SELECT {key}, MAX({captured}) AS {captured} FROM {gone} GROUP BY {key})"


def count(session: Session, plan: LoadPlan, shape: Shape, staging: Staging, rule: DeleteMissing) -> tuple[int, int]:
    """(rows in the range now, rows of them that the re-read did not bring). Raises RefusedByGuard."""
    where, values = scope(rule, "t")
    statement = COUNT_SQL.format(
        **_parts(plan, shape, staging), first=names.column(shape.key[0]), scope=where, same_key=_same(shape, "s")
    )
    present, missing = session.row(statement, [stamp(rule.captured_at), *values])
    guard(plan, rule, present=present, missing=missing)
    return present, missing


def delete(session: Session, plan: LoadPlan, shape: Shape, staging: Staging, rule: DeleteMissing) -> int:
    """Delete what is missing; the number of rows."""
    where, values = scope(rule, "t")
    statement = DELETE_SQL.format(**_parts(plan, shape, staging), scope=where, same_key=_same(shape, "s"))
    return session.execute(statement, [stamp(rule.captured_at), *values])


def remove_gone(session: Session, plan: LoadPlan, shape: Shape, staging: Staging) -> int:
    """Remove, or stamp as deleted, the rows whose keys are gone, where they are not newer than what was judged."""
    if not plan.deletes:
        return 0
    parts = _parts(plan, shape, staging) | {"same_key": _same(shape, "g")}
    if plan.hard_deletes:
        return session.execute(REMOVE_SQL.format(**parts))
    return session.execute(STAMP_SQL.format(**parts), [stamp(max(live.captured_at for live in plan.deletes))])


def guard(plan: LoadPlan, rule: DeleteMissing, *, present: int, missing: int) -> None:
    """Raises RefusedByGuard where a re-read would empty the whole table, or take more than `max_shrink` of it."""
    if not missing:
        return
    staged = sum(live.file.rows for live in plan.files)
    if staged == 0 and rule.column is None:
        if rule.allow_empty:
            return
        raise RefusedByGuard(
            f"the source is empty, but the warehouse has {present} rows; nothing was changed",
            table=plan.target.name,
            partition=plan.partition,
            fix="set allow_empty: true if the table may become empty",
        )
    if rule.max_shrink is not None and missing > rule.max_shrink * present:
        raise RefusedByGuard(
            f"{missing} of {present} rows would be deleted, more than max_shrink {rule.max_shrink:g} allows;"
            " nothing was changed",
            table=plan.target.name,
            partition=plan.partition,
            fix=f"raise max_shrink above {missing / present:.2f} if that is right",
        )


def _same(shape: Shape, other: str) -> str:
    return names.equal(shape.key, other, "t") if shape.key else "FALSE"


def _parts(plan: LoadPlan, shape: Shape, staging: Staging) -> dict[str, str]:
    captured = names.column(names.CAPTURED)
    return {
        "table": names.table(plan.target),
        "new": staging.tables.new,
        "gone": GONE_SQL.format(key=names.columns(shape.key), captured=captured, gone=staging.tables.gone),
        "captured": captured,
        "deleted": names.column(names.DELETED),
    }
