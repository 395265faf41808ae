"""Keyed updates: columns of a warehouse table that are kept like a source's, batch by batch of a key's prefixes."""

import calendar
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from .report import CheckResult
from .table import IndexSpec, Target

UNGROUPED = "all"


def is_one_select(query: str) -> bool:
    """Whether a query can be a derived table, by its looks. A semicolon is refused wherever it stands."""
    return query.lstrip().upper().startswith(("SELECT", "WITH")) and ";" not in query


@dataclass(frozen=True)
class RollingWindow:
    """Rows whose `column` lies in the last `years`, `months` and `days` before today, and up to `ahead_days` after it.

    Without `ahead_days` the window is open above. Days are counted in UTC.
    """

    column: str
    years: int = 0
    months: int = 0
    days: int = 0
    ahead_days: int | None = None

    def bounds(self, now: datetime) -> tuple[date, date | None]:
        """`[since, until)`; a day that a month lacks is its last."""
        today = now.astimezone(UTC).date()
        months = today.year * 12 + today.month - 1 - 12 * self.years - self.months
        year, month = divmod(months, 12)
        day = min(today.day, calendar.monthrange(year, month + 1)[1])
        since = date(year, month + 1, day) - timedelta(days=self.days)
        return since, None if self.ahead_days is None else today + timedelta(days=self.ahead_days + 1)


@dataclass(frozen=True)
class BatchSettings:
    """A batch has at most about `rows` rows: a prefix with more is split by one more character, up to `longest`."""

    rows: int = 50_000
    longest: int = 12


@dataclass(frozen=True)
class KeyedUpdateSpec:
    """One keyed update, as the YAML declares it. Columns map a target's column to the source's.

    `prefix_column` is the source's column whose prefixes make batches (the first key column, or one that groups it);
    either `prefixes` are given or the first `length` characters are used. `groups` is the number of partitions.
    """

    name: str
    source: str
    target: Target
    key: Mapping[str, str]
    prefix_column: str
    table: str | None = None
    query: str | None = None
    prefix_expression: str | None = None
    columns: Mapping[str, str] | None = None
    length: int = 3
    prefixes: tuple[str, ...] = ()
    groups: int = 1
    window: RollingWindow | None = None
    changed: str | None = None
    changed_lag: timedelta = timedelta(minutes=15)
    batch: BatchSettings = field(default_factory=BatchSettings)
    workers: int = 4
    connection_limit: int = 8
    indexes: tuple[IndexSpec, ...] = ()
    analyze_above: float = 0.05

    @property
    def is_grouped(self) -> bool:
        return self.groups > 1

    def group_keys(self) -> list[str]:
        """The partitions' keys. They say nothing about the prefixes, which may be parts of something personal."""
        return [f"group-{number:02d}" for number in range(self.groups)] if self.is_grouped else [UNGROUPED]

    def group_of(self, prefix: str) -> str:
        """The partition that a prefix belongs to, for ever."""
        number = int.from_bytes(hashlib.sha256(prefix.encode()).digest()[:8], "big") % self.groups
        return self.group_keys()[number]

    def fingerprint(self) -> str:
        """What a half-finished cycle, or a change cursor's mark, must not outlive."""
        meaning = (
            *(self.source, self.target.name, sorted(self.key.items()), self.prefix_column, self.prefix_expression),
            *(self.table, self.query, sorted((self.columns or {}).items()), self.length, self.prefixes, self.groups),
            *(self.window, self.changed, self.batch),
        )
        return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Prefix:
    """The rows whose prefix column's first `length` characters are `text`; `rows` is what was counted."""

    text: str
    length: int
    rows: int = 0


@dataclass(frozen=True)
class Batch:
    """Prefixes that are fetched and written together. `number` counts from 1 within its partition's cycle."""

    number: int
    prefixes: tuple[Prefix, ...]

    @property
    def rows(self) -> int:
        return sum(prefix.rows for prefix in self.prefixes)


@dataclass(frozen=True)
class Slice:
    """Which of the source's rows a cycle has: the window, and with a change cursor what changed after `changed_after`.

    Rows that entered the window at its upper end since `window_before` count as changed.
    """

    since: date | None = None
    until: date | None = None
    changed_after: datetime | None = None
    window_before: date | None = None


@dataclass(frozen=True)
class KeyedStatus:
    """What the ledger has of a partition: its last cycle, and how much of it is done. No prefix, and no key.

    `mark` and `mark_until` are the change cursor's and the window's of the last finished cycle.
    """

    partition: str
    is_open: bool
    fingerprint: str | None
    batches: int
    batches_done: int
    rows_left: int
    rows: int
    rows_updated: int
    rows_unmatched: int
    since: date | None
    until: date | None
    mark: datetime | None
    mark_until: date | None
    began_at: datetime | None
    finished_at: datetime | None


@dataclass
class BatchCounts:
    """What became of a batch's rows: fetched = updated + unchanged + unmatched. Rows of the target: `target_rows`."""

    fetched: int = 0
    updated: int = 0
    unchanged: int = 0
    unmatched: int = 0
    target_rows: int = 0

    def add(self, other: "BatchCounts") -> None:
        """Sum them up."""
        self.fetched += other.fetched
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.unmatched += other.unmatched
        self.target_rows += other.target_rows


@dataclass
class KeyedReport:
    """One run of one partition. `columns` are the target's, the key's first: name, type, and the source's column."""

    name: str
    partition: str
    counts: BatchCounts = field(default_factory=BatchCounts)
    batches: int = 0
    batches_done_before: int = 0
    batch_rows_most: int = 0
    rows_without_prefix: int = 0
    workers: int = 1
    bytes: int = 0
    retries: int = 0
    seconds: float = 0.0
    fetch_seconds: float = 0.0
    write_seconds: float = 0.0
    longest_batch_seconds: float = 0.0
    analyzed: bool = False
    indexes_created: int = 0
    key_indexed: bool = True
    since: str = ""
    until: str = ""
    changed_after: str = ""
    columns: list[tuple[str, str, str]] = field(default_factory=list)
    source_effort: dict[str, float | int | str] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return round(self.counts.fetched / self.seconds, 1) if self.seconds else 0.0
