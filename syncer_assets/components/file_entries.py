"""The YAML of one entity of files: what may be written, and the engine's form of it."""

from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from ..model.file_pattern import FilePattern
from ..model.files import CoreColumn, CoreSpec, DocumentId, FileLimits, FileSpec, IdType, Newest
from ..model.partition import PartitionScheme
from ..model.table import Target
from .fields import PositiveFloat, PositiveInt, Share, Workers

JsonPath = str | list[str]


class IdEntry(dg.Resolvable, dg.Model):
    """Where a document has its key."""

    path: JsonPath = Field(description="The path in the document, as customer.id or [customer, id].")
    type: IdType = Field(default="text", description="The type of the raw table's id.")


class FilePartitionsEntry(dg.Resolvable, dg.Model):
    """What a person re-runs: the files of a day or month, or those of a folder."""

    by: Literal["time", "prefix"] = Field(
        description="time: the {date:..} of the pattern; prefix: its {prefix}.",
    )
    every: Literal["hour", "day", "week", "month"] = Field(
        default="day", description="by: time. How long a partition is."
    )
    start: str | None = Field(default=None, description='by: time. The start of the first, such as "2024-01-01".')

    def to_scheme(self) -> PartitionScheme:
        """The engine's form."""
        if self.by == "prefix":
            return PartitionScheme(by="prefix")
        return PartitionScheme(by="time", every=self.every, start=self.start)


class CoreColumnEntry(dg.Resolvable, dg.Model):
    """A column of the core table."""

    path: JsonPath | None = Field(default=None, description="The path in the document; the column's name without it.")
    type: str = Field(default="text", description="The SQL type, such as integer, numeric(12,2), timestamptz or jsonb.")
    required: bool = Field(default=False, description="Whether a document without it is rejected.")


class CoreEntry(dg.Resolvable, dg.Model):
    """The typed table that is made of the raw one."""

    columns: dict[str, CoreColumnEntry] = Field(default={}, description="The columns, by name; beside them is the id.")
    query: str | None = Field(
        default=None, description="Instead of columns: a .sql file beside this one, SELECT id, .. FROM raw."
    )
    table: str | None = Field(default=None, description="The table's name; the entity's without it.")
    load: Literal["incremental", "full"] = Field(
        default="incremental", description="incremental: documents that changed since the last load; full: all."
    )

    def to_spec(self, warehouse: str, schema: str, entity: str, folder: Path) -> CoreSpec:
        """The engine's form. Raises OSError for a query that cannot be read."""
        return CoreSpec(
            target=Target(warehouse, schema, self.table or entity),
            columns=tuple(
                CoreColumn(name, steps(column.path or name), column.type, column.required)
                for name, column in self.columns.items()
            ),
            query=(folder / self.query).read_text(encoding="utf-8") if self.query else None,
            load=self.load,
        )


class FileEntry(dg.Resolvable, dg.Model):
    """One entity: files that hold documents of one kind."""

    entity: str = Field(description="The entity, such as members: its raw table is members_raw.")
    pattern: str = Field(description="The files below the url, such as members/{date:%Y/%m/%d}/*.jsonl.gz.")
    description: str | None = Field(default=None, description="What the entity is, for the UI.")
    id: str | IdEntry | None = Field(
        default=None, description="The path of a document's key, or {path, type}; without it a hash of file and line."
    )
    partitions: FilePartitionsEntry | None = Field(default=None, description="How the files are cut for re-runs.")
    newest: Newest = Field(
        default="modified",
        description="Which file wins where two have an id: the one that was written last, or by path.",
    )
    workers: Workers = Field(default=FileSpec.workers, description="Loads at once, 1 to 16.")
    files_per_load: PositiveInt = Field(default=FileSpec.files_per_load, description="Files that share a transaction.")
    load_mb: PositiveFloat = Field(default=FileSpec.load_mb, description="Packed MB that share a transaction.")
    reject_limit: Share = Field(
        default=FileLimits.reject_limit, description="The share of bad lines above which a file is refused whole."
    )
    max_document_mb: PositiveFloat = Field(
        default=FileLimits.max_document_mb, description="A longer document is rejected."
    )
    max_ratio: PositiveFloat = Field(
        default=FileLimits.max_ratio, description="A file that unpacks to more times its size is refused."
    )
    core: CoreEntry | None = Field(default=None, description="The typed table that is made of the raw one.")
    group: str | None = Field(default=None, description="The asset group in the UI.")
    owners: list[str] | None = Field(default=None, description='Owners, as e-mail addresses or "team:name".')

    def to_spec(self, source: str, warehouse: str, schema: str, core_schema: str, folder: Path) -> FileSpec:
        """The engine's form; `folder` is where the YAML lies."""
        return FileSpec(
            source=source,
            entity=self.entity,
            pattern=FilePattern(self.pattern),
            target=Target(warehouse, schema, f"{self.entity}_raw"),
            id=self._id(),
            partitions=self.partitions.to_scheme() if self.partitions else PartitionScheme(),
            workers=self.workers,
            files_per_load=self.files_per_load,
            load_mb=self.load_mb,
            newest=self.newest,
            limits=FileLimits(self.max_document_mb, self.max_ratio, self.reject_limit),
            core=self.core.to_spec(warehouse, core_schema, self.entity, folder) if self.core else None,
        )

    def _id(self) -> DocumentId:
        if self.id is None:
            return DocumentId()
        if isinstance(self.id, str):
            return DocumentId(steps(self.id))
        return DocumentId(steps(self.id.path), self.id.type)


def steps(path: JsonPath) -> tuple[str, ...]:
    """`a.b` and `[a, b]` mean the same; the list is for names with a dot."""
    return tuple(path.split(".")) if isinstance(path, str) else tuple(path)
