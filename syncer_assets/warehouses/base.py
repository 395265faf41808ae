"""What the engine asks of a warehouse. One module a warehouse, same shape (DESIGN 3 and 6)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from ..model.columns import Column
from ..model.keys import Buckets
from ..model.manifest import DataFile, Manifest
from ..model.marks import Scalar
from ..model.report import CheckResult, Emit, LoadReport
from ..model.server import ServerSize
from ..model.sizing import Usage
from ..model.table import IndexSpec, Load, RefreshSettings, Target
from ..model.upkeep import BloatLimits, BloatReport, MaintenanceReport, MaintenanceRequest, Upkeep

CAPTURED_AT = "_syncer_captured_at"
DELETED_AT = "_syncer_deleted_at"


@dataclass(frozen=True)
class Watermark:
    """How far a target has loaded a partition. Marks as the JSON text of `marks.encode`; seq 0 means nothing yet.

    `sha256` is that of the manifest `seq`, as the ledger has it.
    """

    partition: str
    seq: int = 0
    low: str | None = None
    safe: str | None = None
    high: str | None = None
    updated_at: datetime | None = None
    sha256: str | None = None


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


class LakeObjects(Protocol):
    """The lake, to a warehouse that reads the files itself: objects are named `<url>/<path>`."""

    @property
    def url(self) -> str: ...

    def put_if_absent(self, path: str, body: bytes) -> bool: ...

    def size(self, path: str) -> int:
        """An object's bytes. Raises LakeCorrupt if it is not there."""
        ...

    def local(self, file: DataFile) -> AbstractContextManager[Path]:
        """The file on this machine, after its size and hash were found as the manifest has them (LakeCorrupt)."""
        ...

    def remove(self, paths: Sequence[str]) -> None: ...


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

    A file of `deletes` has the key columns and `_syncer_captured_at`, both of rows that are gone at the source. A load
    removes such a row from the target, or with `hard_deletes` False stamps its `_syncer_deleted_at` with the file's
    `captured_at`, only where the target's row is not newer than its `_syncer_captured_at` in the file. It does so
    before it merges the rows of `files`, of which those of such a key that are not newer are left out (stale).
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
    deletes: tuple[LiveFile, ...] = ()
    hard_deletes: bool = False
    refresh: RefreshSettings = field(default_factory=RefreshSettings)
    schema_changes: str = "evolve"
    indexes: tuple[IndexSpec, ...] = ()
    run_id: str = ""
    lake: LakeObjects | None = None
    emit: Emit = lambda event, **fields: None


@dataclass(frozen=True)
class PartitionLoads:
    """What the ledger has of a partition, in sum: the last `seq`, rows inserted less deleted, and the last load.

    Rows that its first load found unchanged were there before the ledger (a lost lake was read again): that load counts
    all that it left, not what it inserted. Rows that only moved here from another partition are never unchanged.
    `last_rows` and `last_seconds` are of the manifests with the latest `loaded_at`; None was not measured.
    """

    partition: str
    seq: int
    rows: int
    last_loaded_at: datetime
    last_rows: int = 0
    last_seconds: float | None = None


@dataclass(frozen=True)
class TableActivity:
    """A target as the warehouse's own counters and the ledger have it. Nothing is scanned for it.

    `rows` is an estimate, `bytes` counts indexes too, `wasted_bytes` is what a rebuild would give back. None is what
    this warehouse cannot tell; where `loads` is None, `ledger` is asked instead.
    """

    rows: int | None = None
    bytes: int | None = None
    dead_rows: int | None = None
    wasted_bytes: int | None = None
    loads: tuple[PartitionLoads, ...] | None = None


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

    def sized(self, bytes: int, *, run_id: str, emit: Emit) -> AbstractContextManager[Usage]:
        """The warehouse has the size that is declared for loading so many bytes, and what it had when the last load
        that holds one has left. Nothing happens where no sizing is declared."""
        ...

    def restore_size(self, run_id: str | None, *, emit: Emit) -> bool:
        """Count out what holds a size for a run that ended, and what is silent; True if nothing holds one any more."""
        ...

    def table_columns(self, target: Target) -> list[TargetColumn]:
        """The target's columns, ours (`_syncer_*`) left out; empty where the table does not exist."""
        ...

    def incomparable(self, columns: Sequence[Column]) -> tuple[str, ...]:
        """Names of the columns whose values have no text here that a source has as well: no checksum has them."""
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

    def key_rows(
        self,
        target: Target,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets,
        beside: Sequence[Column] = (),
    ) -> pa.Table:
        """As the source's (k0 .., hash, b0 ..), and `captured_at`, a timestamp[us, UTC]; tombstones left out."""
        ...

    def maintain(self, target: Target, upkeep: Upkeep, request: MaintenanceRequest, *, emit: Emit) -> MaintenanceReport:
        """Bring the table into the declared shape: indexes, storage, ANALYZE; in a repair VACUUM and REINDEX, too.

        Raises DbError where the server did not do what it was told, though it said so."""
        ...

    def bloat(self, target: Target, limits: BloatLimits) -> BloatReport:
        """How much a rebuild of the table's heap and of its indexes would give back. Changes nothing."""
        ...

    def activity(self, targets: Sequence[Target]) -> list[TableActivity]:
        """Of each target, in their order, by one question for all; an empty one for a table that is not there."""
        ...

    def doctor(self) -> list[CheckResult]:
        """Connection, privileges, version, settings: each finding with its fix."""
        ...

    def advise(self, targets: Sequence[Target], server: ServerSize) -> list[CheckResult]:
        """The server's size and settings against what loading these targets took so far; changes nothing.

        The finding `storage` has `database_bytes` in its metadata, `session` the settings of a load's session."""
        ...

    def close(self) -> None: ...
