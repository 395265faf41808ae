"""Files in `syncer doctor`: their store, and the tables that they are loaded into."""

from typing import TYPE_CHECKING

from ..model.errors import SyncError
from ..resources.lake import is_there

if TYPE_CHECKING:
    from ..assets.file_table import FileTable
    from ..components.deployment import Deployment
    from ..sync.doctor import Finding


def examine_entity(deployment: "Deployment", table: "FileTable") -> "list[Finding]":
    """The findings of one entity. A folder that an API's list will make is none."""
    from ..sync.doctor import Finding
    from ..sync.file_doctor import about_files, examine_file_tables, examine_files

    about, found = about_files(table.spec), []
    try:
        if is_there(table.url) or not table.made_by:
            found += examine_files(table.open_store(), table.spec)
    except SyncError as error:
        found.append(Finding(about, "store", "error", str(error)))
    try:
        with deployment.warehouse(table.spec.target.warehouse).open_files() as warehouse:
            return [*found, *examine_file_tables(warehouse, table.spec)]
    except SyncError as error:
        return [*found, Finding(about, "tables", "error", str(error))]
