"""What a loop over fixed ranges of ids would have asked and written for the same rows: an estimate to compare with."""

from dataclasses import dataclass

import pyarrow as pa

from ..model.marks import CursorColumn
from ..sources.arrow import apply

SURELY_HIT = 20
"""Rows a range from which on it is taken that no range between the first and the last row is empty."""


@dataclass
class FixedRanges:
    """The loop `id > last AND id <= last + size`, which writes a file for each range that has rows.

    `cursor` None, or a cursor that is no integer: there is no such loop, and nothing to count.
    """

    cursor: CursorColumn | None
    size: int
    first: int | None = None
    last: int | None = None
    files: int = 0

    @property
    def queries(self) -> int:
        """Ranges from the first row to the last, gaps included."""
        return 0 if self.first is None or self.last is None else -(-(self.last - self.first + 1) // self.size)

    @property
    def span(self) -> int:
        """Ids from the first row to the last."""
        return 0 if self.first is None or self.last is None else self.last - self.first + 1

    def note(self, batch: pa.RecordBatch) -> None:
        """Rows in order."""
        if self.cursor is None or self.cursor.kind != "integer" or not batch.num_rows:
            return
        ids = batch.column(self.cursor.name)
        low, high = ids[0].as_py(), ids[-1].as_py()
        hit = self._ranges_hit(ids, low, high)
        self.files += hit - (self.last is not None and self.last // self.size == low // self.size)
        self.first = low if self.first is None else self.first
        self.last = high

    def add(self, other: "FixedRanges") -> None:
        """Rows that another reader counted, in any order."""
        if other.first is None or other.last is None:
            return
        self.files += other.files
        self.first = other.first if self.first is None else min(self.first, other.first)
        self.last = other.last if self.last is None else max(self.last, other.last)

    def _ranges_hit(self, ids: pa.Array, low: int, high: int) -> int:
        between = high // self.size - low // self.size + 1
        if between == 1 or len(ids) >= between * SURELY_HIT:
            return between
        wide = ids if pa.types.is_uint64(ids.type) else ids.cast(pa.int64())
        return apply("count_distinct", apply("divide", wide, pa.scalar(self.size, wide.type))).as_py()
