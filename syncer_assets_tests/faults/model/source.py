"""A simulated database: rows, a sequence, transactions that commit when the machine says so, and a clock of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from syncer_assets.model.capture import Capture, Protection, ServerIdentity
from syncer_assets.model.columns import Column
from syncer_assets.model.keys import Buckets, Keys
from syncer_assets.model.marks import CursorColumn, Scalar, compare
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import QueryPlan, Read, SourceColumn, TableFacts
from syncer_assets_tests.faults.model import compare as compared

START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH_ROWS = 3
COLUMNS = (
    SourceColumn(Column("id", "int64", "bigint", nullable=False), "integer"),
    SourceColumn(Column("value", "string", "text", nullable=True), None),
    SourceColumn(Column("updated_at", "timestamp[us, tz=UTC]", "timestamptz", nullable=False), "timestamptz"),
)
SCHEMA = pa.schema([("id", pa.int64()), ("value", pa.string()), ("updated_at", pa.timestamp("us", "UTC"))])


@dataclass(frozen=True)
class Row:
    id: int
    value: str
    updated_at: datetime


@dataclass
class Transaction:
    """What an open transaction has written: nobody else sees it before its commit. None means deleted."""

    number: int
    began: datetime
    writes: dict[int, Row | None] = field(default_factory=dict)


@dataclass
class SimulatedSource:
    """Answers as `sources.base.Source` promises. Times are `now()` of a transaction: its start, as PostgreSQL's are."""

    name: str = "shop"
    engine: str = "postgres"
    rows: dict[int, Row] = field(default_factory=dict)
    open: dict[int, Transaction] = field(default_factory=dict)
    last_id: int = 0
    transactions: int = 0
    ticks: int = 0
    identity_of: str = "source-1"

    # What writers do

    def begin(self) -> Transaction:
        self.transactions += 1
        transaction = Transaction(self.transactions, self.now())
        self.open[transaction.number] = transaction
        return transaction

    def insert(self, transaction: Transaction) -> None:
        self.last_id += 1
        row = Row(self.last_id, f"new in {transaction.number}", transaction.began)
        transaction.writes[row.id] = row

    def update(self, transaction: Transaction, id_: int, at: datetime | None = None) -> None:
        if id_ in self.rows and not self._is_locked(transaction, id_):
            transaction.writes[id_] = Row(id_, f"changed in {transaction.number}", at or transaction.began)

    def bring_back(self, transaction: Transaction, id_: int) -> None:
        """A row that was deleted is inserted with the same id."""
        if id_ not in self.rows and not self._is_locked(transaction, id_):
            transaction.writes[id_] = Row(id_, f"back in {transaction.number}", transaction.began)

    def _is_locked(self, transaction: Transaction, id_: int) -> bool:
        """Another writer's row lock would make it wait."""
        return any(id_ in other.writes for other in self.open.values() if other is not transaction)

    def delete(self, transaction: Transaction, id_: int) -> None:
        self.update(transaction, id_)
        if id_ in transaction.writes:
            transaction.writes[id_] = None

    def commit(self, transaction: Transaction) -> None:
        self.now()
        for id_, row in transaction.writes.items():
            if row is None:
                self.rows.pop(id_, None)
            else:
                self.rows[id_] = row
        del self.open[transaction.number]

    def rollback(self, transaction: Transaction) -> None:
        """The ids that it drew are gone for good."""
        del self.open[transaction.number]

    def now(self) -> datetime:
        self.ticks += 1
        return START + timedelta(seconds=self.ticks)

    # What the engine asks

    def identity(self) -> ServerIdentity:
        return ServerIdentity(self.identity_of, "server-1")

    def describe(self, table: str) -> TableFacts:
        return TableFacts(
            table=table,
            columns=COLUMNS,
            primary_key=("id",),
            unique_keys=(),
            rows_estimate=len(self.rows),
            bytes_estimate=100 * len(self.rows),
            indexes=(("id",), ("updated_at", "id")),
        )

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        return Protection("writers_finished", True)

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        maximum = self.maximum(spec.table, order[0])
        if maximum is None:
            return None
        source_time = self.now()
        writers = tuple(str(number) for number in self.open)
        provable = maximum if order[0].name == "id" else min(maximum, source_time)  # type: ignore[type-var]  # both times
        capture = Capture((maximum,), (provable,), source_time, "server-1", "writers_finished", writers)
        if order[0].name == "id":
            capture = replace(capture, allocated=(self.last_id,))
        return capture if writers else capture.with_proof()

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        still = set(map(str, self.open))
        return [c if c.proven or still & set(c.writers) else c.with_proof() for c in captures]

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        return self.now()

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        return max((getattr(row, cursor.name) for row in self.rows.values()), default=None)

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        found = self._found(read)[: read.limit]
        return (self._batch(found[at : at + BATCH_ROWS], read) for at in range(0, len(found), BATCH_ROWS))

    def count(self, read: Read) -> int:
        return 0 if read.null_cursor else len(self._found(read))

    def count_outside(self, table: str, column: str, prefixes: Sequence[str], where: str | None = None) -> int:
        return 0

    def lowest(self, read: Read) -> Scalar | None:
        found = self._found(read)
        return getattr(found[0], read.order[0].name) if found else None

    def checksum(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
        where: str | None = None,
    ) -> dict[int, tuple[int, int]]:
        return compared.sums(map(vars, self.rows.values()), columns, key, buckets, only)

    def key_rows(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets | Keys,
        beside: Sequence[Column] = (),
        where: str | None = None,
    ) -> pa.Table:
        return compared.answer([vars(row) for row in self.rows.values()], columns, key, rows, beside)

    def explain(self, read: Read) -> QueryPlan:
        return QueryPlan(len(self._found(read)), "by_cursor")

    def sql(self, read: Read) -> str:
        return "SELECT"

    def close(self) -> None: ...

    def _found(self, read: Read) -> list[Row]:
        def place(row: Row) -> tuple:
            return tuple(getattr(row, column.name) for column in read.order)

        def wanted(row: Row) -> bool:
            at = place(row)
            return (
                (read.after is None or compare(at, read.after) > 0)
                and (read.upto is None or compare(at, read.upto) <= 0)
                and (read.start is None or at[0] >= read.start)
                and (read.end is None or at[0] < read.end)
                and compared.is_wanted(vars(row), "id", read.keys)
            )

        return sorted(filter(wanted, self.rows.values()), key=place)

    def _batch(self, rows: Sequence[Row], read: Read) -> pa.RecordBatch:
        batch = pa.RecordBatch.from_pylist([vars(row) for row in rows], schema=SCHEMA)
        return batch.select([column.column.name for column in read.columns])
