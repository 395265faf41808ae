"""What a run would do with an entity's files: which of them it would load, and why. Nothing is written or read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..model.files import FileSpec, LoadedFile, RefusedFile, SourceFile
from ..sources.json_lines import FileStore
from ..warehouses.files import FileWarehouse
from .files import batches, is_pending, is_refused

REASONS = ("new", "changed", "needed again", "refused before")


@dataclass(frozen=True)
class FilesPlan:
    """The files of a partition that would be loaded: packed `bytes`, `loads` of them, the first and the last path."""

    partition: str
    reason: str
    files: int
    bytes: int
    loads: int
    first: str
    last: str


@dataclass(frozen=True)
class EntityPlan:
    """An entity's plan. `files` are all that match its pattern; of them `files_outside` belong to no partition, and
    `files_waiting` to one that has not begun."""

    files: int = 0
    files_outside: int = 0
    files_waiting: int = 0
    partitions: tuple[FilesPlan, ...] = ()


def plan_files(
    store: FileStore,
    warehouse: FileWarehouse,
    spec: FileSpec,
    partition: str | None = None,
    *,
    has_begun: Callable[[str], bool] = lambda partition: True,
) -> EntityPlan:
    """The plan of an entity, or of one partition of it; files that were refused are tried again, as a run does.

    Raises ConfigError, ObjectStoreError, DbError."""
    placed = [(spec.partition(file.path), file) for file in store.list(spec.pattern)]
    loaded, refused = warehouse.loaded(spec.target), warehouse.refused(spec.target)
    pending: dict[str, list[SourceFile]] = {}
    waiting = 0
    for key, file in placed:
        if key is None or not is_pending(file, loaded, {}):
            continue
        if not has_begun(key):
            waiting += 1
        elif partition in (None, key):
            pending.setdefault(key, []).append(file)
    return EntityPlan(
        files=len(placed),
        files_outside=sum(key is None for key, _ in placed),
        files_waiting=waiting,
        partitions=tuple(_plan(spec, key, files, loaded, refused) for key, files in sorted(pending.items())),
    )


def _plan(
    spec: FileSpec,
    partition: str,
    files: Sequence[SourceFile],
    loaded: dict[str, LoadedFile],
    refused: dict[str, RefusedFile],
) -> FilesPlan:
    counted = Counter(_reason(file, loaded, refused) for file in files)
    return FilesPlan(
        partition=partition,
        reason=", ".join(f"{counted[reason]} {reason}" for reason in REASONS if counted[reason]),
        files=len(files),
        bytes=sum(file.size for file in files),
        loads=len(list(batches(spec, files))),
        first=files[0].path,
        last=files[-1].path,
    )


def _reason(file: SourceFile, loaded: dict[str, LoadedFile], refused: dict[str, RefusedFile]) -> str:
    if is_refused(file, refused):
        return "refused before"
    known = loaded.get(file.path)
    if known is None:
        return "new"
    return "needed again" if known.etag == file.etag else "changed"
