"""What the contract's tests need of a warehouse, and loads whose files lie in a lake as the engine writes them.

A new warehouse joins by one module `on_<name>.py` with a context manager `opened(request)`, and its line in `conftest`.
The SQL of the tests is what all of them understand: quoted names, no functions but count, sum, min and max.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from syncer_assets.model.columns import Column
from syncer_assets.model.manifest import DataFile, Manifest, ManifestMode
from syncer_assets.model.marks import CursorColumn
from syncer_assets.model.report import LoadReport
from syncer_assets.model.table import Load, TableSpec, Target
from syncer_assets.sources.arrow import arrow_schema
from syncer_assets.sync.lake import Lake, Place
from syncer_assets.sync.load import deletes_schema, plan_load
from syncer_assets.warehouses.base import LedgerRow, LoadPlan, Warehouse

START = datetime(2026, 1, 1, tzinfo=UTC)
GENERATION = "generation-1"

ORDERS = (
    Column("id", "int64", "bigint", nullable=False),
    Column("status", "string", "text"),
    Column("amount", "decimal128(12, 2)", "numeric(12,2)"),
)


@dataclass(frozen=True)
class WarehouseUnderTest:
    """One kind of warehouse with an empty database and an empty lake that it can read.

    `query` runs the test's own SQL in a session of its own and returns the rows. `kill_sessions` ends every session of
    the adapter, as a server does that crashes. Within `lost_commit(True)` the next COMMIT of a load takes effect and
    its answer is lost; within `lost_commit(False)` the server never gets it.
    """

    name: str
    lake: Lake
    open: Callable[[], Warehouse]
    query: Callable[[str], list[Any]]
    kill_sessions: Callable[[], None]
    lost_commit: Callable[[bool], AbstractContextManager[None]]


@dataclass
class Extraction:
    """One manifest to be loaded: its rows, the keys that it found deleted, and the source time at which it read them.

    A deleted key is (key columns.., seconds at which the row in the target was read).
    """

    rows: Sequence[Sequence[Any]] | pa.Table
    captured: float | None = None
    mode: ManifestMode = "append"
    columns: Sequence[Column] | None = None
    deleted: Sequence[Sequence[Any]] = ()


@dataclass
class Loads:
    """A target and what was loaded into it so far: `load` writes the next manifest's files, plans and loads them."""

    under_test: WarehouseUnderTest
    warehouse: Warehouse
    columns: Sequence[Column] = ORDERS
    key: tuple[str, ...] = ("id",)
    cursor: tuple[str, ...] = ("id",)
    target: Target = field(default_factory=lambda: Target("w", "shop", "orders"))
    engine: str = "postgres"
    partition: str = "all"
    load_kind: Load = "upsert"
    registered: bool = False

    def register(self) -> None:
        self.warehouse.register(self.target, GENERATION)
        self.registered = True

    def load(self, rows: Sequence[Sequence[Any]] | pa.Table, captured: float | None = None, **plan: Any) -> LoadReport:
        """Load one manifest with these rows."""
        return self.load_all([Extraction(rows, captured, plan.pop("mode", "append"))], **plan)

    def load_all(self, extractions: Sequence[Extraction], **plan: Any) -> LoadReport:
        return self.warehouse.load(self.plan(extractions, **plan))

    def plan(self, extractions: Sequence[Extraction], **changes: Any) -> LoadPlan:
        """The plan of the next load, its files in the lake; `changes` replace its fields."""
        if not self.registered:
            self.register()
        done = self.warehouse.watermark(self.target, self.partition).seq
        manifests = [self._manifest(seq, extraction) for seq, extraction in enumerate(extractions, done + 1)]
        if not manifests:
            return self._nothing(done)
        spec = TableSpec("shop", "public.orders", self.key, self.cursor, load=self.load_kind)
        plan = plan_load(self.under_test.lake, spec, self.target, manifests, run_id="test")
        return replace(plan, **changes)

    def rows(self, *columns: str) -> list[Any]:
        """The target's rows by their first column; without `columns` those of ORDERS."""
        names = ", ".join(f'"{name}"' for name in columns or [column.name for column in ORDERS])
        where = f'"{self.target.schema}"."{self.target.table}"'
        found = map(tuple, self.under_test.query(f"SELECT {names} FROM {where}"))
        return sorted(found, key=lambda row: [str(value) for value in row])

    def ids(self) -> list[int]:
        return sorted(row[0] for row in self.rows("id"))

    def state(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Everything that a load may change, but for the epoch, which moves on with each attempt."""
        marks = [
            (mark.partition, mark.seq, mark.low, mark.safe, mark.high)
            for mark in self.warehouse.watermarks(self.target)
        ]
        there = self.warehouse.table_columns(self.target)
        names = [column.name for column in there]
        return self.rows(*names, "_syncer_captured_at") if there else [], marks, self.warehouse.ledger(self.target)

    def _manifest(self, seq: int, extraction: Extraction) -> Manifest:
        captured = at(seq if extraction.captured is None else extraction.captured)
        columns = tuple(extraction.columns or self.columns)
        rows = extraction.rows
        table: pa.Table = rows if isinstance(rows, pa.Table) else arrow(columns, rows)  # type: ignore[assignment]  # no stub of Table
        deletes = [(*key[:-1], at(key[-1])) for key in extraction.deleted]
        gone = _table(deletes_schema(columns, self.key), deletes)
        return Manifest(
            seq=seq,
            mode=extraction.mode,
            source="shop",
            engine=self.engine,
            source_identity="database-1",
            table="public.orders",
            partition=self.partition,
            low=None if seq == 1 else (seq - 1,),
            safe=(seq,),
            high=(seq,),
            proof="writers_finished",
            captures=(),
            captured_at=captured,
            key=self.key,
            cursor=self.cursor,
            order=tuple(CursorColumn(name, "integer") for name in self.cursor),
            columns=columns,
            files=self._write(seq, "part-00000", table),
            rows=table.num_rows,
            scheme="none",
            deletes=self._write(seq, "deletes-00000", gone),
        )

    def _write(self, seq: int, name: str, table: pa.Table) -> tuple[DataFile, ...]:
        """The file of these rows in the lake; none of no rows."""
        if not table.num_rows:
            return ()
        folder = Place("shop", "public.orders", self.partition).data(
            seq, hashlib.md5(repr(self.key).encode()).hexdigest()
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        body = buffer.getvalue()
        digest = hashlib.sha256(body).hexdigest()
        path = f"{folder}-{digest[:8]}/{name}.parquet"
        obstore.put(self.under_test.lake.store, path, body)
        return (DataFile(path, table.num_rows, len(body), digest),)

    def _nothing(self, done: int) -> LoadPlan:
        spec = TableSpec("shop", "public.orders", self.key, self.cursor, load=self.load_kind)
        plan = plan_load(self.under_test.lake, spec, self.target, [self._manifest(done + 1, Extraction([]))])
        return replace(plan, manifests=())


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def arrow(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows as the lake holds them; None where a row is shorter than the columns."""
    return _table(arrow_schema(columns), rows)


def numbers(report: LoadReport | LedgerRow) -> tuple[int, int, int, int, int]:
    """Rows inserted, updated, unchanged, stale, deduplicated; they add up to the rows that came in."""
    found = (
        report.rows_inserted,
        report.rows_updated,
        report.rows_unchanged,
        report.rows_stale,
        report.rows_deduplicated,
    )
    assert sum(found) == (report.rows if isinstance(report, LoadReport) else report.rows_in)
    return found


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    width = len(schema)
    values = list(zip(*(tuple(row) + (None,) * (width - len(row)) for row in rows), strict=True)) or [()] * width
    return pa.table([pa.array(column, field.type) for column, field in zip(values, schema, strict=True)], schema=schema)
