"""How large a heap or a B-tree would be if it were made anew now, from the statistics of its columns.

The rules are those of the server's own source: heap_form_tuple and RelationGetBufferForTuple for a heap, nbtsort.c
(_bt_buildadd, _bt_load) for a B-tree, which since PostgreSQL 13 holds the rows of equal keys in posting lists.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

PAGE = 8192
HEAP_PAGE = PAGE - 24
LEAF_PAGE = PAGE - 24 - 16 - 4
"""Bytes of a B-tree page less its header, its special space and the line pointer of its high key."""
LINE_POINTER = 4
ROW_POINTER = 6
LONGEST_POSTING = 808
"""A tenth of a page less a line pointer, aligned: the longest posting list that a build makes."""
FULL_POSTINGS = 7308
"""Bytes of full posting lists on a leaf page: nine of them, since the tenth becomes the next page's first."""
SHORT_HEADER_MOST = 126


@dataclass(frozen=True)
class ColumnFacts:
    """A column as pg_attribute and pg_stats describe it. `distinct` as pg_stats has it: negative is a share of rows."""

    length: int
    align: int
    null_share: float
    width: float
    distinct: float
    common_shares: tuple[float, ...] = ()

    def keys(self, rows: float) -> float:
        """How many different values there are."""
        found = -self.distinct * rows if self.distinct < 0 else self.distinct
        return max(found, len(self.common_shares), 1.0)


def heap_bytes(rows: float, columns: Sequence[ColumnFacts], fillfactor: int) -> float:
    """The main fork of a table with these rows."""
    if rows <= 0:
        return 0.0
    with_nulls = 1 - math.prod(1 - column.null_share for column in columns)
    bitmap = math.ceil(len(columns) / 8)
    header = _aligned(23, 8) * (1 - with_nulls) + _aligned(23 + bitmap, 8) * with_nulls
    row = header + _data(columns)
    row = (row + 3.5 if _varies(columns) else _aligned(row, 8)) + LINE_POINTER
    usable = HEAP_PAGE - PAGE * (100 - fillfactor) / 100
    return math.ceil(rows / max(1.0, usable // row if not _varies(columns) else usable / row - 0.5)) * PAGE


def btree_bytes(
    rows: float, columns: Sequence[ColumnFacts], fillfactor: int, *, deduplicates: bool, key_counts: int | None = None
) -> float:
    """A B-tree over these key columns. `key_counts` is the number of different keys, if it was counted."""
    if rows <= 0:
        return 2.0 * PAGE
    base, base_null = _tuple(columns), 16.0
    groups = _groups(rows, columns, key_counts) if deduplicates else [(1.0, rows, False)]
    used = 0.0
    items = 0.0
    for count, number, is_null in groups:
        taken, made = _posting(base_null if is_null else base, count) if deduplicates else (base + LINE_POINTER, 1.0)
        used += taken * number
        items += made * number
    if not deduplicates and len(columns) == 1:
        used -= rows * columns[0].null_share * (base - base_null)
    average = used / items
    usable = LEAF_PAGE - PAGE * (100 - fillfactor) / 100
    per_page = max(FULL_POSTINGS * fillfactor / 90 if average > 400 and deduplicates else usable - average / 2, average)
    leaf_pages = math.ceil(used / per_page)
    fanout = max(2.0, 0.7 * LEAF_PAGE / (base + LINE_POINTER))
    inner = leaf_pages / (fanout - 1)
    return (leaf_pages + math.ceil(inner) + 1) * PAGE if leaf_pages > 1 else 2.0 * PAGE


def _groups(rows: float, columns: Sequence[ColumnFacts], counted: int | None) -> list[tuple[float, float, bool]]:
    """(rows of a key, number of such keys, whether it is NULL): the common values one by one, the rest on average."""
    if len(columns) > 1:
        keys = counted or min(rows, math.prod(column.keys(rows) for column in columns))
        return [(rows / keys, keys, False)]
    column = columns[0]
    nulls = rows * column.null_share
    common = [rows * share for share in column.common_shares]
    rest = max(0.0, rows - nulls - sum(common))
    keys = counted if counted is not None else column.keys(rows)
    rare = min(max(keys - len(common), 1.0 if rest else 0.0), rest)
    groups = [(count, 1.0, False) for count in common if count >= 1]
    if nulls >= 1:
        groups.append((nulls, 1.0, True))
    if rare > 0:
        groups.append((rest / rare, rare, False))
    return groups or [(rows, 1.0, False)]


def _posting(base: float, count: float) -> tuple[float, float]:
    """Bytes and index tuples that the rows of one key take; between two whole numbers of rows in proportion."""
    most = int((LONGEST_POSTING - base) // ROW_POINTER)
    if most < 2:
        return count * (base + LINE_POINTER), count

    def whole(rows: int) -> tuple[float, float]:
        full, left = divmod(rows, most)
        tail = 0.0 if left == 0 else base if left == 1 else _aligned(base + ROW_POINTER * left, 8)
        size = _aligned(base + ROW_POINTER * most, 8)
        return full * (size + LINE_POINTER) + (tail + LINE_POINTER if left else 0.0), full + (left > 0)

    low = max(1, math.floor(count))
    part = max(0.0, count - low)
    first, second = whole(low), whole(low + 1)
    return first[0] + part * (second[0] - first[0]), first[1] + part * (second[1] - first[1])


def _tuple(columns: Sequence[ColumnFacts]) -> float:
    """Bytes of an index tuple that points to one row."""
    with_nulls = 1 - math.prod(1 - column.null_share for column in columns) if len(columns) > 1 else 0.0
    data = _data(columns) if len(columns) > 1 else _data([_never_null(columns[0])])
    size = 8 + 8 * with_nulls + data
    return size + 3.5 if _varies(columns) else _aligned(size, 8)


def _never_null(column: ColumnFacts) -> ColumnFacts:
    return ColumnFacts(column.length, column.align, 0.0, column.width, column.distinct, column.common_shares)


def _data(columns: Sequence[ColumnFacts]) -> float:
    """Bytes of the values one after the other; a short varlena needs no alignment."""
    offset = 0.0
    for column in columns:
        fixed = column.length > 0
        align = column.align if fixed else 1 if column.width <= SHORT_HEADER_MOST else 4
        padding = _aligned(offset, align) - offset if align > 1 else 0.0
        offset += (1 - column.null_share) * (padding + (column.length if fixed else column.width))
    return offset


def _varies(columns: Sequence[ColumnFacts]) -> bool:
    return any(column.length < 0 or 0 < column.null_share < 1 for column in columns)


def _aligned(size: float, to: int) -> float:
    return math.ceil(size / to) * to
