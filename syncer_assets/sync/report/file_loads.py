"""What loading files brought and took, from the ledger: of each file its last load."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime

from ...model.errors import SyncError
from ...model.files import FileLoad, FileSpec
from ...warehouses.files import FileWarehouse
from .history import target_title

OpenFiles = Callable[[str], AbstractContextManager[FileWarehouse]]


@dataclass(frozen=True)
class FileFigures:
    """Files in sum, each as it was loaded last. The rate counts only files whose seconds are known."""

    files: int = 0
    bytes: int = 0
    lines: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0
    seconds: float | None = None
    lines_per_second: float | None = None


@dataclass(frozen=True)
class EntityReport:
    """The files of an entity. `before` are the baseline's figures, and `speed_ratio` is above 1 where now is faster."""

    entity: str
    target: str
    total: FileFigures
    partitions: Mapping[str, FileFigures]
    days: Mapping[str, FileFigures]
    loads: tuple[FileLoad, ...] = ()
    before: FileFigures | None = None
    error: str | None = None

    @property
    def speed_ratio(self) -> float | None:
        now, then = self.total.lines_per_second, self.before.lines_per_second if self.before else None
        return round(now / then, 2) if now and then else None

    def to_json(self) -> dict[str, object]:
        return {
            "entity": self.entity,
            "target": self.target,
            "total": asdict(self.total),
            "partitions": [{"partition": name, **asdict(found)} for name, found in self.partitions.items()],
            "days": [{"day": day, **asdict(found)} for day, found in self.days.items()],
            "files": [{**asdict(load), "at": load.at.isoformat()} for load in self.loads],
            "speed_ratio": self.speed_ratio,
            "error": self.error,
        }


@dataclass(frozen=True)
class FilesBefore:
    """An entity in a baseline: its figures, and when each of its files had been loaded."""

    figures: FileFigures
    loaded_at: Mapping[str, datetime]


def file_reports(
    specs: Iterable[FileSpec],
    open_files: OpenFiles,
    *,
    since: datetime | None = None,
    before: Mapping[tuple[str, str], FilesBefore] | None = None,
) -> list[EntityReport]:
    """The files of these entities that were loaded `since` a time, and not before a baseline."""
    return [_entity(spec, open_files, since, before or {}) for spec in specs]


def figures_of(loads: Sequence[FileLoad]) -> FileFigures:
    """The sum of loads of files."""
    timed = [load for load in loads if load.seconds is not None]
    seconds = sum(load.seconds or 0.0 for load in timed)
    return FileFigures(
        files=len(loads),
        bytes=sum(load.bytes for load in loads),
        lines=sum(load.lines for load in loads),
        rows_inserted=sum(load.rows_inserted for load in loads),
        rows_updated=sum(load.rows_updated for load in loads),
        rows_unchanged=sum(load.rows_unchanged for load in loads),
        rejected=sum(load.rejected for load in loads),
        duplicates=sum(load.duplicates for load in loads),
        seconds=round(seconds, 3) if timed else None,
        lines_per_second=round(sum(load.lines for load in timed) / seconds, 1) if seconds else None,
    )


def _entity(
    spec: FileSpec,
    open_files: OpenFiles,
    since: datetime | None,
    before: Mapping[tuple[str, str], FilesBefore],
) -> EntityReport:
    title, target, error = f"{spec.source}.{spec.entity}", target_title(spec.target), None
    known = before.get((title, target))
    loads: list[FileLoad] = []
    try:
        with open_files(spec.target.warehouse) as warehouse:
            loads = list(_wanted(warehouse.history(spec.target), since, known))
    except SyncError as found:
        error = str(found)
    return EntityReport(
        entity=title,
        target=target,
        total=figures_of(loads),
        partitions=_by(loads, lambda load: load.partition),
        days=_by(loads, lambda load: load.at.date().isoformat()),
        loads=tuple(loads),
        before=known.figures if known else None,
        error=error,
    )


def _wanted(loads: Iterable[FileLoad], since: datetime | None, known: FilesBefore | None) -> Iterator[FileLoad]:
    for load in loads:
        if (since is None or load.at >= since) and not (known and known.loaded_at.get(load.path) == load.at):
            yield load


def _by(loads: Sequence[FileLoad], name: Callable[[FileLoad], str]) -> dict[str, FileFigures]:
    groups: dict[str, list[FileLoad]] = {}
    for load in loads:
        groups.setdefault(name(load), []).append(load)
    return {each: figures_of(groups[each]) for each in sorted(groups)}
