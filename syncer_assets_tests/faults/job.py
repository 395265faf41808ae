"""A small job with one table of each kind, which a test, a child process and the oracle all understand."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.report import Emit, LoadReport, SyncReport, silent
from syncer_assets.model.table import ChunkSettings, FileSettings, Mode, TableSpec, Target
from syncer_assets.model.upkeep import (
    BloatLimit,
    BloatLimits,
    MaintenanceReport,
    MaintenanceRequest,
    RepairLimits,
    Upkeep,
)
from syncer_assets.sources.base import Source
from syncer_assets.sources.registry import open_source
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.sync.load import load
from syncer_assets.sync.pending import partition_keys
from syncer_assets.sync.reconcile import Reconciliation, reconcile
from syncer_assets.sync.retry import Backoff, retrying
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database

IMPATIENT = Backoff(base_seconds=0.02, cap_seconds=0.5, budget_seconds=40)
AT_ONCE = Backoff(base_seconds=0.001, cap_seconds=0.001, budget_seconds=0.001)
"""The first error is the last one."""
STARTED: list[subprocess.Popen[str]] = []
"""The children of this test."""

_SMALL = TableSpec(
    source="shop",
    table="",
    settle_seconds=3,
    chunk=ChunkSettings(rows=100),
    files=FileSettings(max_rows=150),
)
ORDERS = replace(_SMALL, table="public.orders", cursor=("updated_at",), late_commit_lag=timedelta(minutes=5))
ITEMS = replace(_SMALL, table="public.items", cursor=("id",), partitions=PartitionScheme(by="id", size=400))
EVENTS = replace(_SMALL, table="public.events", cursor=("id",), load="append")
COUNTRIES = replace(_SMALL, table="public.countries", load="replace", files=FileSettings(max_rows=20))
SPECS = (ORDERS, ITEMS, EVENTS, COUNTRIES)
"""By time with updates and a tail that is not final; by id in partitions; appended without a key; whole."""

_ANY = BloatLimit(0, 0)
EAGER = Upkeep(bloat=BloatLimits(_ANY, _ANY, _ANY), repair=RepairLimits(lock_timeout_seconds=60))
"""Every index that wastes a byte is rebuilt."""

_TABLES = """
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    status text,
    total numeric(12, 2),
    updated_at timestamptz NOT NULL
);
CREATE INDEX ON orders (updated_at);
INSERT INTO orders (status, total, updated_at)
SELECT 'new', i / 7.0, now() - interval '1 hour' + i * interval '8 seconds' FROM generate_series(1, 440) i;
CREATE TABLE items (id bigserial PRIMARY KEY, name text, price double precision);
INSERT INTO items (name, price) SELECT md5(i::text), i / 3.0 FROM generate_series(1, 700) i;
CREATE TABLE events (id bigserial, what text);
CREATE INDEX ON events (id);
INSERT INTO events (what) SELECT 'event ' || i FROM generate_series(1, 400) i;
CREATE TABLE countries (code text PRIMARY KEY, name text);
INSERT INTO countries SELECT chr(65 + i / 26) || chr(65 + i % 26), md5(i::text) FROM generate_series(0, 49) i;
"""

_WRITES = """
INSERT INTO orders (status, updated_at) SELECT 'new', clock_timestamp() FROM generate_series(1, 150);
UPDATE orders SET status = 'done', updated_at = clock_timestamp() WHERE id %% 11 = %(round)s %% 11;
INSERT INTO items (name, price) SELECT md5(i::text), i FROM generate_series(1, 330) i;
INSERT INTO events (what) SELECT 'later ' || i FROM generate_series(1, 330) i;
UPDATE countries SET name = name || '.' WHERE ascii(code) %% 7 = %(round)s %% 7;
DELETE FROM countries WHERE code = chr(65 + %(round)s / 26) || chr(65 + %(round)s %% 26);
INSERT INTO countries VALUES ('n' || %(round)s, 'new');
"""


@dataclass(frozen=True)
class Job:
    """What a process needs in order to sync these tables. It can be pickled."""

    source_dsn: str
    lake_url: str
    warehouse_dsn: str
    specs: tuple[TableSpec, ...] = SPECS
    source_settings: dict[str, str] = field(default_factory=dict)
    warehouse_settings: dict[str, str] = field(default_factory=dict)
    backoff: Backoff = IMPATIENT

    def only(self, *specs: TableSpec) -> "Job":
        return replace(self, specs=specs)

    @contextmanager
    def opened(self) -> Iterator["Opened"]:
        """The connections; nothing is asked of a server yet."""
        source = open_source("shop", "postgres", self.source_dsn, insecure=False, **self.source_settings)
        warehouse = PostgresWarehouse("dw", self.warehouse_dsn, self.warehouse_settings)
        try:
            yield Opened(self, source, open_lake(self.lake_url), warehouse)
        finally:
            source.close()
            warehouse.close()

    def run(self, emit: Emit = silent, mode: Mode = "auto") -> "Done":
        """Everything, once."""
        with self.opened() as opened:
            return opened.run(emit, mode)


@dataclass(frozen=True)
class Done:
    """The reports of one run."""

    syncs: list[SyncReport]
    loads: list[LoadReport]


@dataclass(frozen=True)
class Opened:
    """A job with its connections."""

    job: Job
    source: Source
    lake: Lake
    warehouse: PostgresWarehouse

    def run(self, emit: Emit = silent, mode: Mode = "auto") -> Done:
        """Extract every partition of every table that has rows, then load it."""
        syncs, loads = [], []
        for spec in self.job.specs:
            for key in retrying(partial(partition_keys, self.source, spec), self.job.backoff):
                syncs.append(self.extract(spec, key, emit, mode))
                loads.append(self.load(spec, key, emit))
        return Done(syncs, loads)

    def extract(self, spec: TableSpec, partition: str = "all", emit: Emit = silent, mode: Mode = "auto") -> SyncReport:
        return extract(self.source, self.lake, spec, partition, mode=mode, emit=emit, backoff=self.job.backoff)

    def load(self, spec: TableSpec, partition: str = "all", emit: Emit = silent) -> LoadReport:
        target = target_of(spec)
        return load(self.lake, self.warehouse, spec, target, partition, emit=emit, backoff=self.job.backoff)

    def repair(self, spec: TableSpec, emit: Emit = silent) -> MaintenanceReport:
        """VACUUM, ANALYZE, REINDEX CONCURRENTLY."""
        return self.warehouse.maintain(target_of(spec), EAGER, MaintenanceRequest("repair"), emit=emit)

    def reconcile(self, spec: TableSpec, emit: Emit = silent) -> Reconciliation:
        """Compare, and repair through the lake."""
        return reconcile(
            self.source,
            self.warehouse,
            spec,
            target_of(spec),
            lake=self.lake,
            emit=emit,
            backoff=self.job.backoff,
        )


def target_of(spec: TableSpec) -> Target:
    """Where a table of the job is loaded."""
    return Target("dw", "shop", spec.name)


def make_tables(source: Database) -> None:
    """The job's tables, with the rows that the first run finds."""
    source.execute(_TABLES)


def write(source: Database, round: int) -> None:
    """New and changed rows, others in each round."""
    for statement in _WRITES.strip().split(";\n"):
        source.execute(statement.removesuffix(";"), {"round": round})


def start_worker(
    job: Job, folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """A child that runs the job, see `worker`; its output is JSON lines."""
    path = folder / f"job-{len(list(folder.glob('job-*')))}.pickle"
    path.write_bytes(pickle.dumps(job))
    child = subprocess.Popen(
        [sys.executable, "-m", "syncer_assets_tests.faults.worker", str(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=Path(__file__).parents[2],
    )
    STARTED.append(child)
    return child


def lake_objects(lake: Lake) -> list[str]:
    """Every object of a lake, and every file that is none (an upload that was cut off)."""
    if lake.root is not None:
        return sorted(str(path.relative_to(lake.root)) for path in lake.root.rglob("*") if path.is_file())
    import obstore

    return sorted(meta["path"] for page in obstore.list(lake.store) for meta in page)


def data_objects(lake: Lake) -> Sequence[str]:
    """The Parquet objects."""
    return [path for path in lake_objects(lake) if "/data/" in path]
