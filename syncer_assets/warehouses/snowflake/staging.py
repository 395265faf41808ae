"""Staging: the newest row of each key of every live file, in a transient table.

Tables are named by their target and their load's epoch, and go with it; those that a killed load left go with the next.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ...model.table import Target
from ..base import CAPTURED_AT, DeleteMissing, LiveFile, LoadPlan
from . import names
from .copy import copy, create, make_stage
from .ledger import Counts
from .schema import Shape, ShapedColumn
from .session import ANSWER_SECONDS, Session

FILES_SQL = """
(SELECT column1 AS file, column2 AS place, column3 AS source, column4::TIMESTAMP_TZ AS captured_at
 FROM VALUES {rows}) f
"""
ONE_FILE = "(?, ?, ?, ?)"

KEEP_SQL = """
INSERT INTO {new} ({columns}, {captured}, {source}) SELECT {values}, f.captured_at, f.source
FROM {raw} s JOIN {files} ON s.{file} = f.file {gone} WHERE NOT ({losers}) {newest}
"""
NEWEST_OF_KEY = "QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY f.place DESC, {row} DESC) = 1"

GONE_SQL = """
LEFT JOIN (SELECT {key}, MAX({captured}) AS {captured} FROM {table} GROUP BY {key}) g ON {same_key}
"""

LOST_SQL = """
SELECT f.source, COUNT(*) FROM {raw} s JOIN {files} ON s.{file} = f.file {gone} WHERE {losers} GROUP BY f.source
"""

KEPT_SQL = "SELECT {source}, COUNT(*) FROM {new} GROUP BY {source}"

LEFTOVERS_SQL = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '_SYNCER'"

Extraction = tuple[datetime, int]
"""What was read when, and the manifest that names it. A manifest that names a carried file again has two."""


@dataclass(frozen=True)
class Bound:
    """A piece of SQL and the values of its `?`."""

    sql: str
    values: list[object]


@dataclass(frozen=True)
class Tables:
    """The tables of one load: rows as they were copied, the newest of each key, keys that are gone."""

    raw: str
    new: str
    gone: str

    @classmethod
    def of(cls, target: Target, epoch: int) -> "Tables":
        kinds = ("RAW", "NEW", "GONE")
        return cls(*(f"{names.SCHEMA}.{names.quoted(f'{kind}_{_mark(target)}_{epoch}')}" for kind in kinds))


@dataclass(frozen=True)
class Staging:
    """What is staged: `copied` rows in `copies` COPYs, of which `kept` are in `tables.new`.

    `sources[n]` is the `seq` of the rows with `_SYNCER_SOURCE` n."""

    tables: Tables
    sources: tuple[int, ...]
    copied: int
    copies: int
    kept: int


def stage(
    session: Session,
    plan: LoadPlan,
    shape: Shape,
    counts: dict[int, Counts],
    epoch: int,
    options: Mapping[str, str],
) -> Staging:
    """COPY, leave out what was overtaken, keep the newest row of each key. Adds to `counts`.

    Raises AssertionFailed, LakeCorrupt, SchemaChanged, DbError."""
    tables = Tables.of(plan.target, epoch)
    lake = f"@{options['stage']}" if "stage" in options else None
    if lake is None and "storage_integration" in options:
        lake = make_stage(session, plan, options["storage_integration"])
    gone_copies = _stage_gone(session, plan, shape, tables, lake)
    order = sorted(plan.files, key=lambda live: (live.captured_at, live.seq))
    extractions = sorted({(live.captured_at, live.seq) for live in order})
    found, copies = copy(session, plan, tables.raw, shape.columns, shape.key, order, lake)
    own = [(names.CAPTURED, "TIMESTAMP_TZ"), (names.SOURCE, "NUMBER(38,0)")]
    create(session, tables.new, [*((column.name, column.type) for column in shape.columns), *own])
    for live in order:
        counts[live.seq].rows_in += live.file.rows
    kept = 0
    if order:
        kept = _keep(session, plan, shape, tables, _files(found, order, extractions), extractions, counts)
    rows = sum(live.file.rows for live in order)
    return Staging(tables, tuple(seq for _, seq in extractions), rows, copies + gone_copies, kept)


def _stage_gone(session: Session, plan: LoadPlan, shape: Shape, tables: Tables, lake: str | None) -> int:
    """The keys that are gone at the source; the number of COPYs."""
    if not plan.deletes:
        return 0
    keys = [column for column in shape.columns if column.name in shape.key]
    captured = ShapedColumn(names.CAPTURED, "TIMESTAMP_TZ", CAPTURED_AT)
    return copy(session, plan, tables.gone, [*keys, captured], shape.key, plan.deletes, lake)[1]


def drop(session: Session, target: Target, epoch: int) -> None:
    """The load's own tables, whether it was committed or not."""
    tables = Tables.of(target, epoch)
    for table in (tables.raw, tables.new, tables.gone):
        with suppress(Exception):  # the session may be gone; the next load drops what is left
            session.execute(f"DROP TABLE IF EXISTS {table}", seconds=ANSWER_SECONDS)


def drop_leftovers(session: Session, target: Target, epoch: int) -> None:
    """Tables of this target's earlier loads: they were overtaken when this one took its epoch."""
    pattern = re.compile(rf"(?:RAW|NEW|GONE)_{_mark(target)}_(\d+)")
    for (name,) in session.rows(LEFTOVERS_SQL):
        match = pattern.fullmatch(name)
        if match and int(match[1]) < epoch:
            session.execute(f"DROP TABLE IF EXISTS {names.SCHEMA}.{names.quoted(name)}")


def scope(rule: DeleteMissing, alias: str) -> tuple[str, list[object]]:
    """` AND ..` for the rule's range, and the values of its `?`."""
    if rule.column is None:
        return "", []
    column = names.column(names.fold(rule.column), alias)
    bounds = [
        (op, value) for op, value in ((">=", rule.start), ("<", rule.end), ("<=", rule.upto)) if value is not None
    ]
    return "".join(f" AND {column} {op} ?" for op, _ in bounds), [value for _, value in bounds]


def stamp(moment: datetime) -> str:
    """A time as it is bound: text, cast to TIMESTAMP_TZ in the statement."""
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")


def _files(found: dict[str, LiveFile], order: Sequence[LiveFile], extractions: Sequence[Extraction]) -> Bound:
    """The staged files as a table: name, place in the order of extractions, number of the extraction, its time."""
    places = {id(live): place for place, live in enumerate(order)}
    values: list[object] = []
    for name, live in found.items():
        values += [name, places[id(live)], extractions.index((live.captured_at, live.seq)), stamp(live.captured_at)]
    return Bound(FILES_SQL.format(rows=", ".join([ONE_FILE] * len(found))), values)


def _losers(plan: LoadPlan, gone: str | None) -> Bound:
    """Which staged rows `s` of files `f` lose before they are compared with the target: those that a re-read of their
    range would have brought again, and those whose key is known to be gone since."""
    captured = names.column(names.CAPTURED, "g")
    losers = Bound(f"{captured} IS NOT NULL AND f.captured_at <= {captured}" if gone else "FALSE", [])
    rule = plan.delete_missing
    if rule is None or all(live.captured_at >= rule.captured_at for live in plan.files):
        return losers
    where, values = scope(rule, "s")
    return Bound(
        f"{losers.sql} OR (f.captured_at < CAST(? AS TIMESTAMP_TZ){where})", [stamp(rule.captured_at), *values]
    )


def _keep(
    session: Session,
    plan: LoadPlan,
    shape: Shape,
    tables: Tables,
    files: Bound,
    extractions: Sequence[Extraction],
    counts: dict[int, Counts],
) -> int:
    losers = _losers(plan, tables.gone if plan.deletes else None)
    gone = GONE_SQL.format(
        key=names.columns(shape.key),
        captured=names.column(names.CAPTURED),
        table=tables.gone,
        same_key=names.equal(shape.key, "s", "g"),
    )
    parts = {"raw": tables.raw, "files": files.sql, "file": names.column(names.FILE), "losers": losers.sql}
    parts["gone"] = gone if plan.deletes else ""
    values = [*files.values, *losers.values]
    lost = {} if losers.sql == "FALSE" else _by_source(session, LOST_SQL.format(**parts), values)
    newest = NEWEST_OF_KEY.format(key=names.columns(shape.key, "s"), row=names.column(names.ROW, "s"))
    statement = KEEP_SQL.format(
        **parts,
        new=tables.new,
        columns=names.columns(shape.names),
        values=", ".join(_value(column) for column in shape.columns),
        captured=names.column(names.CAPTURED),
        source=names.column(names.SOURCE),
        newest=newest if shape.key else "",
    )
    kept = session.execute(statement, values)
    left = _by_source(session, KEPT_SQL.format(source=names.column(names.SOURCE), new=tables.new))
    for number, extraction in enumerate(extractions):
        rows = sum(live.file.rows for live in plan.files if (live.captured_at, live.seq) == extraction)
        count = counts[extraction[1]]
        count.stale += lost.get(number, 0)
        count.deduplicated += rows - lost.get(number, 0) - left.get(number, 0)
    return kept


def _value(column: ShapedColumn) -> str:
    name = names.column(column.name, "s")
    return f"PARSE_JSON({name})" if column.type == "VARIANT" else name


def _by_source(session: Session, statement: str, values: Sequence[object] = ()) -> dict[int, int]:
    return {int(source): int(rows) for source, rows in session.rows(statement, values)}


def _mark(target: Target) -> str:
    return hashlib.md5(target.name.encode()).hexdigest()[:16].upper()
