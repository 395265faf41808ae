"""Marks: places in a table's read order.

A mark is a prefix of the order columns (cursor.., key..) and means *after every row that has this prefix*:
`(2024-05-01,)` lies after all rows of that time, `(2024-05-01, 17)` after the row with key 17 of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

Scalar = int | str | date | datetime | Decimal
Mark = tuple[Scalar, ...]
CursorKind = Literal["integer", "timestamptz", "timestamp", "date", "text", "decimal"]

TIME_KINDS: tuple[CursorKind, ...] = ("timestamptz", "timestamp", "date")


@dataclass(frozen=True)
class CursorColumn:
    """A column of the read order and how its values compare."""

    name: str
    kind: CursorKind


def compare(left: Mark, right: Mark) -> int:
    """-1, 0 or 1. Where one mark is a prefix of the other, the shorter lies after it."""
    for one, other in zip(left, right, strict=False):
        if one != other:
            return -1 if one < other else 1  # type: ignore[operator]  # kinds of one column never mix
    return (len(left) < len(right)) - (len(left) > len(right))


def lowest(*marks: Mark | None) -> Mark | None:
    """The lowest mark; None lies before every row."""
    if any(mark is None for mark in marks):
        return None
    return _pick([mark for mark in marks if mark is not None], -1)


def highest(*marks: Mark | None) -> Mark | None:
    """The highest mark; None lies before every row."""
    return _pick([mark for mark in marks if mark is not None], 1)


def is_below(left: Mark | None, right: Mark | None) -> bool:
    """True if `left` lies strictly before `right`; None lies before every row."""
    if right is None:
        return False
    return left is None or compare(left, right) < 0


def encode(mark: Mark | None) -> list[str] | None:
    """JSON form whose strings compare as the values do (uint64 and timestamps included)."""
    return None if mark is None else [encode_scalar(value) for value in mark]


def decode(encoded: Sequence[str] | None, columns: Sequence[CursorColumn]) -> Mark | None:
    """The inverse of `encode`, given the order columns that the mark is a prefix of."""
    if encoded is None:
        return None
    return tuple(decode_scalar(text, column.kind) for text, column in zip(encoded, columns, strict=False))


def encode_scalar(value: Scalar) -> str:
    """Text that sorts as the value does: 20 digits for integers, ISO 8601 in UTC for times."""
    if isinstance(value, int):
        return f"{value:020d}" if value >= 0 else f"-{10**20 + value:020d}"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat(timespec="microseconds")
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def decode_scalar(text: str, kind: CursorKind) -> Scalar:
    """The value of `encode_scalar`'s text."""
    match kind:
        case "integer":
            return int(text[1:]) - 10**20 if text.startswith("-") else int(text)
        case "timestamptz":
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        case "timestamp":
            return datetime.fromisoformat(text)
        case "date":
            return date.fromisoformat(text)
        case "decimal":
            return Decimal(text)
        case "text":
            return text


def show(mark: Mark | None) -> str | None:
    """A mark for people and for metadata."""
    if mark is None:
        return None
    return ", ".join(str(v) if isinstance(v, int) else encode_scalar(v) for v in mark)


def _pick(marks: list[Mark], sign: int) -> Mark | None:
    best: Mark | None = None
    for mark in marks:
        if best is None or compare(mark, best) == sign:
            best = mark
    return best
