"""The guards of `types`, by what the parser of rows found: asked of the server for each row, they cost a third of the
read."""

from ...drivers.mysql_rows import Finding, Findings
from ..base import Read, refused_by_guard
from .types import NUL_BYTE, ZERO_DATE

FOUND = {ZERO_DATE: Finding.IMPOSSIBLE_DATE, NUL_BYTE: Finding.NUL_CHARACTER}


def check(read: Read, findings: Findings) -> None:
    """Raises SyncError that names the columns, never a value. A column without a guard may lose such values."""
    refused = [
        column.column.name
        for number, column in enumerate(read.columns)
        if column.guard is not None and number in findings and FOUND[column.guard] in findings[number]
    ]
    if refused:
        raise refused_by_guard(read, refused)
