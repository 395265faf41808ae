"""The YAML of one table (DESIGN 8): what may be written, and the engine's form of it."""

from dataclasses import replace
from typing import Literal, TypeVar

import dagster as dg
import pydantic
from pydantic import Field

from ..assets.table import Cron, Reconcile
from ..model.partition import PartitionScheme
from ..model.table import (
    ChunkSettings,
    ColumnRules,
    Deletes,
    FileSettings,
    MaskRule,
    Profile,
    RefreshSettings,
    SizeSettings,
    SparseSettings,
    Strategy,
    TableSpec,
    with_profile,
)
from .fields import (
    CronExpression,
    Duration,
    EnvironmentName,
    PositiveFloat,
    PositiveInt,
    Seconds,
    Share,
    Timezone,
    Workers,
    parse_duration,
)
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


class ChunkEntry(dg.Resolvable, dg.Model):
    """How much one query of the loop reads."""

    rows: PositiveInt = Field(default=ChunkSettings.rows, description="The most rows that a query asks for.")
    target_seconds: PositiveFloat = Field(
        default=ChunkSettings.target_seconds, description="Chunks shrink until a query takes no longer."
    )


class FilesEntry(dg.Resolvable, dg.Model):
    """How large Parquet files get."""

    target_mb: PositiveFloat = Field(
        default=FileSettings.target_mb, description="Compressed size at which a file is closed."
    )
    min_rows: PositiveInt | None = Field(
        default=None, description="Rows below which a file is not closed, and nothing is committed on the way."
    )
    max_rows: PositiveInt | None = Field(default=None, description="Rows at which a file is closed.")


class SparseEntry(dg.Resolvable, dg.Model):
    """When ranges of ids count as sparse, and how far the `range` strategy scales them then."""

    enabled: bool = Field(default=SparseSettings.enabled, description="Whether sparse ranges are looked for.")
    efficiency_threshold: Share = Field(
        default=SparseSettings.efficiency_threshold, description="Rows an id below which a range is sparse."
    )
    min_chunk_size_check: PositiveInt = Field(
        default=SparseSettings.min_chunk_size_check, description="Only larger ranges are judged."
    )
    consecutive_sparse_limit: PositiveInt = Field(
        default=SparseSettings.consecutive_sparse_limit,
        description="Sparse ranges in a row after which the loop asks where the next row lies.",
    )
    max_scale_factor: PositiveInt = Field(
        default=SparseSettings.max_scale_factor, description="How many times its size a range may grow to."
    )
    max_chunk_size: PositiveInt = Field(
        default=SparseSettings.max_chunk_size, description="Ids that a scaled range spans at most."
    )


class SizesEntry(dg.Resolvable, dg.Model):
    """From which estimated size on a window is read how."""

    streaming_mb: PositiveFloat = Field(
        default=SizeSettings.streaming_mb, description="From here on reading runs ahead of writing."
    )
    parallel_mb: PositiveFloat = Field(
        default=SizeSettings.parallel_mb, description="From here on `workers` readers share a window."
    )
    parallel_rows: PositiveInt = Field(
        default=SizeSettings.parallel_rows, description="The rows that this takes as well."
    )


class MaskEntry(dg.Resolvable, dg.Model):
    """What is written in place of a text."""

    text: str = Field(default=MaskRule.text, description="The text that is written.")
    keep_last: PositiveInt | None = Field(
        default=None, description="Characters of the value's end that follow it, unless they are the whole value."
    )

    def to_rule(self) -> MaskRule:
        return MaskRule(self.text, self.keep_last or 0)


class ColumnsEntry(dg.Resolvable, dg.Model):
    """Which columns leave the source, and how."""

    include: list[str] = Field(default=[], description="Only these columns; all if it is empty.")
    exclude: list[str] = Field(default=[], description="Not these columns.")
    hash: list[str] = Field(
        default=[], description="Columns replaced by a keyed HMAC-SHA256 before anything is written."
    )
    truncate: dict[str, PositiveInt] = Field(
        default={}, description="Text columns of which only so many first characters are written: {phone: 4}."
    )
    mask: dict[str, MaskEntry] = Field(
        default={}, description='Text columns replaced by a text: {name: {text: "***"}, iban: {keep_last: 4}}.'
    )
    hash_key_env: EnvironmentName = Field(
        default=ColumnRules.hash_key_env, description="The NAME of the environment variable that holds the HMAC key."
    )


class ScheduleEntry(dg.Resolvable, dg.Model):
    """When to sync without being asked."""

    cron: CronExpression = Field(description='A cron expression, such as "0 2 * * *".')
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")

    def to_cron(self) -> Cron:
        return Cron(self.cron, self.timezone)


class ReconcileEntry(dg.Resolvable, dg.Model):
    """When the table is compared with its source without being asked, and whether it is repaired then."""

    cron: CronExpression | None = Field(
        default=None, description='A cron expression, such as "0 3 * * 0"; without it by hand.'
    )
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")
    repair: bool = Field(default=False, description="Whether what differs is repaired, or only told.")

    def to_reconcile(self) -> Reconcile:
        return Reconcile(Cron(self.cron, self.timezone) if self.cron else None, self.repair)


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
            columns=ColumnRules(
                include=tuple(self.columns.include),
                exclude=tuple(self.columns.exclude),
                hash=tuple(self.columns.hash),
                hash_key_env=self.columns.hash_key_env,
                truncate=tuple(self.columns.truncate.items()),
                mask=tuple((name, rule.to_rule()) for name, rule in self.columns.mask.items()),
            ),
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


def reconcile_of(value: str | ReconcileEntry | None) -> Reconcile | None:
    """`"0 3 * * 0"` and `{cron: "0 3 * * 0"}` mean the same."""
    return Reconcile(Cron(value)) if isinstance(value, str) else value.to_reconcile() if value else None


def cron_of(value: str | ScheduleEntry | None) -> Cron | None:
    """`"0 2 * * *"` and `{cron: "0 2 * * *"}` mean the same."""
    if value is None:
        return None
    return Cron(value) if isinstance(value, str) else value.to_cron()
