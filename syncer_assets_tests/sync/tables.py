"""What the tests of the engine share: a source, a lake and a warehouse, and what lies in them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql

from syncer_assets.model.manifest import DataFile, Manifest
from syncer_assets.model.partition import UNPARTITIONED
from syncer_assets.model.report import CheckResult, LoadReport, SyncReport
from syncer_assets.model.table import Mode, TableSpec, Target
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import Lake, Place
from syncer_assets.sync.retry import Backoff
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database

QUICK = Backoff(base_seconds=0.01, cap_seconds=0.1, budget_seconds=5)
ORDERS = "CREATE TABLE orders (id bigserial PRIMARY KEY, status text, updated_at timestamptz NOT NULL DEFAULT now())"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A time of the tests' own calendar."""
    return EPOCH + timedelta(seconds=seconds)


def spec_of(table: str = "public.orders", cursor: Sequence[str] = ("updated_at",), **fields: Any) -> TableSpec:
    """A spec that does not lag, and waits only for sessions that come or go just now (the defaults: 5 min, 10 s)."""
    waits: dict[str, Any] = {"settle_seconds": 2.0, "late_commit_lag": timedelta(0)}
    return TableSpec(source="shop", table=table, cursor=tuple(cursor), **(waits | fields))


@dataclass
class Rig:
    """A source database of the test's own and what reads it. `events` are the engine's, as (event, fields)."""

    database: Database
    source: PostgresSource
    lake: Lake
    open_warehouse: Callable[[], tuple[Database, PostgresWarehouse]]
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    target: Target = field(default_factory=lambda: Target("analytics", "shop", "orders"))

    def sync(
        self,
        spec: TableSpec,
        partition: str = UNPARTITIONED,
        *,
        mode: Mode = "auto",
        on: Callable[[str, dict[str, Any]], None] | None = None,
        source: PostgresSource | None = None,
        writers_open: bool = False,
        **arguments: Any,
    ) -> SyncReport:
        """One extraction. `on` hears each event before the engine goes on. `writers_open`: waiting for them is vain."""
        if writers_open:
            spec = replace(spec, settle_seconds=0.0)

        def emit(event: str, **fields: Any) -> None:
            self.events.append((event, fields))
            if on is not None:
                on(event, fields)

        return extract(
            source or self.source, self.lake, spec, partition, mode=mode, emit=emit, backoff=QUICK, **arguments
        )

    def load(self, spec: TableSpec, partition: str = UNPARTITIONED) -> LoadReport:
        return load(self.lake, self.warehouse, spec, self.target, partition, backoff=QUICK)

    @property
    def warehouse(self) -> PostgresWarehouse:
        return self.open_warehouse()[1]

    @property
    def warehouse_db(self) -> Database:
        return self.open_warehouse()[0]

    def manifests(self, spec: TableSpec, partition: str = UNPARTITIONED) -> list[Manifest]:
        return self.lake.manifests(place_of(spec, partition))

    def head(self, spec: TableSpec, partition: str = UNPARTITIONED) -> Manifest:
        head = self.lake.head(place_of(spec, partition))
        assert head is not None
        return head

    def told(self, event: str) -> list[dict[str, Any]]:
        """The fields of every such event."""
        return [fields for name, fields in self.events if name == event]

    def rows_read(self) -> int:
        return sum(fields["rows_found"] for fields in self.told("chunk read"))

    def in_lake(self, spec: TableSpec, *columns: str, partition: str = UNPARTITIONED) -> "Counter[tuple]":
        """The rows that the lake has of a partition: of each key the newest extraction, as a reader would take them."""
        manifests = self.manifests(spec, partition)
        replaced = max((m.seq for m in manifests if m.mode == "replace"), default=0)
        newest: dict[tuple, tuple] = {}
        rows: Counter[tuple] = Counter()
        for manifest in (m for m in manifests if m.seq >= replaced):
            for file in manifest.files:
                if file.provisional and (manifest is not manifests[-1] or spec.load == "append"):
                    continue
                for row in rows_of(self.lake, file, [*manifest.key, *columns]):
                    key, values = row[: len(manifest.key)], row[len(manifest.key) :]
                    if spec.load == "append" or not key:
                        rows[values] += 1
                    else:
                        newest[key] = values
        return rows or Counter(newest.values())

    def in_source(self, spec: TableSpec, *columns: str, where: str = "true") -> "Counter[tuple]":
        return select(self.database, spec.table, columns, where)

    def in_warehouse(self, *columns: str) -> "Counter[tuple]":
        return select(self.warehouse_db, self.target.name, columns)


def select(database: Database, table: str, columns: Sequence[str], where: str = "true") -> "Counter[tuple]":
    """The rows of a table, counted."""
    statement = sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier(*table.split(".")),
        sql.SQL(where),  # type: ignore[arg-type]  # the test's own
    )
    with database.connect() as connection:
        return Counter(tuple(row) for row in connection.execute(statement))


def place_of(spec: TableSpec, partition: str = UNPARTITIONED) -> Place:
    return Place(spec.source, spec.table, partition)


def rows_of(lake: Lake, file: DataFile, columns: Sequence[str]) -> list[tuple]:
    """The rows of a data file."""
    with lake.batches(file, columns=list(dict.fromkeys(columns))) as batches:
        table = pa.Table.from_batches(list(batches))
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))


def check(report: SyncReport, name: str) -> CheckResult:
    """The inline check of that name."""
    return next(result for result in report.checks if result.name == name)


@contextmanager
def transaction(database: Database, *statements: str, role: str | None = None) -> Iterator[psycopg.Connection]:
    """A transaction that is open while the block runs; rolled back at its end unless the block ended it."""
    connection = database.connect(autocommit=False, role=role)
    try:
        for statement in statements:
            connection.execute(statement.encode())
        yield connection
    finally:
        connection.close()
