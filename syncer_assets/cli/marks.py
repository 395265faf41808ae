"""Where each partition of the selected tables stands: what `status` and `watermarks` have in common."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import deployment_of, existing_lake, table_title
from .screen import Screen

if TYPE_CHECKING:
    from ..assets.table import SyncedTable
    from ..sync.status import PartitionStatus


@dataclass(frozen=True)
class TableMarks:
    """A table and its partitions; none if it was never synced. `error` says why the warehouse could not be asked."""

    table: "SyncedTable"
    partitions: "tuple[PartitionStatus, ...]"
    error: str | None = None

    @property
    def title(self) -> str:
        return table_title(self.table)


def marks_of(arguments: argparse.Namespace, screen: Screen) -> list[TableMarks]:
    """The marks of every selected table. Where a warehouse does not answer, those of the lake."""
    from ..sync.status import status

    deployment, tables = deployment_of(arguments)
    lake = existing_lake(deployment)
    found = []
    for table in tables:
        if lake is None:
            found.append(TableMarks(table, ()))
            continue
        try:
            with deployment.warehouse(table.target.warehouse).open() as warehouse:
                found.append(TableMarks(table, tuple(status(lake, table.spec, warehouse, table.target))))
        except SyncError as error:
            screen.problem(str(error))
            found.append(TableMarks(table, tuple(status(lake, table.spec)), str(error)))
    return found
