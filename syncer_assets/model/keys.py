"""Which rows of a table are looked at, by their keys.

Keys of a comparison are canonical texts (the contract of `drivers/postgres_checksum`): the same on every server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .columns import Column

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Buckets:
    """The rows whose key falls into one of the buckets `only`, of `number` in all."""

    number: int
    only: tuple[int, ...]


@dataclass(frozen=True)
class Keys:
    """The rows with these keys: of each key column the canonical texts of all of them, in one order."""

    columns: tuple[Column, ...]
    texts: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.texts[0]) if self.texts else 0

    def parts(self, rows: int) -> Iterator["Keys"]:
        """The same keys, at most `rows` at a time."""
        for start in range(0, len(self), rows):
            yield Keys(self.columns, tuple(texts[start : start + rows] for texts in self.texts))


@dataclass(frozen=True)
class KeySpan:
    """The rows whose integer key lies in `[low, high]`."""

    column: str
    low: int
    high: int


INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


def whole_number(columns: Sequence[Column], key: Sequence[str]) -> str | None:
    """The key's column, if it is a single integer: its buckets are its remainders, which cost no hash."""
    types = {column.name: column.type for column in columns if column.transform is None}
    return key[0] if len(key) == 1 and types.get(key[0]) in INTEGERS else None


def key_fields(key: Sequence[str]) -> list[str]:
    """The names of the key's columns in an answer of `key_rows`."""
    return [f"k{number}" for number in range(len(key))]


def key_rows_schema(key: Sequence[str], beside: Sequence[object]) -> "pa.Schema":
    """What `key_rows` of a source or warehouse gives: k0, k1 .., hash, b0, b1 .."""
    import pyarrow as pa

    texts = [pa.field(f"b{number}", pa.string()) for number in range(len(beside))]
    keys = [pa.field(name, pa.string()) for name in key_fields(key)]
    return pa.schema([*keys, pa.field("hash", pa.int64()), *texts])
