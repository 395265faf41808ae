"""What a deployment says of a table: the engine's form of one entry of the YAML (DESIGN 8)."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from .partition import PartitionScheme

Load = Literal["upsert", "append", "replace"]
Mode = Literal["auto", "continue", "full"]
Strategy = Literal["auto", "keyset", "range"]
Deletes = Literal["ignore", "detect", "soft", "hard"]
Profile = Literal["standard", "small"]

WORKERS_MOST = 16
WHERE = " where "
"""Between a scheme's partitions and its condition."""


@dataclass(frozen=True)
class ChunkSettings:
    """`rows` is the most that one query asks for; it shrinks until a query stays below `target_seconds`.

    In the `range` strategy it is also the number of ids of an unscaled range.
    """

    rows: int = 250_000
    target_seconds: float = 5.0


@dataclass(frozen=True)
class FileSettings:
    """A Parquet file is closed when it holds `target_mb` (compressed) or `max_rows`, but not below `min_rows`.

    A long window is not committed on the way with fewer than `min_rows` either.
    """

    target_mb: float = 256.0
    min_rows: int | None = None
    max_rows: int | None = None


@dataclass(frozen=True)
class SparseSettings:
    """When a range of ids counts as sparse, and how far it may be scaled (DESIGN 5).

    Ranges of more than `min_chunk_size_check` ids are judged; below `efficiency_threshold` rows an id they are sparse.
    After `consecutive_sparse_limit` of them in a row the loop asks where the next row lies.
    """

    enabled: bool = True
    efficiency_threshold: float = 0.10
    min_chunk_size_check: int = 1_000
    consecutive_sparse_limit: int = 2
    max_scale_factor: int = 10
    max_chunk_size: int = 500_000


@dataclass(frozen=True)
class SizeSettings:
    """Which windows are read how, by the server's estimates: below `streaming_mb` in one go (standard); from there on
    reading runs ahead of writing (streaming); from `parallel_mb` and `parallel_rows` on several `workers` (parallel).
    """

    streaming_mb: float = 8.0
    parallel_mb: float = 200.0
    parallel_rows: int = 1_000_000


@dataclass(frozen=True)
class RefreshSettings:
    """How a table that is read whole enters the warehouse: `diff` writes what changed, `swap` puts a new table in the
    place of the old one, `auto` swaps where more than the share `swap_above` of its rows changed."""

    mode: Literal["auto", "diff", "swap"] = "auto"
    swap_above: float = 0.5


@dataclass(frozen=True)
class MaskRule:
    """What is written in place of a text: `text`, and behind it the last `keep_last` characters.

    Of a text that is not longer than that nothing is kept.
    """

    text: str = "***"
    keep_last: int = 0


@dataclass(frozen=True)
class ColumnRules:
    """Which columns leave the source, and how: `hash` writes a keyed HMAC-SHA256 in place of the value, `truncate` its
    first characters, `mask` a text of its own."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    hash_key_env: str = "SYNCER_HASH_KEY"
    truncate: tuple[tuple[str, int], ...] = ()
    mask: tuple[tuple[str, MaskRule], ...] = ()

    @property
    def shortened(self) -> tuple[str, ...]:
        """The columns of `truncate` and `mask`: different values become one."""
        return tuple(name for name, _ in (*self.truncate, *self.mask))


@dataclass(frozen=True)
class IndexSpec:
    """An index that the warehouse table should have: of `columns`, or of one `expression` in the warehouse's SQL."""

    columns: tuple[str, ...] = ()
    where: str | None = None
    unique: bool = False
    expression: str | None = None

    def __str__(self) -> str:
        """As a person would write it, for messages."""
        what = f"({self.expression})" if self.expression else f"({', '.join(self.columns)})"
        return f"{'unique ' if self.unique else ''}{what}{f' where {self.where}' if self.where else ''}"


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
    strategy: Strategy = "auto"
    sparse: SparseSettings = field(default_factory=SparseSettings)
    sizes: SizeSettings = field(default_factory=SizeSettings)
    workers: int = 1
    memory_mb: int = 512
    columns: ColumnRules = field(default_factory=ColumnRules)
    null_cursor: Literal["fail", "include"] = "fail"
    cursor_zone: str | None = None
    ignore_roles: tuple[str, ...] = ()
    deletes: Deletes = "detect"
    schema_changes: Literal["evolve", "freeze"] = "evolve"
    allow_lossy: tuple[str, ...] = ()
    refresh: RefreshSettings = field(default_factory=RefreshSettings)
    max_shrink: float = 0.30
    allow_empty: bool = False
    indexes: tuple[IndexSpec, ...] = ()
    where: str | None = None

    @property
    def scheme(self) -> str:
        """What its marks and files stand for: how the table is cut, and which of its rows are read."""
        return self.partitions.fingerprint() + (f"{WHERE}{self.where}" if self.where else "")

    @property
    def name(self) -> str:
        """The table's own name, without its schema."""
        return self.table.rpartition(".")[2]


def own_name(table: str, source_type: str) -> str:
    """A table's name without its schema. In Snowflake's every dot parts; a name in another database may have dots."""
    return table.rpartition(".")[2] if source_type == "snowflake" else table.partition(".")[2] or table


def with_profile(spec: TableSpec, profile: Profile) -> TableSpec:
    """`spec` with a profile's settings. `small` is for a machine that has little memory and other work to do."""
    if profile == "standard":
        return spec
    return replace(
        spec,
        workers=1,
        memory_mb=128,
        chunk=replace(spec.chunk, rows=50_000),
        files=replace(spec.files, target_mb=64.0),
    )


@dataclass(frozen=True)
class Target:
    """A table of a warehouse. `target_name` is its key in the ledger."""

    warehouse: str
    schema: str
    table: str

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}"
