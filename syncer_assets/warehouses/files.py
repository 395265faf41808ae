"""What the engine asks of a warehouse that takes files of JSON documents into raw tables, and makes core tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ..model.documents import Piece, Refusal
from ..model.files import (
    CoreMark,
    CoreReport,
    CoreSpec,
    FileCounts,
    FileLoad,
    FileSpec,
    LoadedFile,
    RefusedFile,
    SourceFile,
)
from ..model.report import CheckResult, Emit
from ..model.table import Target


@dataclass(frozen=True)
class FilePlan:
    """One load: some files, in one transaction. `seen` are the ETags that the ledger had when this was planned.

    `open` begins to read them anew: pieces of one file after the other, and a Refusal where one cannot be read."""

    spec: FileSpec
    files: tuple[SourceFile, ...]
    seen: Mapping[str, str]
    open: Callable[[], AbstractContextManager[Iterator[Piece | Refusal]]]
    run_id: str = ""
    emit: Emit = lambda event, **fields: None


@dataclass(frozen=True)
class FilesLoaded:
    """What a load did: counts by path, and the files that were refused, with the reason."""

    counts: dict[str, FileCounts]
    refused: dict[str, str]
    deleted: int = 0
    copies: int = 0


class FileWarehouse(Protocol):
    """A warehouse for files. Driver errors come as DbError; identifiers are composed, values bound."""

    name: str

    def prepare(self, spec: FileSpec) -> None:
        """Make ledger, raw table and rejects' table where they are missing.

        Raises IdentityChanged where the raw table is another one than was loaded."""
        ...

    def forget(self, spec: FileSpec) -> None:
        """A person asked for all files to be loaded anew into whatever table there is."""
        ...

    def loaded(self, target: Target) -> dict[str, LoadedFile]:
        """The files in the ledger, by path; empty where there is none."""
        ...

    def refused(self, target: Target) -> dict[str, RefusedFile]:
        """The files that were refused and have not been loaded since, by path."""
        ...

    def history(self, target: Target) -> list[FileLoad]:
        """The last load of each file in the ledger, oldest first."""
        ...

    def core_mark(self, target: Target, core: Target) -> CoreMark | None:
        """How far the core table made of a raw one is; None where it was never loaded."""
        ...

    def examine(self, spec: FileSpec) -> list[CheckResult]:
        """What stands in the way of an entity's tables, tried without leaving anything behind; each with its fix."""
        ...

    def load(self, plan: FilePlan) -> FilesLoaded:
        """Stage, assert, and merge in ONE transaction with the ledger.

        Raises LostRace (another load had one of the files meanwhile), AssertionFailed, DbError."""
        ...

    def load_core(self, spec: FileSpec, core_spec: CoreSpec, *, full: bool, run_id: str, emit: Emit) -> CoreReport:
        """Bring the core table up to the raw one, in one transaction."""
        ...

    def close(self) -> None: ...
