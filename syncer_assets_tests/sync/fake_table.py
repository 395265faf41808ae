"""A fake: a table in memory that answers as `sources.base.Source` promises, for thousands of small syncs a minute."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pyarrow as pa

from syncer_assets.model.capture import Capture, Protection, ServerIdentity
from syncer_assets.model.columns import Column
from syncer_assets.model.marks import CursorColumn, Mark, Scalar, compare
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import QueryPlan, Read, SourceColumn, TableFacts

NOW = datetime(2024, 1, 1, tzinfo=UTC)
STAMP = SourceColumn(Column("stamp", "timestamp[us, tz=UTC]", "timestamptz", nullable=False), "timestamptz")


@dataclass
class FakeTable:
    """Rows `(id, stamp)`, all of one stamp. `provable` is the highest id that is proven final, None for all.

    `asked` counts the queries that read rows or look for the next one. `indexes` and `rows_estimate` are what its
    catalogue says.
    """

    ids: Sequence[int]
    provable: int | None = None
    unsigned: bool = False
    rows_estimate: int | None = None
    row_bytes: int = 100
    indexes: tuple[tuple[str, ...], ...] = (("id",), ("stamp", "id"))
    batch_rows: int = 64
    name: str = "shop"
    engine: str = "fake"
    asked: int = 0
    _rows: dict[tuple[str, ...], list[Mark]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def identity(self) -> ServerIdentity:
        return ServerIdentity("fake", "fake")

    def describe(self, table: str) -> TableFacts:
        rows = len(self.ids) if self.rows_estimate is None else self.rows_estimate
        return TableFacts(
            table=table,
            columns=(self._id, STAMP),
            primary_key=("id",),
            unique_keys=(),
            rows_estimate=rows,
            bytes_estimate=max(0, rows) * self.row_bytes,
            indexes=self.indexes,
        )

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        return Protection("writers_finished", True)

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        if not self.ids:
            return None
        ceiling: Mark = (self.ids[-1],) if spec.cursor == ("id",) else (NOW,)
        provable = ceiling if self.provable is None else (self.provable,)
        return Capture(ceiling, provable, NOW, "fake", "writers_finished").with_proof()

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        return list(captures)

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        return NOW

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        return max(self.ids, default=None)

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        self._count_query()
        found = self._found(read)
        found = found if read.limit is None else found[: read.limit]
        for start in range(0, len(found), self.batch_rows):
            yield self._batch(found[start : start + self.batch_rows], read)

    def lowest(self, read: Read) -> Scalar | None:
        self._count_query()
        found = self._found(read)
        return found[0][0] if found else None

    def count(self, read: Read) -> int:
        return 0 if read.null_cursor else len(self._found(read))

    def explain(self, read: Read) -> QueryPlan:
        """Statistics are never exact."""
        rows = max(1, int(len(self._found(read)) * 1.2))
        served = any(columns[: len(read.cursor)] == read.cursor for columns in self.indexes)
        return QueryPlan(rows=rows, index="by_cursor" if served else None)

    def sql(self, read: Read) -> str:
        return "SELECT"

    def close(self) -> None: ...

    @property
    def _id(self) -> SourceColumn:
        type_ = "uint64" if self.unsigned else "int64"
        return SourceColumn(Column("id", type_, "bigint", nullable=False), "integer")

    def _count_query(self) -> None:
        with self._lock:
            self.asked += 1

    def _found(self, read: Read) -> list[Mark]:
        """The rows of a read as order tuples, which marks are prefixes of."""
        names = tuple(column.name for column in read.order)
        if names not in self._rows:
            self._rows[names] = sorted(tuple(id_ if name == "id" else NOW for name in names) for id_ in self.ids)
        rows = self._rows[names]
        low, high = 0, len(rows)
        if read.after is not None:
            low = _rows_up_to(rows, read.after)
        if read.upto is not None:
            high = _rows_up_to(rows, read.upto)
        return [
            row
            for row in rows[low:high]
            if (read.start is None or row[0] >= read.start) and (read.end is None or row[0] < read.end)  # type: ignore[operator]  # one kind
        ]

    def _batch(self, rows: list[Mark], read: Read) -> pa.RecordBatch:
        at = [column.name for column in read.order].index("id")
        values: dict[str, list[Any]] = {"id": [row[at] for row in rows], "stamp": [NOW] * len(rows)}
        types = {"id": pa.uint64() if self.unsigned else pa.int64(), "stamp": pa.timestamp("us", "UTC")}
        names = [column.column.name for column in read.columns]
        return pa.RecordBatch.from_arrays([pa.array(values[name], types[name]) for name in names], names=names)


def _rows_up_to(rows: list[Mark], mark: Mark) -> int:
    return bisect_right(rows, 0, key=lambda row: compare(row, mark))
