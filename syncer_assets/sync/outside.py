"""Rows that no window or partition holds: counted, and never passed over in silence (DESIGN 5, rule 7)."""

from dataclasses import replace
from datetime import UTC, date, datetime

from ..model.errors import ConfigError
from ..model.marks import TIME_KINDS, CursorKind, Mark, Scalar
from ..model.report import CheckResult
from ..model.table import TableSpec
from ..sources.base import Read, Source
from .rules import Resolved
from .window import Window

READ_LATER = "rows lie above now, or above the sequence: they come with their partition, and are read until final"
ENDLESS = "rows have a time that no ceiling reaches (infinity, or beyond the year 9998): correct them at the source"


def refuse_null_cursor(source: Source, spec: TableSpec, resolved: Resolved) -> None:
    """`null_cursor: fail`: rows without a cursor lie in no window, so they stop the sync before it begins."""
    if spec.null_cursor == "fail" and (rows := count_null_cursors(source, spec, resolved)):
        raise ConfigError(
            f"{rows} rows have no {spec.cursor[0]!r} (NULL), so no window would ever hold them",
            table=spec.table,
            fix="fill the column, write `null_cursor: include` to read them each time, or choose another cursor",
        )


def refuse_null_order(source: Source, spec: TableSpec, resolved: Resolved, window: Read) -> None:
    """A NULL in a later cursor column or in the key lies neither below nor above a mark: rows with one, of the window
    or of a value that it begins or ends with, stop the sync before they would be passed over."""
    nullable = {column.column.name for column in resolved.read if column.column.nullable}
    first, *later = (column.name for column in resolved.order)
    reads = []
    if window.upto:
        start = window.after[0] if window.after else window.start
        reads.append(replace(window, after=None, start=start, upto=window.upto[:1]))
    if spec.null_cursor == "include" and window.start is None:
        reads.append(replace(window, null_cursor=True, after=None, upto=None))
    for name in later:
        if name in nullable and (rows := sum(source.count(replace(read, null=name)) for read in reads)):
            raise ConfigError(
                f"{rows} rows have no {name!r} (NULL), by which rows of one {first!r} are ordered and told apart",
                table=spec.table,
                fix="fill the column, or choose a `cursor` and a `key` without NULL",
            )


def count_null_cursors(source: Source, spec: TableSpec, resolved: Resolved) -> int:
    """Rows whose cursor is NULL; none are asked for where the column cannot be NULL."""
    first = next(c for c in resolved.read if c.column.name == spec.cursor[0])
    if not first.column.nullable:
        return 0
    return source.count(_table_read(spec, resolved, null_cursor=True))


def rows_outside(source: Source, spec: TableSpec, resolved: Resolved, window: Window | None) -> CheckResult:
    """The check `rows_outside_partitions`: red for rows that will not arrive, a warning for those that come later."""
    assert resolved.cursor is not None
    endless = _count_endless(source, spec, resolved)
    counts = {
        "rows_null_cursor": count_null_cursors(source, spec, resolved),
        "rows_unlisted_prefix": _count_unlisted(source, spec, resolved),
        "rows_in_the_future": _count_future(source, spec, resolved) - endless,
        "rows_without_end": endless,
    }
    sentinel = window.sentinel if window is not None else None
    if sentinel is not None:
        counts["highest_id_above_the_sequence"] = int(str(sentinel[0]))
    lost = ""
    if counts["rows_unlisted_prefix"]:
        lost = "rows start with none of the listed prefixes: add them to `partitions.prefixes`"
        if spec.partitions.length:
            lost = "rows have no text in `partitions.column`, and no partition holds them: fill it at the source"
    elif endless:
        lost = ENDLESS
    elif sentinel is not None and spec.partitions.by == "id":
        lost = "rows have ids above the sequence, in no partition: correct the ids, or leave `partitions` out"
    elif sentinel is not None and spec.load == "append":
        lost = "rows have ids above the sequence, never final for `load: append`: correct them, or use `load: upsert`"
    if lost:
        return CheckResult("rows_outside_partitions", False, description=lost, metadata=dict(counts))
    later = bool(counts["rows_in_the_future"] or sentinel)
    return CheckResult("rows_outside_partitions", not later, "WARN", READ_LATER if later else "", dict(counts))


def _count_unlisted(source: Source, spec: TableSpec, resolved: Resolved) -> int:
    scheme = spec.partitions
    if scheme.by != "prefix" or not scheme.column:
        return 0
    if scheme.length:
        read = replace(_table_read(spec, resolved), prefix_column=scheme.column)
        return source.count(replace(read, null=scheme.column)) + source.count(replace(read, prefix="", prefix_length=1))
    return source.count_outside(spec.table, scheme.column, scheme.prefixes, where=resolved.where)


def _count_future(source: Source, spec: TableSpec, resolved: Resolved) -> int:
    """Rows above the source's time, endless ones included; of naive times and dates only those are told."""
    assert resolved.cursor is not None
    if resolved.cursor.kind != "timestamptz":
        return _count_endless(source, spec, resolved)
    return source.count(_table_read(spec, resolved, after=(source.clock(spec.table),)))


def _count_endless(source: Source, spec: TableSpec, resolved: Resolved) -> int:
    assert resolved.cursor is not None
    if resolved.cursor.kind not in TIME_KINDS:
        return 0
    return source.count(_table_read(spec, resolved, start=_last_day(resolved.cursor.kind)))


def _last_day(kind: CursorKind) -> Scalar:
    """The first time that is no ceiling: see `maximum` of the sources."""
    moment = datetime(9999, 12, 31, tzinfo=UTC)
    if kind == "date":
        return date(9999, 12, 31)
    return moment if kind == "timestamptz" else moment.replace(tzinfo=None)


def _table_read(
    spec: TableSpec,
    resolved: Resolved,
    *,
    after: Mark | None = None,
    start: Scalar | None = None,
    null_cursor: bool = False,
) -> Read:
    return Read(
        table=spec.table,
        columns=(),
        order=resolved.order,
        cursor=spec.cursor,
        after=after,
        start=start,
        null_cursor=null_cursor,
        where=resolved.where,
    )
