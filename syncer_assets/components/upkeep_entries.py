"""The YAML of a table's upkeep in the warehouse: indexes, storage, the check `bloat`, and repairs."""

from datetime import time
from itertools import pairwise
from typing import Annotated

import dagster as dg
from pydantic import Field

from ..assets.table import Cron
from ..model.table import IndexSpec
from ..model.upkeep import BloatLimit, BloatLimits, RepairLimits, RepairWindow
from .fields import (
    CronExpression,
    DayWindow,
    Duration,
    PositiveFloat,
    Seconds,
    Timezone,
    between,
    parse_duration,
)

Percent = Annotated[float, between(0, 100)]


class IndexEntry(dg.Resolvable, dg.Model):
    """An index that the warehouse's table should have: of columns, or of one expression."""

    columns: list[str] = Field(default=[], description="The indexed columns, in order.")
    expression: str | None = Field(
        default=None, description="Instead of columns: an expression in the warehouse's SQL, such as lower(email)."
    )
    where: str | None = Field(default=None, description="The predicate of a partial index, in the warehouse's SQL.")
    unique: bool = Field(default=False, description="Whether it is unique.")

    def to_spec(self) -> IndexSpec:
        """The engine's form."""
        return IndexSpec(tuple(self.columns), self.where, self.unique, self.expression)


class StorageEntry(dg.Resolvable, dg.Model):
    """Storage parameters of the warehouse's table, as PostgreSQL names them, and those of Redshift; what is not given
    is left alone."""

    sort_key: list[str] | None = Field(default=None, description="Redshift: the columns of a compound sort key.")
    distribution: str | None = Field(default=None, description="Redshift: auto, even, all, or key(column).")
    fillfactor: Annotated[int, between(10, 100)] | None = Field(
        default=None, description="Percent of a page that inserts fill; 70 to 85 where unindexed columns change often."
    )
    autovacuum_enabled: bool | None = Field(default=None, description="Whether autovacuum looks after the table.")
    autovacuum_vacuum_threshold: Annotated[int, between(0, 2**31 - 1)] | None = Field(
        default=None, description="Dead rows from which on it is vacuumed, plus the scale factor's share."
    )
    autovacuum_vacuum_scale_factor: Percent | None = Field(
        default=None, description="The share of dead rows, 0.02 for two percent."
    )
    autovacuum_vacuum_insert_threshold: Annotated[int, between(-1, 2**31 - 1)] | None = Field(
        default=None, description="Inserted rows from which on it is vacuumed; -1 for never."
    )
    autovacuum_vacuum_insert_scale_factor: Percent | None = Field(
        default=None, description="The share of inserted rows."
    )
    autovacuum_analyze_threshold: Annotated[int, between(0, 2**31 - 1)] | None = Field(
        default=None, description="Changed rows from which on it is analysed."
    )
    autovacuum_analyze_scale_factor: Percent | None = Field(default=None, description="The share of changed rows.")
    autovacuum_vacuum_cost_delay: Percent | None = Field(
        default=None, description="Milliseconds that autovacuum pauses when it has spent its cost limit."
    )
    autovacuum_vacuum_cost_limit: Annotated[int, between(1, 10_000)] | None = Field(
        default=None, description="What autovacuum may spend before it pauses."
    )
    parallel_workers: Annotated[int, between(0, 1024)] | None = Field(
        default=None, description="Workers that a scan of the table may use."
    )

    def to_storage(self) -> tuple[tuple[str, str], ...]:
        """Name and value as the server spells them."""
        given = ((name, ", ".join(value) if isinstance(value, list) else value) for name, value in self)
        return tuple((name, _spelt(value)) for name, value in given if value is not None)


class BloatLimitEntry(dg.Resolvable, dg.Model):
    """A level: a heap or an index that wastes at least so much of itself, and at least so many megabytes."""

    percent: Percent = Field(description="Percent of its size.")
    mb: Seconds = Field(description="Megabytes, so that small tables ask for nothing.")

    def to_limit(self) -> BloatLimit:
        return BloatLimit(self.percent, self.mb)


class BloatEntry(dg.Resolvable, dg.Model):
    """When the check `bloat` runs by itself, and from which levels on it tells, asks for a repair, and is red."""

    cron: CronExpression | None = Field(default=None, description='A cron expression, such as "0 4 * * *".')
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")
    warn: BloatLimitEntry = Field(default=BloatLimitEntry(percent=30, mb=100), description="The check warns.")
    act: BloatLimitEntry = Field(
        default=BloatLimitEntry(percent=50, mb=100), description="An index asks for a repair in the repair window."
    )
    error: BloatLimitEntry = Field(default=BloatLimitEntry(percent=70, mb=1024), description="The check is red.")

    def is_in_order(self) -> bool:
        """Whether no level is reached before a lower one."""
        levels = (self.warn, self.act, self.error)
        return all(a.percent <= b.percent and a.mb <= b.mb for a, b in pairwise(levels))

    def to_limits(self) -> BloatLimits:
        return BloatLimits(self.warn.to_limit(), self.act.to_limit(), self.error.to_limit())


class RepairEntry(dg.Resolvable, dg.Model):
    """When and within what bounds bloated indexes are rebuilt."""

    window: DayWindow | None = Field(
        default=None, description='The hours in which a repair that `bloat` asks for is run: "01:00-05:00".'
    )
    timezone: Timezone = Field(default="UTC", description="The time zone of the window.")
    free_space_mb: PositiveFloat | None = Field(
        default=None,
        description="Free space of the warehouse's disk: a larger index is left alone. SQL cannot read it.",
    )
    lock_timeout: Duration = Field(default="5s", description="How long a rebuild waits for transactions of others.")
    longest_transaction: Duration = Field(
        default="10m", description="No rebuild is begun while a transaction is open for longer."
    )
    max_replication_lag_mb: PositiveFloat = Field(
        default=RepairLimits.max_replication_lag_mb, description="Nor while a replica is further behind."
    )

    def to_limits(self) -> RepairLimits:
        return RepairLimits(
            self.free_space_mb,
            parse_duration(self.lock_timeout).total_seconds(),
            parse_duration(self.longest_transaction).total_seconds(),
            self.max_replication_lag_mb,
        )

    def to_window(self) -> RepairWindow | None:
        if self.window is None:
            return None
        start, end = (time.fromisoformat(hour) for hour in self.window.split("-"))
        return RepairWindow(start, end, self.timezone)


def bloat_of(value: str | BloatEntry | None) -> BloatEntry:
    """`"0 4 * * *"` and `{cron: "0 4 * * *"}` mean the same."""
    if value is None:
        return BloatEntry()
    return BloatEntry(cron=value) if isinstance(value, str) else value


def cron_of_bloat(entry: BloatEntry) -> Cron | None:
    """When the check runs by itself."""
    return Cron(entry.cron, entry.timezone) if entry.cron else None


def _spelt(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
