"""Where each partition of the selected tables stands: what `status` and `watermarks` have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .command import existing_lake, table_title
from .screen import Screen

if TYPE_CHECKING:
    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment
    from ..sync.status import PartitionStatus, TableStatus


@dataclass(frozen=True)
class TableMarks:
    """A table and how it is."""

    table: "SyncedTable"
    status: "TableStatus"

    @property
    def title(self) -> str:
        return table_title(self.table)

    @property
    def partitions(self) -> "tuple[PartitionStatus, ...]":
        """None if it was never synced."""
        return self.status.partitions

    @property
    def error(self) -> str | None:
        """Why the warehouse or the lake could not be asked."""
        return self.status.error


def marks_of_tables(deployment: "Deployment", tables: "Sequence[SyncedTable]", screen: Screen) -> list[TableMarks]:
    """The marks of these tables. Where a warehouse does not answer, those of the lake."""
    from ..sync.status import statuses

    if not tables:
        return []
    found = statuses(
        existing_lake(deployment),
        [(table.spec, table.target) for table in tables],
        lambda name: deployment.warehouse(name).open(),
    )
    for error in dict.fromkeys(each.error for each in found if each.error):
        screen.problem(error)
    return [TableMarks(table, each) for table, each in zip(tables, found, strict=True)]
