"""Files of JSON documents: which are read into which tables, and what a load of them reports."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from .errors import SyncError
from .file_pattern import FilePattern
from .partition import UNPARTITIONED, PartitionScheme
from .report import CheckResult
from .table import Target

IdType = Literal["text", "bigint", "uuid"]
Newest = Literal["modified", "path"]


class FileRefused(SyncError):
    """A file that is refused whole: it is cut off, corrupt, too large when unpacked, or has too many bad lines."""

    kind = "file_refused"


@dataclass(frozen=True)
class SourceFile:
    """An object of the store as its listing has it. `path` counts from the source's folder."""

    path: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class DocumentId:
    """Where a document has its key; without a path it is the hash of the file's path and the line's number."""

    path: tuple[str, ...] = ()
    type: IdType = "text"


@dataclass(frozen=True)
class FileLimits:
    """What is refused: a longer document (as a line), a file that unpacks to more than `max_ratio` times its size, and
    a file of which a larger share of lines than `reject_limit` is no document."""

    max_document_mb: float = 64.0
    max_ratio: float = 250.0
    reject_limit: float = 0.001


@dataclass(frozen=True)
class CoreColumn:
    """A column of the core table: the JSON path that it comes from, and its SQL type."""

    name: str
    path: tuple[str, ...]
    type: str
    required: bool = False


@dataclass(frozen=True)
class CoreSpec:
    """The typed table that is made of the raw one: of `columns`, or of the SELECT `query` over the table `raw`."""

    target: Target
    columns: tuple[CoreColumn, ...] = ()
    query: str | None = None
    load: Literal["incremental", "full"] = "incremental"


@dataclass(frozen=True)
class FileSpec:
    """The files of one entity, and how they get into its raw table."""

    source: str
    entity: str
    pattern: FilePattern
    target: Target
    id: DocumentId = DocumentId()
    partitions: PartitionScheme = field(default_factory=PartitionScheme)
    workers: int = 2
    files_per_load: int = 100
    load_mb: float = 256.0
    newest: Newest = "modified"
    limits: FileLimits = FileLimits()
    core: CoreSpec | None = None

    @property
    def rejects(self) -> Target:
        """The table of the lines that are no documents."""
        return beside(self.target, "rejects")

    def partition(self, path: str) -> str | None:
        """The key of the partition that a matching path belongs to; None for a path in no partition."""
        match self.partitions.by:
            case "none":
                return UNPARTITIONED
            case "prefix":
                return self.pattern.prefix(path)
            case _:
                moment = self.pattern.date(path)
                return None if moment is None else self.partitions.key_at(moment)


def beside(target: Target, suffix: str) -> Target:
    """`stg.members_rejects` for `stg.members_raw`."""
    return Target(target.warehouse, target.schema, f"{target.table.removesuffix('_raw')}_{suffix}")


@dataclass(frozen=True)
class LoadedFile:
    """A file as the ledger has it. `reload`: a row of it may have to come back, since another file lost it."""

    path: str
    etag: str
    modified: datetime
    lines: int
    loaded: int
    rejected: int
    duplicates: int
    inserted: int
    updated: int
    unchanged: int
    loaded_at: datetime
    reload: bool = False


@dataclass(frozen=True)
class FileLoad:
    """What the last load of a file took and brought: packed `bytes`, and of its load's `seconds` the share that its
    size is (None was not measured)."""

    path: str
    partition: str
    bytes: int
    lines: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rejected: int
    duplicates: int
    seconds: float | None
    at: datetime


@dataclass(frozen=True)
class RefusedFile:
    """A file that was refused whole, until it changes."""

    path: str
    etag: str
    reason: str


@dataclass(frozen=True)
class CoreMark:
    """How far a core table has taken over its raw one: every change up to `upto`, of those up to `raw_at`."""

    raw_at: datetime | None
    upto: datetime | None
    loaded_at: datetime


@dataclass
class FileCounts:
    """What became of one file's lines: `lines = loaded + rejected + duplicates`."""

    lines: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0

    @property
    def loaded(self) -> int:
        return self.inserted + self.updated + self.unchanged


@dataclass
class FileReport:
    """One load of one partition of an entity."""

    target: str
    partition: str = UNPARTITIONED
    files: int = 0
    files_refused: int = 0
    files_replaced: int = 0
    files_outside: int = 0
    lines: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_deleted: int = 0
    rejected: int = 0
    duplicates: int = 0
    bytes: int = 0
    loads: int = 0
    copies: int = 0
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    nothing_new: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.rows_inserted + self.rows_updated + self.rows_unchanged

    @property
    def rows_per_second(self) -> float:
        return round(self.lines / self.seconds, 1) if self.seconds else 0.0

    def add(self, counts: FileCounts) -> None:
        """A file was loaded."""
        self.files += 1
        self.lines += counts.lines
        self.rows_inserted += counts.inserted
        self.rows_updated += counts.updated
        self.rows_unchanged += counts.unchanged
        self.rejected += counts.rejected
        self.duplicates += counts.duplicates


@dataclass
class CoreReport:
    """One load of a core table."""

    target: str
    load: str = "incremental"
    rows: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_deleted: int = 0
    rejected: int = 0
    rows_in_raw: int = 0
    rows_in_core: int = 0
    rows_rejected_in_all: int = 0
    reason: str = ""
    seconds: float = 0.0
    nothing_new: bool = False
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds else 0.0
