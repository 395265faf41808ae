"""What a keyed update asks of a source: columns, sizes of prefixes, and the rows of a batch, each in one query."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from ..model.columns import Column
from ..model.keyed_update import Batch, KeyedUpdateSpec, Prefix, Slice


class KeyedReader(Protocol):
    """One keyed update's table or query. Every method may be called by several threads. Errors come as DbError."""

    def columns(self) -> tuple[Column, ...]:
        """The columns that can be fetched. Raises ConfigError where the YAML names one that is not there."""
        ...

    def measure(self, rows: Slice, length: int, within: Sequence[Prefix] | None = None) -> tuple[list[Prefix], int]:
        """How many rows each prefix of that length has, of all rows or of those of `within`; and how many have none."""
        ...

    def duplicate_keys(self, rows: Slice) -> int:
        """How many keys more than one row has."""
        ...

    def last_change(self, rows: Slice) -> tuple[datetime | None, datetime]:
        """The largest value of the change cursor, and the source's time after it."""
        ...

    def fetch(self, rows: Slice, batch: Batch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of a batch with these of the source's columns, in that order and under those names.

        Ends with an error, never with fewer rows than the query had."""
        ...

    def sql(self, rows: Slice, batch: Batch, names: Sequence[str]) -> str:
        """The statement of `fetch`, for people: its `?` are bound."""
        ...

    def effort(self) -> dict[str, float | int]:
        """What the fetches cost the source so far, as far as it tells."""
        ...


@runtime_checkable
class KeyedSource(Protocol):
    """A source that can serve keyed updates."""

    def keyed(self, spec: KeyedUpdateSpec) -> KeyedReader:
        """The reader of one keyed update."""
        ...
