"""Files as `syncer status` shows them: what the ledger has of each partition, and what waits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from ..resources.lake import is_there
from .screen import Column, Screen, seconds

if TYPE_CHECKING:
    from ..assets.file_table import FileTable
    from ..components.deployment import Deployment

COLUMNS = (
    Column("files of"),
    Column("partition", breaks=True),
    Column("files", "right"),
    Column("lines", "right"),
    Column("rejected", "right"),
    Column("duplicates", "right", optional=True),
    Column("to load", "right"),
    Column("refused", "right"),
    Column("loaded", "right", optional=True),
)


@dataclass(frozen=True)
class FilesStatus:
    """A partition of an entity's files."""

    entity: str
    partition: str
    files: int
    lines: int
    rejected: int
    duplicates: int
    pending: int
    refused: int
    last_loaded_at: datetime | None


def show_files(
    deployment: "Deployment", tables: "Sequence[FileTable]", screen: Screen, *, each: bool
) -> list[dict[str, object]]:
    """The files of these entities, a line each or a line a partition; as JSON always a partition, or `error` where
    store or warehouse do not answer."""
    found: list[FilesStatus] = []
    errors: list[dict[str, object]] = []
    for table in tables:
        try:
            found += files_status(deployment, table)
        except SyncError as error:
            screen.problem(str(error))
            errors.append({"entity": table.title, "error": str(error)})
    if found:
        shown = found if each else [_sum(found, title) for title in dict.fromkeys(one.entity for one in found)]
        screen.table(COLUMNS, [_row(one) for one in shown])
    return [*(asdict(one) for one in found), *errors]


def files_status(deployment: "Deployment", table: "FileTable") -> list[FilesStatus]:
    """Each partition that has files. Raises SyncError where store or warehouse do not answer."""
    from ..sync.files import is_pending, is_refused

    spec = table.spec
    is_to_come = bool(table.made_by) and not is_there(table.url)
    listed = [] if is_to_come else table.open_store().list(spec.pattern)
    with deployment.warehouse(spec.target.warehouse).open_files() as warehouse:
        loaded, refused = warehouse.loaded(spec.target), warehouse.refused(spec.target)
    waiting = [spec.partition(file.path) for file in listed if is_pending(file, loaded, refused)]
    red = [spec.partition(file.path) for file in listed if is_refused(file, refused)]
    keys = {spec.partition(path) for path in (*(file.path for file in listed), *loaded)}
    found = []
    for key in sorted(key for key in keys if key is not None):
        rows = [file for path, file in loaded.items() if spec.partition(path) == key]
        found.append(
            FilesStatus(
                entity=table.title,
                partition=key,
                files=len(rows),
                lines=sum(row.lines for row in rows),
                rejected=sum(row.rejected for row in rows),
                duplicates=sum(row.duplicates for row in rows),
                pending=waiting.count(key),
                refused=red.count(key),
                last_loaded_at=max((row.loaded_at for row in rows), default=None),
            )
        )
    return found


def _sum(found: Sequence[FilesStatus], title: str) -> FilesStatus:
    own = [one for one in found if one.entity == title]
    if len(own) == 1:
        return own[0]
    return FilesStatus(
        entity=title,
        partition=f"{len(own)} partitions",
        files=sum(one.files for one in own),
        lines=sum(one.lines for one in own),
        rejected=sum(one.rejected for one in own),
        duplicates=sum(one.duplicates for one in own),
        pending=sum(one.pending for one in own),
        refused=sum(one.refused for one in own),
        last_loaded_at=max((one.last_loaded_at for one in own if one.last_loaded_at), default=None),
    )


def _row(one: FilesStatus) -> list[object]:
    ago = f"{seconds((datetime.now(UTC) - one.last_loaded_at).total_seconds())} ago" if one.last_loaded_at else ""
    refused = f"✗ {one.refused}" if one.refused else ""
    counts = [one.files, one.lines, one.rejected, one.duplicates, one.pending]
    return [one.entity, one.partition, *counts, refused, ago]
