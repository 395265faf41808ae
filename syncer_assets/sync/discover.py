"""Discovery: what to write in the YAML for a table of a live database, and what a person should look at.

Correctness comes first. A cursor finds what its column tells of: `updated_at` finds inserts and updates, an id finds
inserts only, and nothing finds a delete. So a small table without `updated_at` is read whole.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from ..model.errors import ConfigError, DbError
from ..model.marks import TIME_KINDS, CursorColumn, Scalar
from ..model.partition import Every, PartitionScheme
from ..model.risk import SMALL_ROWS, Risk, RiskName
from ..model.table import TableSpec
from ..sources.base import Read, Source, SourceColumn, TableFacts
from .rules import resolve

UPDATED = re.compile(
    r"(?:row|date|last|sys|dw)?(?:updated?|modified|modify|modification|changed?|upd|mod)(?:at|on|time|ts|date|timestamp|utc)*"
)
CREATED = re.compile(
    r"(?:row|date)?(?:created?|creation|inserted|insert|added|occurred|recorded|received|logged|event)"
    r"(?:at|on|time|ts|date|timestamp|utc)*"
)
"""Names of time columns, in lower case and without underscores (`last_update`, `updatedAt`, `modified_on`)."""

BIG_ROWS = 5_000_000
PARTITION_ROWS = 10_000_000
PARTITIONS_MOST = 300
SLACK = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=15)


@dataclass(frozen=True)
class Proposal:
    """The entry of one table. `notes` are facts, `warnings` are for a person to check before the first sync.

    `refused` says why the table cannot be synced as it is; the entry is then written as a comment.
    """

    spec: TableSpec
    rows: int
    notes: tuple[str, ...] = ()
    warnings: tuple[Risk, ...] = ()
    refused: str | None = None


def discover(source: Source, tables: Sequence[str], tell: Callable[[str], None] = lambda table: None) -> list[Proposal]:
    """A proposal for each of these tables; `tell` hears of each before it is looked at."""
    proposals = []
    for table in tables:
        tell(table)
        proposals.append(propose(source, table))
    return proposals


def propose(source: Source, table: str) -> Proposal:
    """The entry of one table. A table that cannot be read is refused with the reason, never left out."""
    spec = TableSpec(source=source.name, table=table, load="replace")
    try:
        facts = source.describe(table)
        if not facts.can_select:
            return Proposal(spec, -1, refused=f"the role may not read it: {source.advice.grant_select(table)}")
        if not facts.columns:
            return Proposal(spec, -1, refused="it has no columns")
        return _Finding(source, facts).proposal()
    except (ConfigError, DbError) as error:
        return Proposal(spec, -1, refused=error.message)


class _Finding:
    """What is found out about one table, step by step."""

    def __init__(self, source: Source, facts: TableFacts):
        self.source, self.facts = source, facts
        self.notes: list[str] = []
        self.warnings: list[Risk] = []
        self.rows = self._rows()
        self.key = facts.primary_key or (facts.unique_keys[0] if facts.unique_keys else ())

    def proposal(self) -> Proposal:
        if not self.facts.primary_key:
            self._note_key()
        column, finds_updates = self._cursor()
        spec = TableSpec(source=self.source.name, table=self.facts.table, key=self.key, load="replace")
        if column is not None:
            spec = self._with_cursor(spec, column, finds_updates)
        elif self.rows > SMALL_ROWS:
            self._warn(
                "no_cursor",
                f"no cursor was found, so all {self.rows:,} rows are read each time; an indexed updated_at would help",
            )
        self._note_types(spec)
        resolve(spec, self.facts)
        return Proposal(spec, self.rows, tuple(self.notes), tuple(self.warnings))

    def _cursor(self) -> tuple[SourceColumn | None, bool]:
        """The cursor column, and whether it finds updates too."""
        if self.key and (updated := self._best(UPDATED)):
            return updated, True
        if self.rows <= SMALL_ROWS:
            reason = "no updated_at" if self.key else "no key"
            self.notes.append(f"{reason}: small enough to be read whole, so that updates and deletes are seen")
            return None, False
        number = self.facts.column(self.key[0]) if len(self.key) == 1 else None
        if number is not None and number.cursor_kind == "integer":
            return number, False
        return self._best(CREATED), False

    def _with_cursor(self, spec: TableSpec, column: SourceColumn, finds_updates: bool) -> TableSpec:
        name = column.column.name
        spec = replace(spec, cursor=(name,), load="upsert" if self.key else "append")
        if not finds_updates:
            self._warn("inserts_only", f"{name} finds inserts only: updates and deletes are left to `syncer reconcile`")
        if not self._is_indexed(name) and self.rows <= SMALL_ROWS:
            self.notes.append("no index on the cursor: each sync sorts the table, which is small")
        elif not self._is_indexed(name):
            wanted = self.source.advice.create_index(self.facts.table, [name, *(k for k in self.key if k != name)])
            self._warn("cursor_without_index", f"no index on the cursor, each sync sorts the table: {wanted}")
        if column.cursor_kind == "timestamp":
            spec = replace(spec, cursor_zone="UTC")
            text = f"{name} has no time zone: if its values are not in UTC, name the zone they are in"
            self._warn("cursor_without_zone", text)
        if column.column.nullable:
            spec = self._with_null_cursor(spec, name)
        return self._with_facts_of_cursor(spec, column)

    def _with_null_cursor(self, spec: TableSpec, name: str) -> TableSpec:
        if spec.load == "append":
            self._warn("cursor_nullable", f"{name} may be NULL: a row without it stops the sync")
            return spec
        text = f"{name} may be NULL: rows without it are read each time; NOT NULL would spare that"
        self._warn("cursor_nullable", text)
        return replace(spec, null_cursor="include")

    def _with_facts_of_cursor(self, spec: TableSpec, column: SourceColumn) -> TableSpec:
        """What the server has to tell: protection against late commits, the range of values."""
        order = resolve(spec, self.facts).order
        protection = self.source.protection(spec, self.facts, order)
        if not protection.protected:
            text = f"late commits may be missed, `syncer reconcile` finds them: {protection.reason}"
            self._warn(protection.risk, text)
        cheap = self._is_indexed(order[0].name) or self.rows <= SMALL_ROWS
        highest = self.source.maximum(spec.table, order[0]) if cheap else None
        if isinstance(highest, datetime):
            self._look_ahead(spec.table, order[0].name, highest)
        if self.rows <= BIG_ROWS or highest is None:
            return spec
        scheme = partitions_for(order[0], self._lowest(spec, column, order), highest, self.rows)
        return replace(spec, partitions=scheme) if scheme else spec

    def _look_ahead(self, table: str, name: str, highest: datetime) -> None:
        """A time without a zone that lies a little ahead of UTC tells that UTC is not its zone."""
        ahead = (highest if highest.tzinfo else highest.replace(tzinfo=UTC)) - self.source.clock(table)
        if ahead > SLACK:
            text = f"{name} has values in the future, which are read again until they pass"
            self._warn("cursor_in_future", text)
        elif highest.tzinfo is None and ahead > CLOCKS_DIFFER:
            hours = ahead.total_seconds() / 3600
            text = f"{name} is {hours:.1f} h ahead of UTC, so UTC is not its zone: set `cursor_zone` to the right one"
            self._warn("cursor_in_future", text)

    def _lowest(self, spec: TableSpec, column: SourceColumn, order: tuple[CursorColumn, ...]) -> Scalar | None:
        if order[0].kind == "integer":
            return None
        read = Read(spec.table, (column,), order[:1], spec.cursor, limit=1)
        for batch in self.source.read(read):
            if batch.num_rows:
                return batch.column(0)[0].as_py()
        return None

    def _warn(self, name: RiskName, text: str) -> None:
        self.warnings.append(Risk(name, text))

    def _best(self, names: re.Pattern[str]) -> SourceColumn | None:
        """The time column of such a name: if there is a choice, an indexed one, with a zone, that is never NULL.

        Where updates are looked for, one that the server itself keeps up comes first, whatever its name.
        """
        found = [
            column
            for column in self.facts.columns
            if column.cursor_kind in ("timestamptz", "timestamp")
            and (names.fullmatch(column.column.name.lower().replace("_", "")) or (names is UPDATED and column.touched))
        ]
        return max(found, key=self._merit, default=None)

    def _merit(self, column: SourceColumn) -> tuple[bool, ...]:
        return (
            column.touched,
            self._is_indexed(column.column.name),
            column.cursor_kind == "timestamptz",
            not column.column.nullable,
        )

    def _is_indexed(self, name: str) -> bool:
        return any(columns[0] == name for columns in self.facts.indexes)

    def _note_key(self) -> None:
        if self.key:
            self.notes.append("no primary key: the key is that of a unique index")
        else:
            self._warn("no_key", "no primary key and no unique index: rows cannot be matched, only counted")

    def _note_types(self, spec: TableSpec) -> None:
        textual = [
            f"{column.column.name} ({column.column.source_type})" for column in self.facts.columns if column.as_text
        ]
        if textual:
            self.notes.append(f"as text in the lake, typed again in a PostgreSQL warehouse: {', '.join(textual)}")

    def _rows(self) -> int:
        """The catalogue's estimate, or the planner's where the table was never analysed."""
        if self.facts.rows_estimate >= 0 and self.facts.bytes_estimate:
            return self.facts.rows_estimate
        return self.source.explain(Read(self.facts.table, self.facts.columns[:1], ())).rows


def partitions_for(cursor: CursorColumn, lowest: Scalar | None, highest: Scalar, rows: int) -> PartitionScheme | None:
    """Tens to hundreds of partitions for a big table: the longest that hold PARTITION_ROWS or fewer, if they are not
    too many then. None where the cursor cannot be cut."""
    if cursor.kind == "integer" and isinstance(highest, int):
        size = PARTITION_ROWS
        while highest // size > PARTITIONS_MOST:
            size *= 10
        return PartitionScheme(by="id", size=size)
    if cursor.kind not in TIME_KINDS or not isinstance(lowest, date) or not isinstance(highest, date):
        return None
    days = max(1, (_day(highest) - _day(lowest)).days)
    every = _every(days, rows)
    return PartitionScheme(by="time", every=every, start=_start(_day(lowest), every))


def _every(days: int, rows: int) -> Every:
    chosen: Every = "month"
    lengths: tuple[tuple[Every, float], ...] = (("month", 30.4), ("week", 7), ("day", 1), ("hour", 1 / 24))
    for every, length in lengths:
        if days / length > PARTITIONS_MOST and every != "month":
            break
        chosen = every
        if rows * length / days <= PARTITION_ROWS:
            break
    return chosen


def _start(day: date, every: Every) -> str:
    if every == "month":
        return day.replace(day=1).isoformat()
    return (day - timedelta(days=day.weekday())).isoformat() if every == "week" else day.isoformat()


def _day(moment: date) -> date:
    if isinstance(moment, datetime):
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    return moment
