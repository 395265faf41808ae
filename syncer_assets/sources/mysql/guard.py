"""The guards of `types`, tested on what was read: asked of the server for each row, they cost a third of the read.

A date that does not exist is read as NULL: the server tells which dates are NULL, and any other that is read so is one.
"""

from collections.abc import Callable

import pyarrow as pa

from ..arrow import apply
from ..base import Read, refused_by_guard
from .types import NUL_BYTE, ZERO_DATE

DATES_A_MASK = 32
"""So that the sum of a batch's masks stays within 64 bits."""


def columns(read: Read, quote: Callable[[str], str]) -> list[str]:
    """Further columns of the SELECT, after all others: which dates of the row are NULL, a bit each."""
    names = [quote(read.columns[number].column.name) for number in _nullable_dates(read)]
    masks = [names[start : start + DATES_A_MASK] for start in range(0, len(names), DATES_A_MASK)]
    return [
        f"{' + '.join(f'({name} IS NULL) * {1 << bit}' for bit, name in enumerate(mask))} AS guard{number}"
        for number, mask in enumerate(masks)
    ]


def checked(read: Read, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as it came, without the guards' columns. Raises SyncError that names the columns, never a value."""
    bare = batch.select(range(len(read.columns)))
    if batch.num_rows and (found := [*_missing_dates(read, batch), *_nul_bytes(read, bare)]):
        raise refused_by_guard(read, found)
    return bare


def _missing_dates(read: Read, batch: pa.RecordBatch) -> list[str]:
    """The date columns that are NULL in a row where the server has a value."""
    nullable = _nullable_dates(read)
    required = [n for n, c in enumerate(read.columns) if c.guard is ZERO_DATE and n not in nullable]
    found = [number for number in required if batch.column(number).null_count]
    for start in range(0, len(nullable), DATES_A_MASK):
        part = nullable[start : start + DATES_A_MASK]
        mask = batch.column(len(read.columns) + start // DATES_A_MASK).cast(pa.int64())
        counts = [batch.column(number).null_count for number in part]
        if apply("sum", mask).as_py() != sum(count << bit for bit, count in enumerate(counts)):
            found += [n for bit, n in enumerate(part) if counts[bit] != _rows_with(mask, bit)]
    return [read.columns[number].column.name for number in found]


def _nullable_dates(read: Read) -> list[int]:
    return [n for n, c in enumerate(read.columns) if c.guard is ZERO_DATE and c.column.nullable]


def _rows_with(mask: pa.Array, bit: int) -> int:
    return apply("sum", apply("bit_wise_and", apply("shift_right", mask, pa.scalar(bit)), pa.scalar(1))).as_py()


def _nul_bytes(read: Read, batch: pa.RecordBatch) -> list[str]:
    """The text columns with a byte 0: the smallest byte of each column's data tells."""
    guarded = [number for number, c in enumerate(read.columns) if c.guard is NUL_BYTE]
    return [read.columns[number].column.name for number in guarded if _smallest_byte(batch.column(number)) == 0]


def _smallest_byte(text: pa.Array) -> int | None:
    _, offsets, data = text.buffers()
    if data is None:
        return None
    width = pa.int64() if pa.types.is_large_string(text.type) else pa.int32()
    ends = pa.Array.from_buffers(width, len(text) + 1, [None, offsets], offset=text.offset)
    start, stop = ends[0].as_py(), ends[-1].as_py()
    return apply("min", pa.Array.from_buffers(pa.uint8(), stop - start, [None, data], offset=start)).as_py()
