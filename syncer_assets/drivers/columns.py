"""What the compiled parsers of rows share: the kinds of columns, what they find in values, and the way to Arrow."""

from enum import IntFlag

import pyarrow as pa

from ..model.errors import DbError
from .native import Rows

BATCH_BYTES = 16 * 1024 * 1024
"""A batch has fewer rows than asked for where they are as long as this; one row may be longer."""

INTEGER, FLOAT, DOUBLE, DECIMAL, DATE, TIMESTAMP, TEXT, BYTES, BOOLEAN, TIME = range(10)
"""The kinds of columns, as `_columns.h` numbers them."""


class Finding(IntFlag):
    """What values of a column are, as the parser found them."""

    IMPOSSIBLE_DATE = 1  # read as NULL
    NUL_CHARACTER = 2  # in a text
    NOT_UTF8 = 4
    OUT_OF_RANGE = 8  # of a number or time: read as NULL
    NOT_A_NUMBER = 16  # of a decimal: read as NULL


Findings = dict[int, Finding]
"""By the column's position; only columns of which something was found."""


def batch(rows: Rows, schema: pa.Schema, who: str, table: str | None) -> tuple[pa.RecordBatch, Findings]:
    """The rows that wait, without a copy. Raises DbError for values that no caller can allow."""
    count, arrays, findings = rows.count, [], {}
    for number, (field, (valid, offsets, values, nulls, found)) in enumerate(zip(schema, rows.take(), strict=True)):
        buffers = [valid, values] if offsets is None else [valid, offsets, values]
        if pa.types.is_boolean(field.type):  # a byte each, since the parser knows no bits
            arrays.append(pa.Array.from_buffers(pa.uint8(), count, buffers, nulls).cast(field.type))
        else:
            arrays.append(pa.Array.from_buffers(field.type, count, buffers, nulls))
        if found:
            findings[number] = Finding(found)
    for finding, what in (
        (Finding.NOT_UTF8, "a text that is not UTF-8"),
        (Finding.OUT_OF_RANGE, "a number or time that its type cannot hold"),
    ):
        names = [schema.field(number).name for number, found in findings.items() if finding in found]
        if names:
            raise DbError(
                f"{who}: the server sent {what}, in {', '.join(names)}",
                table=table,
                fix="correct it at the source, or list the columns in `columns.exclude`",
            )
    return pa.RecordBatch.from_arrays(arrays, schema=schema), findings
