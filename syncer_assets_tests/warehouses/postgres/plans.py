"""Load plans whose files are Arrow tables in memory: what the engine would make from manifests of a lake."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from syncer_assets.model.columns import Column
from syncer_assets.model.manifest import DataFile, Manifest, ManifestMode
from syncer_assets.model.marks import CursorColumn
from syncer_assets.model.report import LoadReport
from syncer_assets.model.table import Target
from syncer_assets.warehouses.base import DeleteMissing, LiveFile, LoadPlan
from syncer_assets.warehouses.postgres import PostgresWarehouse

START = datetime(2026, 1, 1, tzinfo=UTC)
GENERATION = "generation-1"

ORDERS = (
    Column("id", "int64", "bigint", nullable=False),
    Column("status", "string", "text"),
    Column("amount", "decimal128(12, 2)", "numeric(12,2)"),
)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def arrow(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows as the lake would hold them; None where a row is shorter than the columns."""
    from syncer_assets.warehouses.postgres.types import arrow_type

    values = zip(*(tuple(row) + (None,) * (len(columns) - len(row)) for row in rows), strict=True) if rows else ()
    arrays = list(values) or [()] * len(columns)
    return pa.table({c.name: pa.array(array, arrow_type(c.type)) for c, array in zip(columns, arrays, strict=True)})


@dataclass
class Extraction:
    """One manifest to be loaded: its rows, and the source time at which they were read."""

    rows: Sequence[Sequence[Any]] | pa.Table
    captured: float | None = None
    mode: ManifestMode = "append"
    columns: Sequence[Column] | None = None


@dataclass
class Loads:
    """A target and what was loaded into it so far: `load` makes the next plan and runs it."""

    warehouse: PostgresWarehouse
    columns: Sequence[Column] = ORDERS
    key: tuple[str, ...] = ("id",)
    target: Target = field(default_factory=lambda: Target("w", "shop", "orders"))
    engine: str = "postgres"
    partition: str = "all"
    load_kind: str = "upsert"
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
        """The plan of the next load; `changes` replace its fields."""
        if not self.registered:
            self.register()
        done = self.warehouse.watermark(self.target, self.partition).seq
        manifests, live, tables = [], [], {}
        for seq, extraction in enumerate(extractions, done + 1):
            columns = tuple(extraction.columns or self.columns)
            rows = extraction.rows
            table: Any = rows if isinstance(rows, pa.Table) else arrow(columns, rows)
            captured = at(seq if extraction.captured is None else extraction.captured)
            files: tuple[DataFile, ...] = ()
            if table.num_rows:
                file = DataFile(f"data/{seq}/part-0.parquet", table.num_rows, table.nbytes, "sha")
                tables[file.path] = table
                files = (file,)
                live.append(LiveFile(seq, captured, file))
            manifests.append(self._manifest(seq, extraction.mode, captured, columns, files, table.num_rows))
        plan = LoadPlan(
            target=self.target,
            partition=self.partition,
            load=self.load_kind,  # type: ignore[arg-type]  # tests pass one of its values
            key=self.key,
            columns=tuple(extractions[-1].columns or self.columns) if extractions else tuple(self.columns),
            engine=self.engine,
            expected_seq=done,
            manifests=tuple(manifests),
            files=tuple(live),
            superseded={},
            open_file=opener(tables),
            run_id="test",
        )
        return replace(plan, **changes)

    def _manifest(
        self,
        seq: int,
        mode: ManifestMode,
        captured: datetime,
        columns: tuple[Column, ...],
        files: tuple[DataFile, ...],
        rows: int,
    ) -> Manifest:
        return Manifest(
            seq=seq,
            mode=mode,
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
            cursor=("id",),
            order=(CursorColumn("id", "integer"),),
            columns=columns,
            files=files,
            rows=rows,
            scheme="none",
        )


def opener(tables: dict[str, pa.Table]) -> Callable[..., Any]:
    @contextmanager
    def open_file(file: DataFile) -> Iterator[Iterator[pa.RecordBatch]]:
        yield iter(tables[file.path].to_batches())

    return open_file


def whole_table(captured: float, **changes: Any) -> DeleteMissing:
    return DeleteMissing(captured_at=at(captured), **changes)
