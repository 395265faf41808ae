"""What the YAML asks of a table, held against the table as it is: one clear error each, before anything is read."""

from dataclasses import dataclass, replace
from difflib import get_close_matches

from ..model.columns import Column
from ..model.errors import ConfigError
from ..model.manifest import Manifest
from ..model.marks import TIME_KINDS, CursorColumn, CursorKind
from ..model.partition import overlapping
from ..model.table import TableSpec
from ..sources.base import SourceColumn, TableFacts
from .condition import condition
from .mask import transform


@dataclass(frozen=True)
class Resolved:
    """A table that can be synced: the columns of the lake, those to read (order columns too), and the read order.

    `where` is the condition on its rows in the source's SQL."""

    key: tuple[str, ...]
    order: tuple[CursorColumn, ...]
    columns: tuple[Column, ...]
    read: tuple[SourceColumn, ...]
    with_ties: bool
    where: str | None = None

    @property
    def cursor(self) -> CursorColumn | None:
        """The first cursor column, by which windows and partitions are cut."""
        return self.order[0] if self.order else None


def resolve(spec: TableSpec, facts: TableFacts) -> Resolved:
    """Raises ConfigError naming table, field and fix where `spec` does not fit the table."""
    if not facts.can_select and len(facts.unreadable) == len(facts.columns):
        raise ConfigError(
            "the source's role may not SELECT from it",
            table=spec.table,
            fix=f"GRANT SELECT ON {spec.table} TO the role",
        )
    key = spec.key or facts.primary_key
    for field, names in (
        ("key", key),
        ("cursor", spec.cursor),
        ("columns.include", spec.columns.include),
        ("columns.exclude", spec.columns.exclude),
        ("columns.hash", spec.columns.hash),
        ("columns.truncate", [name for name, _ in spec.columns.truncate]),
        ("columns.mask", [name for name, _ in spec.columns.mask]),
        ("allow_lossy", spec.allow_lossy),
        ("partitions.column", (spec.partitions.column,) if spec.partitions.column else ()),
    ):
        for name in names:
            _known(spec, facts, field, name)
    for name in spec.allow_lossy:
        _can_lose(spec, _found(facts, name), key)
    for name in spec.columns.shortened:
        _can_be_shortened(spec, _found(facts, name), key)
    _load_fits(spec, key)
    chosen = _chosen(spec, facts)
    order = tuple(_cursor_column(spec, facts, name) for name in spec.cursor) + tuple(
        CursorColumn(name, _order_kind(facts, name)) for name in key if spec.cursor and name not in spec.cursor
    )
    named = {column.column.name for column in chosen}
    extra = tuple(_found(facts, column.name) for column in order if column.name not in named)
    if hidden := [column.column.name for column in chosen + extra if column.column.name in facts.unreadable]:
        raise ConfigError(
            f"the source's role may not SELECT the column {hidden[0]!r}",
            table=spec.table,
            fix=f"GRANT SELECT ({', '.join(hidden)}) ON {spec.table} TO the role, or list them in `columns.exclude`",
        )
    if not spec.cursor:
        order = tuple(CursorColumn(name, _order_kind(facts, name)) for name in key)
    return Resolved(
        key=key,
        order=order,
        columns=tuple(_lake_column(spec, column) for column in chosen),
        read=chosen + extra,
        with_ties=bool(spec.cursor) and not key,
        where=condition(spec, facts),
    )


def check_same_rules(head: Manifest | None, columns: tuple[Column, ...]) -> None:
    """A rule of `columns` that changed leaves the rows that were read before as they were: refused without `full`.

    Raises ConfigError. Manifests of before keys had a fingerprint say only `hash`."""
    before = {column.name: column for column in head.columns} if head else {}
    for column in columns:
        earlier = before.get(column.name, column)
        known_key = "hash" not in (earlier.transform, column.transform)
        changed = earlier.transform != column.transform if known_key else earlier.hidden != column.hidden
        if head and changed and (earlier.hidden or column.hidden):
            raise ConfigError(
                f"the column {column.name!r} was written {_in_words(earlier)}, and is to be written"
                f" {_in_words(column)} from now on: rows of both kinds would lie side by side",
                table=head.table,
                partition=head.partition,
                fix="restore the rule or its key, or read the table anew with `syncer run --full`",
            )


def follows(head: Manifest | None, spec: TableSpec, resolved: Resolved) -> bool:
    """Whether the marks of `head` are places in the order that is read now; a cursor may get further columns."""
    if head is None or (head.safe is None and head.high is None):
        return True
    kinds = [column.kind for column in head.order[: len(head.cursor)]]
    now = resolved.order[: len(head.cursor)]
    return spec.cursor[: len(head.cursor)] == head.cursor and kinds == [column.kind for column in now]


def check_same_cursor(head: Manifest | None, spec: TableSpec, resolved: Resolved) -> None:
    """A mark of another cursor tells nothing of what this one has read: refused without `full`. Raises ConfigError."""
    if head is not None and not follows(head, spec, resolved):
        before = ", ".join(f"{column.name} ({column.kind})" for column in head.order[: len(head.cursor)])
        now = ", ".join(f"{column.name} ({column.kind})" for column in resolved.order[: len(spec.cursor)])
        raise ConfigError(
            f"it was read by the cursor {before}, and is to be read by {now} from now on",
            table=head.table,
            partition=head.partition,
            fix="restore `cursor`, or read the table anew with `syncer run --full`",
        )


def _in_words(column: Column) -> str:
    return f"by the rule `{column.transform}`" if column.hidden else "as it is"


def _known(spec: TableSpec, facts: TableFacts, field: str, name: str) -> None:
    if facts.column(name) is None:
        near = get_close_matches(name, [c.column.name for c in facts.columns], 3, 0.5)
        raise ConfigError(
            f"`{field}` names the column {name!r}, which the table does not have",
            table=spec.table,
            fix=f"did you mean {' or '.join(near)}?" if near else f"remove it from `{field}`",
        )


def _can_lose(spec: TableSpec, column: SourceColumn, key: tuple[str, ...]) -> None:
    if column.guard is None:
        name, kind = column.column.name, column.column.source_type
        raise ConfigError(
            f"`allow_lossy` names the column {name!r} ({kind}), of which no value can be lost",
            table=spec.table,
            fix="remove it from `allow_lossy`",
        )
    if column.column.name in (*key, *spec.cursor):
        raise ConfigError(
            f"`allow_lossy` names {column.column.name!r}, by which rows are told apart or found: two could become one",
            table=spec.table,
            fix="correct the values at the source, or choose another key or cursor",
        )


def _can_be_shortened(spec: TableSpec, column: SourceColumn, key: tuple[str, ...]) -> None:
    name, kind = column.column.name, column.column.source_type
    field = "truncate" if name in dict(spec.columns.truncate) else "mask"
    if name in (*key, *spec.cursor, spec.partitions.column):
        raise ConfigError(
            f"`columns.{field}` names {name!r}, by which rows are told apart or found: two could become one",
            table=spec.table,
            fix="use `columns.hash` for it, or choose another key or cursor",
        )
    if column.column.type != "string" or column.as_text:
        raise ConfigError(
            f"`columns.{field}` names the column {name!r} of type {kind}, and only text can be shortened",
            table=spec.table,
            fix="use `columns.hash` or `columns.exclude` for it",
        )


def _load_fits(spec: TableSpec, key: tuple[str, ...]) -> None:
    if spec.load == "upsert" and not key:
        raise ConfigError(
            "`load: upsert` needs a key, and the table has no primary key",
            table=spec.table,
            fix="name unique columns in `key`, or use `load: append` or `load: replace`",
        )
    if spec.load != "replace" and not spec.cursor:
        raise ConfigError(
            f"`load: {spec.load}` needs a cursor", table=spec.table, fix="name a `cursor`, or use `load: replace`"
        )
    if not spec.cursor and spec.partitions.by != "none":
        raise ConfigError("partitions need a cursor", table=spec.table, fix="name a `cursor`, or drop `partitions`")
    for longer, shorter in overlapping(spec.partitions.prefixes):
        raise ConfigError(
            f"the prefix {longer!r} of `partitions` lies within {shorter!r}: both would read its rows",
            table=spec.table,
            fix="list prefixes of which none begins with another",
        )
    hidden = set(spec.columns.exclude) | set(spec.columns.hash)
    if lost := [name for name in key if name in spec.columns.exclude]:
        raise ConfigError(
            f"the key column {lost[0]!r} is excluded", table=spec.table, fix="hash it instead, or choose another key"
        )
    if spec.cursor and spec.null_cursor == "include" and spec.load == "append":
        raise ConfigError(
            "`null_cursor: include` reads those rows again each time, which `load: append` would double",
            table=spec.table,
            fix="use `load: upsert`",
        )
    if spec.deletes in ("soft", "hard") and (not key or hidden.intersection(key)):
        raise ConfigError(
            f"`deletes: {spec.deletes}` needs a key that reaches the warehouse as it is: by it a row is found there",
            table=spec.table,
            fix="name a plain `key`, or use `deletes: detect`",
        )
    if spec.deletes == "soft" and spec.load == "replace":
        raise ConfigError(
            "`deletes: soft` does not fit `load: replace`, which deletes what a re-read does not bring",
            table=spec.table,
            fix="use `deletes: hard`, or `load: upsert` with a cursor",
        )
    if spec.partitions.by == "id" and spec.cursor and spec.cursor[0] in hidden:
        raise ConfigError(
            "the cursor of id partitions must reach the warehouse as it is", table=spec.table, fix="do not hide it"
        )


def _cursor_column(spec: TableSpec, facts: TableFacts, name: str) -> CursorColumn:
    found = _found(facts, name)
    if found.cursor_kind is None:
        raise ConfigError(
            f"the cursor {name!r} is of type {found.column.source_type}, whose order cannot be followed",
            table=spec.table,
            fix='use an integer, timestamp, date or numeric(p,s) column, or text with COLLATE "C"; or `load: replace`',
        )
    first = name == spec.cursor[0]
    if first and found.cursor_kind == "timestamp" and spec.cursor_zone is None:
        raise ConfigError(
            f"the cursor {name!r} is a timestamp without time zone, so its age cannot be told",
            table=spec.table,
            fix='write the zone that its values are in, e.g. cursor_zone: "UTC"',
        )
    wanted = {"id": ("integer",), "time": TIME_KINDS}.get(spec.partitions.by)
    if first and wanted and found.cursor_kind not in wanted:
        raise ConfigError(
            f"`partitions: {{by: {spec.partitions.by}}}` does not fit the cursor {name!r} ({found.column.source_type})",
            table=spec.table,
            fix="partition by id with an integer cursor, by time with a time cursor",
        )
    return CursorColumn(name, found.cursor_kind)


def _order_kind(facts: TableFacts, name: str) -> CursorKind:
    """A key column only pages: any type that the server can order will do."""
    return _found(facts, name).cursor_kind or "text"


def _chosen(spec: TableSpec, facts: TableFacts) -> tuple[SourceColumn, ...]:
    rules = spec.columns
    chosen = tuple(
        _read(spec, column)
        for column in facts.columns
        if (not rules.include or column.column.name in rules.include) and column.column.name not in rules.exclude
    )
    if missing := [name for name in spec.key or facts.primary_key if name not in {c.column.name for c in chosen}]:
        raise ConfigError(
            f"`columns.include` leaves out the key column {missing[0]!r}", table=spec.table, fix="include it"
        )
    if not chosen:
        raise ConfigError("no column is left to read", table=spec.table, fix="look at `columns`")
    return chosen


def _read(spec: TableSpec, column: SourceColumn) -> SourceColumn:
    if column.guard is None or column.column.name not in spec.allow_lossy:
        return column
    lossy = replace(column.column, transform="lossy")
    return replace(column, column=lossy, expression=column.guard.lossy, guard=None)


def _lake_column(spec: TableSpec, column: SourceColumn) -> Column:
    rule = transform(spec, column.column.name)
    if rule is None:
        return column.column
    return replace(column.column, type="string", source_type="text", portable=True, transform=rule)


def _found(facts: TableFacts, name: str) -> SourceColumn:
    column = facts.column(name)
    assert column is not None, name
    return column
