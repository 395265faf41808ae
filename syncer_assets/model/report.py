"""What a sync and a load report. The names are those of the metadata and of the log's fields (DESIGN 4)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

METRICS = (
    *("rows", "bytes", "files", "queries", "seconds", "rows_per_second", "rows_per_query", "longest_query_seconds"),
    *("chunk_efficiency_percent", "peak_memory_mb", "workers", "lag_seconds"),
    *("sparse_detections", "queries_saved", "seconds_saved", "files_consolidated"),
)
"""The names of `Manifest.metrics`, all of them floats and each about that one manifest: what was done since the
manifest before it. `peak_memory_mb` is the process's, `lag_seconds` is there for time cursors only. `queries_saved`,
`seconds_saved` and `files_consolidated` are estimates against a loop over fixed ranges of `chunk.rows` ids that writes
a file for each range with rows; they are 0 where the cursor is no integer. Manifests of earlier releases have none."""

Emit = Callable[..., None]
"""`emit(event, **fields)`: one log line. The engine knows no logger; a caller passes one in."""


def silent(event: str, **fields: object) -> None:
    """An `Emit` that says nothing."""


@dataclass(frozen=True)
class CheckResult:
    """Something that the engine asserted, or found worth a warning. `severity` counts only when it did not pass.

    `fix` is a statement or a line of YAML to paste, where there is one; `description` says what to do in words.
    """

    name: str
    passed: bool
    severity: Literal["ERROR", "WARN"] = "ERROR"
    description: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    fix: str = ""


@dataclass
class SyncReport:
    """One extraction of one partition, summed over the manifests that it committed."""

    table: str
    partition: str
    mode: str = "append"
    rows: int = 0
    bytes: int = 0
    files: int = 0
    queries: int = 0
    queries_saved: int = 0
    seconds_saved: float = 0.0
    files_consolidated: int = 0
    sparse_detections: int = 0
    strategy: str = ""
    strategy_reason: str = ""
    size_class: str = ""
    workers: int = 1
    chunk_rows: int = 0
    chunk_efficiency_percent: float = 100.0
    seconds: float = 0.0
    longest_query_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    manifests: int = 0
    last_seq: int = 0
    low: str | None = None
    safe: str | None = None
    ceiling: str | None = None
    lag_seconds: float | None = None
    proof: str = ""
    nothing_new: bool = False
    closed: bool = False
    uri: str = ""
    columns: tuple = ()
    partition_row_count: int | None = None
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds else 0.0

    @property
    def rows_per_query(self) -> float:
        return round(self.rows / self.queries, 1) if self.queries else 0.0


@dataclass
class LoadReport:
    """One load of the pending manifests of one partition into one target table.

    `facts` are what only this kind of warehouse tells: its size, its queue, what it scanned.
    """

    target: str
    partition: str
    manifests: int = 0
    rows: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_stale: int = 0
    rows_deduplicated: int = 0
    rows_deleted: int = 0
    bytes: int = 0
    files: int = 0
    copies: int = 0
    seconds: float = 0.0
    wal_bytes: int | None = None
    peak_memory_mb: float = 0.0
    seq: int = 0
    target_rows_estimate: int | None = None
    nothing_new: bool = False
    how: str = ""
    refresh_reason: str = ""
    columns: tuple = ()
    facts: dict[str, float | int | str] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds else 0.0
