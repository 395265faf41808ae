"""Many tables syncing at once in one process: connections at the servers, memory, and rows.

python -m syncer_assets_tests.load.at_once TABLES ROWS      the long form; the facts as JSON
"""

import json
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import psycopg

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.load.tables import create_tables, specs
from syncer_assets_tests.servers import Database

CONNECTIONS = """
SELECT count(*) FILTER (WHERE datname = %s), count(*) FILTER (WHERE datname = %s) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@dataclass
class Peaks:
    """The most that was seen at a time."""

    source_connections: int = 0
    warehouse_connections: int = 0
    memory_mb: float = 0.0

    def watch(self, source: Database, warehouse: Database, stop: threading.Event) -> None:
        """Look until told to stop."""
        process = psutil.Process()
        with psycopg.connect(source.server.dsn(), autocommit=True) as connection:
            while not stop.wait(0.02):
                row = connection.execute(CONNECTIONS, (source.name, warehouse.name)).fetchone()
                assert row is not None
                self.source_connections = max(self.source_connections, row[0])
                self.warehouse_connections = max(self.warehouse_connections, row[1])
                self.memory_mb = max(self.memory_mb, process.memory_info().rss / 1e6)


def sync_at_once(folder: Path, count: int, rows: int) -> dict[str, float]:
    """Each table in a thread of its own, all at the same time; what it took, and whether every row arrived."""
    settings = {"max_connections": str(6 * count + 20)}
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="syncer-load-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        server = stack.enter_context(EmbeddedPostgres(data, durable=False, settings=settings))
        source, warehouse = Database.create(server, "source"), Database.create(server, "warehouse")
        source.execute(create_tables(count, rows))
        lake = open_lake(f"file://{folder / 'lake'}")
        tables = [replace(spec, partitions=PartitionScheme()) for spec in specs(count)]
        before = psutil.Process().memory_info().rss / 1e6
        peaks, stop = Peaks(), threading.Event()
        watch = threading.Thread(target=peaks.watch, args=(source, warehouse, stop))
        watch.start()
        began = time.monotonic()
        try:
            together = threading.Barrier(count)
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(lambda spec: sync(spec, source, warehouse, lake, together), tables))
        finally:
            stop.set()
            watch.join()
        arrived = sum(warehouse.scalar(f"SELECT count(*) FROM shop.{spec.name}") for spec in tables)
        return {
            "tables": count,
            "rows": count * rows,
            "rows_missing": count * rows - arrived,
            "seconds": time.monotonic() - began,
            "memory_before_mb": before,
            **vars(peaks),
        }


def sync(spec: TableSpec, source: Database, warehouse: Database, lake: Lake, together: threading.Barrier) -> None:
    """What a run of one table does, with connections of its own."""
    together.wait(timeout=200)
    reader = PostgresSource("shop", source.dsn)
    try:
        extract(reader, lake, spec)
    finally:
        reader.close()
    loader = PostgresWarehouse("analytics", warehouse.dsn)
    try:
        load(lake, loader, spec, Target("analytics", "shop", spec.name))
    finally:
        loader.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="at-once-") as folder:
        print(json.dumps(sync_at_once(Path(folder), int(sys.argv[1]), int(sys.argv[2]))))


if __name__ == "__main__":
    main()
