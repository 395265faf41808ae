"""Files in `syncer plan`: which would be loaded into the raw table, and what the core table is made of."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from ..resources.lake import is_there
from .screen import Column, Screen, shortened

if TYPE_CHECKING:
    from ..assets.file_table import FileTable
    from ..components.deployment import Deployment
    from ..model.files import CoreSpec
    from ..sync.file_plan import EntityPlan

COLUMNS = (
    Column("partition", breaks=True),
    Column("why", breaks=True),
    Column("files", "right"),
    Column("MB", "right"),
    Column("loads", "right"),
    Column("first", breaks=True, optional=True),
    Column("last", breaks=True, optional=True),
)
MB = 1024 * 1024


def show_file_plans(
    deployment: "Deployment", tables: "Sequence[FileTable]", partition: str | None, screen: Screen, *, whole: bool
) -> list[dict[str, object]]:
    """Each entity's plan; as JSON too, with `error` where store or warehouse do not answer."""
    found: list[dict[str, object]] = []
    for table in tables:
        try:
            planned = _planned(deployment, table, partition)
        except SyncError as error:
            screen.problem(str(error))
            found.append({"entity": table.title, "error": str(error)})
            continue
        _show(table, planned, screen, whole=whole)
        core = _core(table.spec.core) if table.spec.core else None
        found.append({"entity": table.title, "target": _target(table), **asdict(planned), "core": core})
    return found


def _planned(deployment: "Deployment", table: "FileTable", partition: str | None) -> "EntityPlan":
    """Of files that an API's list will bring into a folder that is not there yet: nothing."""
    from ..sync.file_plan import EntityPlan, plan_files

    if table.made_by and not is_there(table.url):
        return EntityPlan()
    with deployment.warehouse(table.spec.target.warehouse).open_files() as warehouse:
        return plan_files(table.open_store(), warehouse, table.spec, partition, has_begun=table.has_begun)


def _target(table: "FileTable") -> str:
    return f"{table.spec.target.warehouse}.{table.spec.target.name}"


def _core(core: "CoreSpec") -> dict[str, object]:
    columns = [{**asdict(column), "path": list(column.path)} for column in core.columns]
    target = f"{core.target.warehouse}.{core.target.name}"
    return {"target": target, "load": core.load, "columns": columns, "query": core.query}


def _show(table: "FileTable", planned: "EntityPlan", screen: Screen, *, whole: bool) -> None:
    spec = table.spec
    screen.line(f"{table.title} -> {spec.target.warehouse} {spec.target.name}: {spec.pattern.text}", style="bold")
    key = f"{'.'.join(spec.id.path)} ({spec.id.type})" if spec.id.path else "a hash of file and line"
    screen.line(f"  key {key}; {planned.files:,} files in {table.url}")
    if not planned.partitions:
        screen.line("  no file is new or changed: nothing to load")
    else:
        screen.table(COLUMNS, _rows(planned, whole=whole))
    if planned.files_outside:
        screen.line(f"  ! {planned.files_outside:,} files match and belong to no partition", style="yellow")
    if planned.files_waiting:
        screen.line(f"  {planned.files_waiting:,} files are of a time that has not begun, and wait for it")
    if spec.core is not None:
        _show_core(spec.core, screen)
    screen.line()


def _rows(planned: "EntityPlan", *, whole: bool) -> list[list[object]]:
    rows: list[list[object]] = [
        [each.partition, each.reason, each.files, each.bytes / MB, each.loads, each.first, each.last]
        for each in planned.partitions
    ]
    shown = rows if whole else shortened(rows)
    if len(rows) > 1:
        files, size, loads = (sum(getattr(p, name) for p in planned.partitions) for name in ("files", "bytes", "loads"))
        shown = [*shown, [f"{len(rows)} in all", "", files, size / MB, loads, "", ""]]
    return shown


def _show_core(core: "CoreSpec", screen: Screen) -> None:
    made_of = "a query" if core.query else f"{len(core.columns)} columns"
    screen.line(f"  then {core.target.name}, {core.load}, of {made_of}:")
    for column in core.columns:
        required = ", required" if column.required else ""
        screen.line(f"    {column.name} {column.type}: {'.'.join(column.path)}{required}")
    if core.query:
        screen.line(f"    {' '.join(core.query.split())}", style="dim")
