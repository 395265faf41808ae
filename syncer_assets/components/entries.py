"""The YAML of one table (DESIGN 8): what may be written, and the engine's form of it."""

from typing import Literal

import dagster as dg
import pydantic
from pydantic import Field

from ..assets.table import Cron
from ..model.partition import PartitionScheme
from ..model.table import ChunkSettings, ColumnRules, FileSettings, IndexSpec, TableSpec
from .fields import (
    CronExpression,
    Duration,
    EnvironmentName,
    PositiveFloat,
    PositiveInt,
    Seconds,
    Share,
    Timezone,
    parse_duration,
)

Names = str | list[str]


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
    max_rows: PositiveInt | None = Field(default=None, description="Rows at which a file is closed.")


class ColumnsEntry(dg.Resolvable, dg.Model):
    """Which columns leave the source, and how."""

    include: list[str] = Field(default=[], description="Only these columns; all if it is empty.")
    exclude: list[str] = Field(default=[], description="Not these columns.")
    hash: list[str] = Field(
        default=[], description="Columns replaced by a keyed HMAC-SHA256 before anything is written."
    )
    hash_key_env: EnvironmentName = Field(
        default=ColumnRules.hash_key_env, description="The NAME of the environment variable that holds the HMAC key."
    )


class IndexEntry(dg.Resolvable, dg.Model):
    """An index that the warehouse's table should have."""

    columns: list[str] = Field(description="The indexed columns, in order.")
    where: str | None = Field(default=None, description="The predicate of a partial index, in the warehouse's SQL.")
    unique: bool = Field(default=False, description="Whether it is unique.")


class ScheduleEntry(dg.Resolvable, dg.Model):
    """When to sync without being asked."""

    cron: CronExpression = Field(description='A cron expression, such as "0 2 * * *".')
    timezone: Timezone = Field(default="UTC", description="The time zone that it is counted in.")

    def to_cron(self) -> Cron:
        return Cron(self.cron, self.timezone)


class TableEntry(dg.Resolvable, dg.Model):
    """One table."""

    table: str = Field(description="The table in the source, as schema.table.")
    name: str | None = Field(default=None, description="Its name in asset keys, instead of the table's own.")
    description: str | None = Field(default=None, description="What the table is, for the UI.")
    key: Names = Field(default=[], description="The key columns; the primary key unless they are given.")
    cursor: Names = Field(
        default=[], description="The column by which new rows are found, or several: [updated_at, id]."
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
    memory_mb: PositiveInt = Field(default=TableSpec.memory_mb, description="The memory that a sync may use.")
    columns: ColumnsEntry = Field(default=ColumnsEntry(), description="Which columns leave the source, and how.")
    null_cursor: Literal["fail", "include"] = Field(
        default="fail", description="What to do with rows without a cursor."
    )
    cursor_zone: Timezone | None = Field(
        default=None, description='The zone of a timestamp cursor without one, such as "UTC".'
    )
    ignore_roles: list[str] = Field(default=[], description="Database roles that cannot write this table.")
    deletes: Literal["ignore", "detect"] = Field(
        default="detect", description="Whether `checksum` is red for rows that are gone from the source."
    )
    schema_changes: Literal["evolve", "freeze"] = Field(
        default="evolve", description="Whether new columns are taken over."
    )
    allow_lossy: list[str] = Field(
        default=[],
        description="Columns that may lose values which the lake cannot hold (see `syncer plan`).",
    )
    max_shrink: Share = Field(
        default=TableSpec.max_shrink, description="A full refresh that would lose a larger share of rows is refused."
    )
    allow_empty: bool = Field(default=False, description="Whether a full refresh may empty the table.")
    indexes: list[IndexEntry] = Field(default=[], description="Indexes of the warehouse's table.")
    freshness: Duration | None = Field(default=None, description="The check `freshness` fails beyond this lag.")
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="A cron expression, or {cron, timezone}."
    )
    checksum: CronExpression | ScheduleEntry | None = Field(
        default=None, description="When the check `checksum` runs by itself: a cron expression, or {cron, timezone}."
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
            chunk=ChunkSettings(self.chunk.rows, self.chunk.target_seconds),
            files=FileSettings(self.files.target_mb, self.files.max_rows),
            memory_mb=self.memory_mb,
            columns=ColumnRules(
                include=tuple(self.columns.include),
                exclude=tuple(self.columns.exclude),
                hash=tuple(self.columns.hash),
                hash_key_env=self.columns.hash_key_env,
            ),
            null_cursor=self.null_cursor,
            cursor_zone=self.cursor_zone,
            ignore_roles=tuple(self.ignore_roles),
            deletes=self.deletes,
            schema_changes=self.schema_changes,
            allow_lossy=tuple(self.allow_lossy),
            max_shrink=self.max_shrink,
            allow_empty=self.allow_empty,
            indexes=tuple(IndexSpec(tuple(index.columns), index.where, index.unique) for index in self.indexes),
        )


def names(value: Names) -> tuple[str, ...]:
    """`id` and `[id]` mean the same."""
    return (value,) if isinstance(value, str) else tuple(value)


def cron_of(value: str | ScheduleEntry | None) -> Cron | None:
    """`"0 2 * * *"` and `{cron: "0 2 * * *"}` mean the same."""
    if value is None:
        return None
    return Cron(value) if isinstance(value, str) else value.to_cron()
