"""How a warehouse table is kept in shape: what the YAML declares, and what maintenance and the bloat check report."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from .table import IndexSpec

MaintenanceMode = Literal["analyze", "repair"]
BloatLevel = Literal["fine", "warn", "act", "error"]


@dataclass(frozen=True)
class BloatLimit:
    """A level is reached by a relation that wastes at least this share of itself and at least so many megabytes."""

    percent: float
    mb: float

    def reached(self, wasted_bytes: float, size_bytes: float) -> bool:
        return wasted_bytes >= self.mb * 2**20 and 100 * wasted_bytes >= self.percent * size_bytes and wasted_bytes > 0


@dataclass(frozen=True)
class BloatLimits:
    """`warn` is told, `act` asks for a repair, `error` turns the check red (RELIABILITY 3: what others use)."""

    warn: BloatLimit = BloatLimit(30, 100)
    act: BloatLimit = BloatLimit(50, 100)
    error: BloatLimit = BloatLimit(70, 1024)

    def level(self, wasted_bytes: float, size_bytes: float) -> BloatLevel:
        """The highest level that is reached."""
        if self.error.reached(wasted_bytes, size_bytes):
            return "error"
        if self.act.reached(wasted_bytes, size_bytes):
            return "act"
        return "warn" if self.warn.reached(wasted_bytes, size_bytes) else "fine"


@dataclass(frozen=True)
class RepairLimits:
    """What a rebuild of an index may cost. `free_space_mb` is the operator's word: SQL cannot read the disk."""

    free_space_mb: float | None = None
    lock_timeout_seconds: float = 5.0
    longest_transaction_seconds: float = 600.0
    max_replication_lag_mb: float = 1024.0


@dataclass(frozen=True)
class RepairWindow:
    """The hours of a day in which repairs are begun, on the clocks of a time zone. It may span midnight."""

    start: time
    end: time
    timezone: str = "UTC"

    def contains(self, moment: datetime) -> bool:
        """From the start on, and before the end."""
        now = moment.astimezone(ZoneInfo(self.timezone)).time()
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end

    def end_after(self, moment: datetime) -> datetime:
        """When the window that contains this moment, or the next one, ends; in UTC."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        end = datetime.combine(local.date(), self.end, local.tzinfo)
        if end <= local:
            end = datetime.combine(local.date() + timedelta(days=1), self.end, local.tzinfo)
        return end.astimezone(UTC)


@dataclass(frozen=True)
class Upkeep:
    """What is declared for one warehouse table. `storage` holds storage parameters as the server spells them."""

    indexes: tuple[IndexSpec, ...] = ()
    storage: tuple[tuple[str, str], ...] = ()
    bloat: BloatLimits = BloatLimits()
    repair: RepairLimits = RepairLimits()


@dataclass(frozen=True)
class MaintenanceRequest:
    """One run: `always_analyze` where a person asked; no index is begun to be rebuilt after `until`."""

    mode: MaintenanceMode = "analyze"
    always_analyze: bool = True
    until: datetime | None = None


@dataclass
class MaintenanceReport:
    """What one run did. `skipped` says what was left undone and why, `drift` what is not as the YAML declares it."""

    analyzed: bool = False
    vacuumed: bool = False
    indexes_created: list[str] = field(default_factory=list)
    indexes_dropped: list[str] = field(default_factory=list)
    indexes_rebuilt: list[str] = field(default_factory=list)
    leftovers_dropped: list[str] = field(default_factory=list)
    storage_set: list[str] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    bytes_before: int = 0
    bytes_after: int = 0
    facts: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def bytes_reclaimed(self) -> int:
        return self.bytes_before - self.bytes_after


@dataclass(frozen=True)
class RelationBloat:
    """How much of a heap or an index a rebuild would give back. `method` says how that is known."""

    name: str
    is_index: bool
    size_bytes: int
    wasted_bytes: float
    method: str

    @property
    def percent(self) -> float:
        return round(100 * self.wasted_bytes / self.size_bytes, 1) if self.size_bytes else 0.0


@dataclass(frozen=True)
class BloatReport:
    """The bloat of a table's heap and indexes. `not_judged` names relations and why nothing is known of them."""

    relations: tuple[RelationBloat, ...] = ()
    not_judged: tuple[str, ...] = ()
    live_tuples: int = 0
    dead_tuples: int = 0

    @property
    def size_bytes(self) -> int:
        return sum(relation.size_bytes for relation in self.relations)

    @property
    def wasted_bytes(self) -> int:
        return round(sum(relation.wasted_bytes for relation in self.relations))

    @property
    def percent(self) -> float:
        return round(100 * self.wasted_bytes / self.size_bytes, 1) if self.size_bytes else 0.0

    @property
    def indexes(self) -> tuple[RelationBloat, ...]:
        return tuple(relation for relation in self.relations if relation.is_index)

    @property
    def worst_index(self) -> RelationBloat | None:
        """The index that wastes the most bytes."""
        return max(self.indexes, key=lambda index: index.wasted_bytes, default=None)
