"""What the catalogue says of many targets at once."""

from collections.abc import Sequence

from ...model.table import Target
from ..base import TableActivity
from . import names
from .session import Session

TABLES_SQL = """
SELECT TABLE_SCHEMA, TABLE_NAME, ROW_COUNT, BYTES FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA IN ({schemas})
"""


def activity(session: Session, targets: Sequence[Target]) -> list[TableActivity]:
    """Of each target, in their order. Dead rows and waste are not known here: Snowflake rewrites what changes."""
    if not targets:
        return []
    schemas = sorted({names.fold(target.schema) for target in targets})
    rows = session.rows(TABLES_SQL.format(schemas=", ".join("?" for _ in schemas)), schemas)
    found = {(schema, table): (count, size) for schema, table, count, size in rows}
    known = [found.get((names.fold(target.schema), names.fold(target.table)), (None, None)) for target in targets]
    return [
        TableActivity(rows=None if count is None else int(count), bytes=None if size is None else int(size))
        for count, size in known
    ]
