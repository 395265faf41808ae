"""The YAML of one table (DESIGN 8): what may be written, and the engine's form of it."""

from dataclasses import replace
from typing import Literal, TypeVar

import dagster as dg
import pydantic
from pydantic import Field

from ..model.partition import PartitionScheme
from ..model.table import (
    Deletes,
    Profile,
    RefreshSettings,
    Strategy,
    TableSpec,
    with_profile,
)
from .column_entries import ColumnsEntry
from .fields import (
    CronExpression,
    Duration,
    PositiveInt,
    Seconds,
    Share,
    Timezone,
    Workers,
    parse_duration,
)
from .reading_entries import ChunkEntry, FilesEntry, SizesEntry, SparseEntry
from .schedule_entries import ReconcileEntry, ScheduleEntry
from .upkeep_entries import BloatEntry, IndexEntry, RepairEntry, StorageEntry

Names = str | list[str]
T = TypeVar("T")


class PartitionsEntry(dg.Resolvable, dg.Model):
    """What a person re-runs: windows of ids, of time, or rows whose column starts alike."""

    by: Literal["id", "time", "prefix", "none"] = Field(description="What the table is cut by.")
    every: Literal["hour", "day", "week", "month"] = Field(
        default="month", description="by: time. How long a partition is."
    )
    start: str | None = Field(
        default=None, description='by: time. The start of the first partition, such as "2024-01-01".'
    )
    size: PositiveInt = Field(default=10_000_000, description="by: id. How many ids a partition spans.")
    column: str | None = Field(default=None, description="by: prefix. The column; the cursor unless it is given.")
    prefixes: list[str] = Field(default=[], description="by: prefix. The prefixes, if they are known beforehand.")
    length: PositiveInt | None = Field(default=None, description="by: prefix. Else how many characters make a prefix.")

    def to_scheme(self, cursor: tuple[str, ...]) -> PartitionScheme:
        """The engine's form."""
        column = self.column or (cursor[0] if cursor else None)
        return PartitionScheme(
            by=self.by,
            every=self.every,
            start=self.start,
            size=self.size,
            column=column if self.by == "prefix" else None,
            prefixes=tuple(self.prefixes),
            length=self.length,
        )


class TableEntry(dg.Resolvable, dg.Model):
    """One table."""

    table: str = Field(description="The table in the source, as schema.table.")
    name: str | None = Field(default=None, description="Its name in asset keys, instead of the table's own.")
    description: str | None = Field(default=None, description="What the table is, for the UI.")
    key: Names = Field(default=[], description="The key columns; the primary key unless they are given.")
    cursor: Names = Field(
        default=[], description="The column by which new rows are found, or several: [updated_at, id]."
    )
    where: str | None = Field(
        default=None,
        description="Only rows that meet this condition on its columns, in the source's SQL: status <> 'draft'.",
    )
    load: Literal["upsert", "append", "replace"] = Field(default="upsert", description="How rows enter the warehouse.")
    partitions: PartitionsEntry | None = Field(default=None, description="How the table is cut for re-runs.")
    late_commit_lag: Duration = Field(
        default="5m", description="How late a commit may come where writers cannot be listed."
    )
    settle_seconds: Seconds = Field(default=TableSpec.settle_seconds, description="How long a sync waits for writers.")
    pin_limit: Duration = Field(
        default="1h", description="How long an open transaction may hold `safe` back unnoticed."
    )
    commit_every: Duration = Field(default="5m", description="A long window is committed at least that often.")
    chunk: ChunkEntry = Field(default=ChunkEntry(), description="How much one query reads.")
    files: FilesEntry = Field(default=FilesEntry(), description="How large files get.")
    profile: Profile = Field(
        default="standard",
        description="small: one worker, 128 MB, chunks of 50,000 rows, files of 64 MB. Fields that are written win.",
    )
    strategy: Strategy = Field(
        default=TableSpec.strategy,
        description="keyset: pages behind the last row; range: ranges of ids; auto: what the table's indexes serve.",
    )
    sparse: SparseEntry = Field(default=SparseEntry(), description="When ids count as sparse.")
    sizes: SizesEntry = Field(default=SizesEntry(), description="From which size on a window is read how.")
    workers: Workers = Field(
        default=TableSpec.workers, description="Readers that share a large window of an integer cursor, 1 to 16."
    )
    memory_mb: PositiveInt = Field(default=TableSpec.memory_mb, description="The memory that a sync may use.")
    columns: ColumnsEntry = Field(default=ColumnsEntry(), description="Which columns leave the source, and how.")
    null_cursor: Literal["fail", "include"] = Field(
        default="fail", description="What to do with rows without a cursor."
    )
    cursor_zone: Timezone | None = Field(
        default=None, description='The zone of a timestamp cursor without one, such as "UTC".'
    )
    ignore_roles: list[str] = Field(default=[], description="Database roles that cannot write this table.")
    deletes: Deletes = Field(
        default="detect",
        description=(
            "What becomes of rows that are gone from the source. detect: `checksum` is red; ignore: it is not; "
            "soft, hard: reconcile marks them (_syncer_deleted_at), or deletes them."
        ),
    )
    schema_changes: Literal["evolve", "freeze"] = Field(
        default="evolve", description="Whether new columns are taken over."
    )
    allow_lossy: list[str] = Field(
        default=[],
        description="Columns that may lose values which the lake cannot hold (see `syncer plan`).",
    )
    refresh: Literal["auto", "diff", "swap"] = Field(
        default="auto",
        description="How a table that is read whole is loaded: changes in place, or a new table in its place.",
    )
    swap_above: Share = Field(
        default=RefreshSettings.swap_above, description="refresh: auto. The share of changed rows above which it swaps."
    )
    max_shrink: Share = Field(
        default=TableSpec.max_shrink, description="A full refresh that would lose a larger share of rows is refused."
    )
    allow_empty: bool = Field(default=False, description="Whether a full refresh may empty the table.")
    indexes: list[IndexEntry] = Field(default=[], description="Indexes of the warehouse's table.")
    storage: StorageEntry = Field(default=StorageEntry(), description="Storage parameters of the warehouse's table.")
    bloat: CronExpression | BloatEntry | None = Field(
        default=None, description="When the check `bloat` runs by itself: a cron expression, or {cron, warn, act, ..}."
    )
    repair: RepairEntry | None = Field(default=None, description="When bloated indexes are rebuilt, in what bounds.")
    freshness: Duration | None = Field(default=None, description="The check `freshness` fails beyond this lag.")
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="A cron expression, or {cron, timezone}."
    )
    checksum: CronExpression | ScheduleEntry | None = Field(
        default=None, description="When the check `checksum` runs by itself: a cron expression, or {cron, timezone}."
    )
    reconcile: CronExpression | ReconcileEntry | None = Field(
        default=None, description="When source and warehouse are compared, and repaired: {cron, timezone, repair}."
    )
    group: str | None = Field(default=None, description="The asset group in the UI.")
    owners: list[str] | None = Field(default=None, description='Owners, as e-mail addresses or "team:name".')

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: pydantic.BaseModel) -> "TableEntry":
        """As Dagster does it, but templates are looked for once an entry, not in each field: seconds for 500 tables."""
        raw = model.model_dump(by_alias=True, exclude_unset=True)
        return cls.model_validate(context.resolve_value(raw) if "{{" in repr(raw) else raw)

    def to_spec(self, source: str) -> TableSpec:
        """The engine's form."""
        cursor = names(self.cursor)
        default = with_profile(TableSpec(source=source, table=self.table), self.profile)
        written = self.model_fields_set
        return TableSpec(
            source=source,
            table=self.table,
            key=names(self.key),
            cursor=cursor,
            load=self.load,
            partitions=self.partitions.to_scheme(cursor) if self.partitions else PartitionScheme(),
            late_commit_lag=parse_duration(self.late_commit_lag),
            settle_seconds=self.settle_seconds,
            pin_limit=parse_duration(self.pin_limit),
            commit_every=parse_duration(self.commit_every),
            chunk=_over(default.chunk, self.chunk),
            files=_over(default.files, self.files),
            strategy=self.strategy,
            sparse=_over(default.sparse, self.sparse),
            sizes=_over(default.sizes, self.sizes),
            workers=self.workers if "workers" in written else default.workers,
            memory_mb=self.memory_mb if "memory_mb" in written else default.memory_mb,
            columns=self.columns.to_rules(),
            null_cursor=self.null_cursor,
            cursor_zone=self.cursor_zone,
            ignore_roles=tuple(self.ignore_roles),
            deletes=self.deletes,
            schema_changes=self.schema_changes,
            allow_lossy=tuple(self.allow_lossy),
            refresh=RefreshSettings(self.refresh, self.swap_above),
            max_shrink=self.max_shrink,
            allow_empty=self.allow_empty,
            indexes=tuple(index.to_spec() for index in self.indexes),
            where=self.where,
        )


def _over(default: T, entry: pydantic.BaseModel) -> T:
    """`default` with the fields that were written."""
    return replace(default, **{name: getattr(entry, name) for name in entry.model_fields_set})  # type: ignore[type-var]  # dataclasses


def names(value: Names) -> tuple[str, ...]:
    """`id` and `[id]` mean the same."""
    return (value,) if isinstance(value, str) else tuple(value)
