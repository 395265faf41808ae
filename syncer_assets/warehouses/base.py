"""What the engine asks of a warehouse. One module a warehouse, same shape (DESIGN 3 and 6)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from ..model.columns import Column
from ..model.manifest import DataFile, Manifest
from ..model.marks import Scalar
from ..model.report import CheckResult, Emit, LoadReport
from ..model.table import IndexSpec, Load, RefreshSettings, Target
from ..model.upkeep import BloatLimits, BloatReport, MaintenanceReport, MaintenanceRequest, Upkeep

CAPTURED_AT = "_syncer_captured_at"
DELETED_AT = "_syncer_deleted_at"


@dataclass(frozen=True)
class Watermark:
    """How far a target has loaded a partition. Marks as the JSON text of `marks.encode`; seq 0 means nothing yet."""

    partition: str
    seq: int = 0
    low: str | None = None
    safe: str | None = None
    high: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class LedgerRow:
    """One manifest that was loaded, as the ledger has it.

    `seconds`, `copies` and `wal_bytes` are those of a whole load, told with its last manifest; the manifests of one
    load have the same `loaded_at`. None: not told here, or by the release that loaded it.
    """

    partition: str
    seq: int
    superseded_by: int | None
    manifest_sha256: str
    rows_in: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    rows_stale: int
    rows_deduplicated: int
    rows_deleted: int
    run_id: str
    loaded_at: datetime
    seconds: float | None = None
    bytes: int | None = None
    files: int | None = None
    copies: int | None = None
    wal_bytes: int | None = None


@dataclass(frozen=True)
class LiveFile:
    """A file to stage, with the manifest that it belongs to."""

    seq: int
    captured_at: datetime
    file: DataFile


@dataclass(frozen=True)
class DeleteMissing:
    """After a `replace`: target rows of this key column range that the re-read did not bring are deleted.

    `column` None means the whole table. The range is `(after, upto]` within `[start, end)`; None is open. Rows that
    a later extraction than `captured_at` wrote stay.
    """

    captured_at: datetime
    column: str | None = None
    start: Scalar | None = None
    end: Scalar | None = None
    upto: Scalar | None = None
    max_shrink: float | None = None
    allow_empty: bool = False


@dataclass(frozen=True)
class LoadPlan:
    """One load: every pending manifest of one partition, which of their files are live, and what wins.

    `superseded[seq]` names the later manifest that brings the same rows again. `open_file` verifies size and hash
    (LakeCorrupt if they differ) before it gives batches.
    """

    target: Target
    partition: str
    load: Load
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    engine: str
    expected_seq: int
    manifests: tuple[Manifest, ...]
    files: tuple[LiveFile, ...]
    superseded: dict[int, int]
    open_file: Callable[[DataFile], AbstractContextManager[Iterator[pa.RecordBatch]]]
    delete_missing: DeleteMissing | None = None
    refresh: RefreshSettings = field(default_factory=RefreshSettings)
    schema_changes: str = "evolve"
    indexes: tuple[IndexSpec, ...] = ()
    run_id: str = ""
    emit: Emit = lambda event, **fields: None


@dataclass(frozen=True)
class TargetColumn:
    """A column of a warehouse table as its catalogue has it."""

    name: str
    type: str
    nullable: bool


class Warehouse(Protocol):
    """A warehouse. Driver errors come as DbError; identifiers are composed, values bound."""

    name: str
    engine: str

    def register(self, target: Target, lake_generation: str) -> None:
        """Make the ledger's tables and this target's row if they are missing.

        Raises IdentityChanged where the row belongs to another lake generation, or the table is another object
        (its OID changed) than the one that was loaded."""
        ...

    def adopt(self, target: Target, lake_generation: str) -> None:
        """A person says: this lake and this table belong together. Sets generation and OID anew, marks stay."""
        ...

    def forget(self, target: Target, partition: str | None = None) -> None:
        """A person asked for a load from the start: drops watermarks and ledger rows of the target or partition."""
        ...

    def watermark(self, target: Target, partition: str) -> Watermark: ...

    def watermarks(self, target: Target) -> list[Watermark]: ...

    def ledger(self, target: Target, partition: str | None = None) -> list[LedgerRow]: ...

    def load(self, plan: LoadPlan) -> LoadReport:
        """Stage, assert, and merge in ONE transaction with ledger and marks. See DESIGN 6 for the order."""
        ...

    def table_columns(self, target: Target) -> list[TargetColumn]:
        """The target's columns, ours (`_syncer_*`) left out; empty where the table does not exist."""
        ...

    def checksum(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
    ) -> dict[int, tuple[int, int]]:
        """Per key bucket: (rows, sum of row hashes), by the same contract as the source's."""
        ...

    def key_hashes(
        self, target: Target, columns: Sequence[Column], key: Sequence[str], buckets: int, only: Sequence[int]
    ) -> dict[tuple[str, ...], int]:
        """The row hash of each key (as canonical text) in the buckets `only`, tombstones left out."""
        ...

    def maintain(self, target: Target, upkeep: Upkeep, request: MaintenanceRequest, *, emit: Emit) -> MaintenanceReport:
        """Bring the table into the declared shape: indexes, storage, ANALYZE; in a repair VACUUM and REINDEX, too.

        Raises DbError where the server did not do what it was told, though it said so."""
        ...

    def bloat(self, target: Target, limits: BloatLimits) -> BloatReport:
        """How much a rebuild of the table's heap and of its indexes would give back. Changes nothing."""
        ...

    def doctor(self) -> list[CheckResult]:
        """Connection, privileges, version, settings: each finding with its fix."""
        ...

    def close(self) -> None: ...
