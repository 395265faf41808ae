"""What a deployment says of a table: the engine's form of one entry of the YAML (DESIGN 8)."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from .partition import PartitionScheme

Load = Literal["upsert", "append", "replace"]
Mode = Literal["auto", "continue", "full"]


@dataclass(frozen=True)
class ChunkSettings:
    """`rows` is the most that one query asks for; it shrinks until a query stays below `target_seconds`."""

    rows: int = 250_000
    target_seconds: float = 5.0


@dataclass(frozen=True)
class FileSettings:
    """A Parquet file is closed when it holds `target_mb` (compressed) or `max_rows`."""

    target_mb: float = 256.0
    max_rows: int | None = None


@dataclass(frozen=True)
class ColumnRules:
    """Which columns leave the source, and how: `hash` writes a keyed HMAC-SHA256 in place of the value."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    hash_key_env: str = "SYNCER_HASH_KEY"


@dataclass(frozen=True)
class IndexSpec:
    """An index that the warehouse table should have."""

    columns: tuple[str, ...]
    where: str | None = None
    unique: bool = False


@dataclass(frozen=True)
class TableSpec:
    """One table of one source. `key` and `cursor` may be left empty; `load` then has to fit (see `sync.rules`)."""

    source: str
    table: str
    key: tuple[str, ...] = ()
    cursor: tuple[str, ...] = ()
    load: Load = "upsert"
    partitions: PartitionScheme = field(default_factory=PartitionScheme)
    late_commit_lag: timedelta = timedelta(minutes=5)
    settle_seconds: float = 10.0
    pin_limit: timedelta = timedelta(hours=1)
    commit_every: timedelta = timedelta(minutes=5)
    chunk: ChunkSettings = field(default_factory=ChunkSettings)
    files: FileSettings = field(default_factory=FileSettings)
    memory_mb: int = 512
    columns: ColumnRules = field(default_factory=ColumnRules)
    null_cursor: Literal["fail", "include"] = "fail"
    cursor_zone: str | None = None
    ignore_roles: tuple[str, ...] = ()
    deletes: Literal["ignore", "detect"] = "detect"
    schema_changes: Literal["evolve", "freeze"] = "evolve"
    allow_lossy: tuple[str, ...] = ()
    max_shrink: float = 0.30
    allow_empty: bool = False
    indexes: tuple[IndexSpec, ...] = ()

    @property
    def name(self) -> str:
        """The table's own name, without its schema."""
        return self.table.rpartition(".")[2]


@dataclass(frozen=True)
class Target:
    """A table of a warehouse. `target_name` is its key in the ledger."""

    warehouse: str
    schema: str
    table: str

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"
