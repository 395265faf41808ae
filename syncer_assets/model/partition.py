"""Partitions: what a person re-runs (DESIGN 2 and 5). Tens to hundreds per table, never one per chunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal

from .errors import ConfigError
from .marks import CursorKind, Scalar

UNPARTITIONED = "all"
Every = Literal["hour", "day", "week", "month"]
ID_WIDTH = 12


@dataclass(frozen=True)
class Partition:
    """One partition: the cursor range `[start, end)` (None = open), or the rows whose `column` starts with `prefix`.

    With a `length`, the first `length` characters are `prefix`: of a shorter one that is the whole text.
    """

    key: str = UNPARTITIONED
    start: Scalar | None = None
    end: Scalar | None = None
    column: str | None = None
    prefix: str | None = None
    length: int | None = None


@dataclass(frozen=True)
class PartitionScheme:
    """How a table is cut. `by: id` by windows of `size` ids, `by: time` every hour, day, week or month from `start`,
    `by: prefix` by a list of `prefixes` of `column` or by its first `length` characters; `none` is one partition."""

    by: Literal["none", "id", "time", "prefix"] = "none"
    every: Every = "month"
    start: str | None = None
    size: int = 10_000_000
    column: str | None = None
    prefixes: tuple[str, ...] = ()
    length: int | None = None

    def fingerprint(self) -> str:
        """What must not change without `full` (the list of prefixes may grow)."""
        match self.by:
            case "id":
                return f"id:{self.size}"
            case "time":
                return f"time:{self.every}:{self.start}"
            case "prefix":
                return f"prefix:{self.column}:{self.length or 'list'}"
            case "none":
                return "none"

    def partition(self, key: str, kind: CursorKind | None = None) -> Partition:
        """The partition of a key; `kind` is the kind of the first cursor column. Raises ConfigError for a wrong key."""
        match self.by:
            case "id":
                return self._id_partition(key)
            case "time":
                return self._time_partition(key, kind or "timestamptz")
            case "prefix":
                if self.prefixes and key not in self.prefixes:
                    raise ConfigError(f"{key!r} is none of the listed prefixes", fix="add it to `partitions.prefixes`")
                if self.length is not None and not 0 < len(key) <= self.length:
                    raise ConfigError(
                        f"{key!r} is no prefix of {self.length} characters", fix="only a shorter text is its own prefix"
                    )
                return Partition(key=key, column=self.column, prefix=key, length=self.length)
            case "none":
                if key != UNPARTITIONED:
                    raise ConfigError(f"the table has no partitions, so {key!r} is none of them", fix="leave it out")
                return Partition()

    def keys(self, maximum: Scalar | None, now: datetime) -> list[str]:
        """Every key up to the cursor's maximum (ids) or up to now, the current one included (times)."""
        match self.by:
            case "id":
                last = maximum // self.size if isinstance(maximum, int) and maximum >= 0 else 0
                return [self._id_key(number) for number in range(last + 1)]
            case "time":
                return self._time_keys(now)
            case "prefix":
                return list(self.prefixes)
            case "none":
                return [UNPARTITIONED]

    def key_at(self, moment: datetime) -> str | None:
        """`by: time`: the key of the partition that holds a moment; None before the first one."""
        if moment < self._time_start():
            return None
        match self.every:
            case "hour":
                start = moment.replace(minute=0, second=0, microsecond=0)
            case "day":
                start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            case "week":
                start = moment - (moment - self._time_start()) % timedelta(days=7)
            case "month":
                start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return self._time_key(start)

    def first_key(self) -> str:
        """The key of the first partition, the one that is open to the left."""
        if self.by == "time":
            return self._time_key(self._time_start())
        return self._id_key(0) if self.by == "id" else UNPARTITIONED

    def _id_key(self, number: int) -> str:
        return f"{number * self.size:0{ID_WIDTH}d}-{(number + 1) * self.size - 1:0{ID_WIDTH}d}"

    def _id_partition(self, key: str) -> Partition:
        low, _, high = key.partition("-")
        if not (low.isdigit() and high.isdigit()) or self._id_key(int(low) // self.size) != key:
            raise ConfigError(
                f"{key!r} is no id partition of size {self.size}", fix=f"keys look like {self._id_key(0)}"
            )
        return Partition(key=key, start=int(low) if int(low) else None, end=int(high) + 1)

    def _time_start(self) -> datetime:
        if self.start is None:
            raise ConfigError("partitions by time need `start`", fix='write start: "2024-01-01"')
        try:
            start = datetime.fromisoformat(self.start)
        except ValueError:
            raise ConfigError(
                f"partitions start {self.start!r} is no ISO date", fix='write it as "2024-01-01"'
            ) from None
        start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
        aligned = start.replace(minute=0, second=0, microsecond=0)
        if self.every != "hour":
            aligned = aligned.replace(hour=0)
        if self.every == "month":
            aligned = aligned.replace(day=1)
        if aligned != start:
            raise ConfigError(
                f"partitions start {self.start!r} is not the start of a {self.every}",
                fix=f'use "{aligned.isoformat()}"',
            )
        return start

    def _time_format(self) -> str:
        return "%Y-%m-%d-%H:%M" if self.every == "hour" else "%Y-%m-%d"

    def _time_key(self, start: datetime) -> str:
        return start.strftime(self._time_format())

    def _time_keys(self, now: datetime) -> list[str]:
        keys, start = [], self._time_start()
        while start <= now:
            keys.append(self._time_key(start))
            start = _after(start, self.every)
        return keys or [self.first_key()]

    def _time_partition(self, key: str, kind: CursorKind) -> Partition:
        try:
            start = datetime.strptime(key, self._time_format()).replace(tzinfo=UTC)
        except ValueError:
            raise ConfigError(
                f"{key!r} is no {self.every} partition", fix=f"keys look like {self.first_key()}"
            ) from None
        first = self._time_start()
        if self._time_key(start) != key or start < first or not _begins(start, self.every, first):
            raise ConfigError(
                f"{key!r} does not begin a {self.every} of partitions that start {self.start}",
                fix=f"keys look like {self.first_key()}",
            )
        edge = None if start == first else _edge(start, kind)
        return Partition(key=key, start=edge, end=_edge(_after(start, self.every), kind))


def overlapping(prefixes: Sequence[str]) -> list[tuple[str, str]]:
    """Of the prefixes each that begins with another one (or is there twice), and that one."""
    found = sorted(prefixes)
    return [(longer, shorter) for shorter, longer in pairwise(found) if longer.startswith(shorter)]


def _after(start: datetime, every: Every) -> datetime:
    match every:
        case "hour":
            return start + timedelta(hours=1)
        case "day":
            return start + timedelta(days=1)
        case "week":
            return start + timedelta(days=7)
        case "month":
            return (start + timedelta(days=32)).replace(day=1)


def _begins(start: datetime, every: Every, first: datetime) -> bool:
    match every:
        case "hour":
            return start.minute == 0
        case "day":
            return True
        case "week":
            return (start - first).days % 7 == 0
        case "month":
            return start.day == 1


def _edge(moment: datetime, kind: CursorKind) -> date | datetime:
    """The edge as a value of the cursor: naive times and dates count in the cursor's own (declared) zone."""
    if kind == "date":
        return moment.date()
    return moment.replace(tzinfo=None) if kind == "timestamp" else moment
