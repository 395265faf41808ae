"""Files in `syncer watermarks`: what the ledger has of each partition, and how far the core table is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .screen import Column, Screen

if TYPE_CHECKING:
    from ..assets.file_table import FileTable
    from ..components.deployment import Deployment
    from ..model.files import CoreMark, LoadedFile

COLUMNS = (
    Column("files of"),
    Column("partition", breaks=True),
    Column("files", "right"),
    Column("lines", "right"),
    Column("last file", breaks=True),
    Column("written", optional=True),
    Column("loaded"),
)
CORE_COLUMNS = (Column("core table"), Column("has all up to"), Column("raw table changed"), Column("loaded"))


@dataclass(frozen=True)
class FileMark:
    """The files of a partition that are loaded: how many, and the last of them by path."""

    partition: str
    files: int
    lines: int
    last_file: str
    last_modified: datetime
    last_loaded_at: datetime


def show_file_marks(deployment: "Deployment", tables: "Sequence[FileTable]", screen: Screen) -> list[dict[str, object]]:
    """Each entity's marks; as JSON too, with `error` where the warehouse does not answer."""
    found: list[dict[str, object]] = []
    rows: list[list[object]] = []
    cores: list[list[object]] = []
    for table in tables:
        try:
            marks, core = _marks(deployment, table)
        except SyncError as error:
            screen.problem(str(error))
            found.append({"entity": table.title, "error": str(error)})
            continue
        rows += [[table.title, *vars(mark).values()] for mark in marks] or [[table.title, "never loaded", *[None] * 5]]
        if core is not None and table.spec.core is not None:
            cores.append([table.spec.core.target.name, core.upto, core.raw_at, core.loaded_at])
        partitions = [asdict(mark) for mark in marks]
        found.append({"entity": table.title, "partitions": partitions, "core": asdict(core) if core else None})
    if rows:
        screen.table(COLUMNS, rows)
    if cores:
        screen.table(CORE_COLUMNS, cores)
    return found


def _marks(deployment: "Deployment", table: "FileTable") -> "tuple[list[FileMark], CoreMark | None]":
    spec = table.spec
    with deployment.warehouse(spec.target.warehouse).open_files() as warehouse:
        loaded = warehouse.loaded(spec.target)
        core = warehouse.core_mark(spec.target, spec.core.target) if spec.core else None
    by_partition: dict[str, list[LoadedFile]] = {}
    for path, file in sorted(loaded.items()):
        by_partition.setdefault(spec.partition(path) or "", []).append(file)
    return [_mark(partition, files) for partition, files in sorted(by_partition.items())], core


def _mark(partition: str, files: "Sequence[LoadedFile]") -> FileMark:
    return FileMark(
        partition=partition,
        files=len(files),
        lines=sum(file.lines for file in files),
        last_file=files[-1].path,
        last_modified=files[-1].modified,
        last_loaded_at=max(file.loaded_at for file in files),
    )
