"""What stops a read because of its values: those that the parser of rows found, and a column's guard names."""

from ..drivers.columns import Findings
from .base import Read, refused_by_guard


def check(read: Read, findings: Findings) -> None:
    """Raises SyncError that names the columns, never a value. A column without a guard may lose such values."""
    refused = [
        column.column.name
        for number, column in enumerate(read.columns)
        if column.guard is not None and number in findings and column.guard.finding in findings[number]
    ]
    if refused:
        raise refused_by_guard(read, refused)
