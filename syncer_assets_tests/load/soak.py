"""Incremental rounds while people write: what a process and the servers hold after each one. For drift shows late.

python -m syncer_assets_tests.load.soak ROUNDS      the long form; the facts as JSON on the last line
"""

import gc
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg
import psutil
import psycopg

from syncer_assets.components.deployment import Deployment, add_partition, load_deployment
from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.sync.lake import Place
from syncer_assets.sync.pending import pending
from syncer_assets_tests.components.deployments import write_defs
from syncer_assets_tests.servers import Database

TABLES = """
- {table: public.orders, cursor: updated_at, late_commit_lag: 1s, settle_seconds: 0}
- {table: public.items, cursor: id, settle_seconds: 0, partitions: {by: id, size: 2000}}
- {table: public.events, cursor: id, load: append, settle_seconds: 0}
"""
SCHEMA = """
CREATE TABLE orders (id bigserial PRIMARY KEY, status text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON orders (updated_at);
CREATE TABLE items (id bigserial PRIMARY KEY, sku text);
CREATE TABLE events (id bigserial PRIMARY KEY, what text);
INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, 500);
INSERT INTO items (sku) SELECT 'SKU-' || i FROM generate_series(1, 500) i;
INSERT INTO events (what) SELECT 'first' FROM generate_series(1, 500);
"""
WRITES = (
    "INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, 5)",
    "UPDATE orders SET status = 'done', updated_at = clock_timestamp() WHERE id = %(id)s",
    "INSERT INTO items (sku) SELECT 'more' FROM generate_series(1, 5)",
    "INSERT INTO events (what) SELECT 'later' FROM generate_series(1, 5)",
)
OBJECTS_A_SYNC = 3
"""A manifest, a file of rows that are final, one of rows that are not."""


@dataclass(frozen=True)
class State:
    """What is held after a round. Connections are those at the server, but for the writers' and the one that asks."""

    memory_mb: float
    open_files: int
    threads: int
    connections: int
    slots: int
    manifests: int
    ledger_rows: int
    lake_objects: int
    temporary_files: int


def soak(folder: Path, rounds: int, seed: int = 1) -> Iterator[State]:
    """Every pending partition is brought through, round by round, while two writers commit and roll back."""
    with ExitStack() as stack:
        data = Path(tempfile.mkdtemp(prefix="syncer-soak-"))
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        server = stack.enter_context(EmbeddedPostgres(data, durable=False))
        source, warehouse = Database.create(server, "source"), Database.create(server, "warehouse")
        source.execute(SCHEMA)
        stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(folder / "temporary")
        Path(tempfile.tempdir).mkdir()
        os.environ |= {
            "TEST_LAKE": f"file://{folder / 'lake'}",
            "TEST_SHOP_DSN": source.dsn,
            "TEST_ANALYTICS_DSN": warehouse.dsn,
        }
        deployment = load_deployment(write_defs(folder / "defs", TABLES))
        instance = stack.enter_context(dg.instance_for_test(temp_dir=str(folder)))
        stack.enter_context(writers(source, seed))
        for _ in range(rounds):
            sync_what_is_pending(deployment, instance)
            yield state(deployment, instance, source, warehouse)


def sync_what_is_pending(deployment: Deployment, instance: dg.DagsterInstance) -> None:
    """A run a partition, as the sensor asks for them. Raises what a run raises."""
    by_name = {table.spec.table: table for table in deployment.tables}
    with deployment.source("shop").open() as source:
        due = pending(source, deployment.lake.open(), [table.spec for table in deployment.tables])
    for item in due:
        table = by_name[item.spec.table]
        add_partition(instance, table, item.partition)
        key = item.partition if table.is_partitioned else None
        dg.materialize(deployment.assets(table, maintenance=False), partition_key=key, instance=instance)


@contextmanager
def writers(database: Database, seed: int) -> Iterator[None]:
    """Two sessions that write small transactions until the block ends; each tenth one is rolled back."""
    stop = threading.Event()

    def write(number: int) -> None:
        choose = random.Random(seed + number)
        with psycopg.connect(database.admin_dsn, application_name="writer") as connection:
            while not stop.wait(choose.uniform(0.02, 0.1)):
                connection.execute(choose.choice(WRITES).encode(), {"id": choose.randint(1, 500)})
                (connection.rollback if choose.random() < 0.1 else connection.commit)()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def state(deployment: Deployment, instance: dg.DagsterInstance, source: Database, warehouse: Database) -> State:
    """What is held now."""
    gc.collect()
    process, lake = psutil.Process(), deployment.lake.open()
    assert lake.root is not None
    places = [
        Place(table.spec.source, table.spec.table, key)
        for table in deployment.tables
        for key in lake.partitions(table.spec.source, table.spec.table)
    ]
    pools = (pool for table in deployment.tables for pool in (table.pool, table.load_pool))
    slots = (instance.event_log_storage.get_concurrency_info(pool) for pool in pools)
    return State(
        memory_mb=process.memory_info().rss / 1e6,
        open_files=process.num_fds(),
        threads=process.num_threads(),
        connections=source.scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s) AND backend_type = 'client backend'"
            " AND application_name <> 'writer' AND pid <> pg_backend_pid()",
            ([source.name, warehouse.name],),
        ),
        slots=sum(info.active_slot_count for info in slots),
        manifests=sum(len(lake.seqs(place)) for place in places),
        ledger_rows=warehouse.scalar("SELECT count(*) FROM _syncer.loads"),
        lake_objects=sum(path.is_file() for place in places for path in (lake.root / place.folder).rglob("*")),
        temporary_files=len(list(Path(tempfile.gettempdir()).iterdir())),
    )


def growth_percent(values: list[float]) -> float:
    """The median of the last quarter against that of the second one: the first one is for warming up."""
    quarter = max(1, len(values) // 4)
    return 100 * (statistics.median(values[-quarter:]) / statistics.median(values[quarter : 2 * quarter]) - 1)


def main() -> None:
    rounds = int(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        states: list[State] = []
        for number, found in enumerate(soak(Path(folder), rounds), 1):
            states.append(found)
            if number % 20 == 0:
                print(number, json.dumps(asdict(found)), file=sys.stderr, flush=True)
    facts = {
        "rounds": rounds,
        "memory_growth_percent": growth_percent([one.memory_mb for one in states]),
        "first": asdict(states[0]),
        "middle": asdict(states[len(states) // 2]),
        "last": asdict(states[-1]),
        "connections_most": max(one.connections for one in states),
        "slots_most": max(one.slots for one in states),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
