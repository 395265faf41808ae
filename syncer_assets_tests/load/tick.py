"""A tick of the sensor over many tables: how long, and what it asks of source and lake.

python -m syncer_assets_tests.load.tick TABLES [ROUND_TRIP_MS]      the long form; the facts as JSON
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import obstore

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.model.manifest import Manifest
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import Source
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets.sync.pending import pending
from syncer_assets_tests import privileges
from syncer_assets_tests.load.tables import create_tables, specs
from syncer_assets_tests.servers import Database, free_ports

ROWS = 10


@dataclass(frozen=True)
class Tick:
    """One look at all tables."""

    due: int
    seconds: float
    cpu_seconds: float
    listings: int
    reads: int


def look(source: Source, lake: Lake, tables: Sequence[TableSpec]) -> Tick:
    """A tick, timed, with the lake's requests counted."""
    with counted() as requests:
        began, cpu = time.monotonic(), time.process_time()
        due = pending(source, lake, tables)
        return Tick(len(due), time.monotonic() - began, time.process_time() - cpu, requests["list"], requests["get"])


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """The requests of the lake in this block."""
    requests: Counter[str] = Counter()
    calls = {"list": obstore.list, "get": obstore.get}

    def counting(name: str):  # a stand-in for the call of that name
        def call(*arguments: object, **named: object) -> object:
            requests[name] += 1
            return calls[name](*arguments, **named)  # type: ignore[arg-type]  # as it was called

        return call

    for name in calls:
        setattr(obstore, name, counting(name))
    try:
        yield requests
    finally:
        for name, call in calls.items():
            setattr(obstore, name, call)


def fill(source: Source, lake: Lake, tables: Sequence[TableSpec]) -> int:
    """Everything that is due as if it had been read: one extraction a shape, its manifest for all others of the shape.

    Returns the number of partitions.
    """
    made: dict[tuple[object, ...], Manifest] = {}
    due = pending(source, lake, tables)
    for item in due:
        shape = (item.spec.cursor, item.spec.partitions, item.partition)
        if shape not in made:
            extract(source, lake, item.spec, item.partition)
            head = lake.head(Place(item.spec.source, item.spec.table, item.partition))
            assert head is not None
            made[shape] = head
            continue
        place = Place(item.spec.source, item.spec.table, item.partition)
        body = made[shape].to_bytes().replace(made[shape].table.encode(), item.spec.table.encode())
        assert lake.put_if_absent(place.manifest(1), body)
    return len(due)


def main() -> None:
    count, round_trip_ms = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    from syncer_assets_tests.benchmarks.latency import delayed

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tick-")))
        settings = {"listen_addresses": "127.0.0.1", "port": str(free_ports(1)[0])}
        server = stack.enter_context(EmbeddedPostgres(folder / "pg", durable=False, settings=settings))
        database = Database.create(server, "many")
        database.execute(create_tables(count, ROWS))
        delay = delayed(int(settings["port"]), round_trip_ms) if round_trip_ms else nullcontext(settings["port"])
        port = stack.enter_context(delay)
        dsn = f"postgresql://{database.role}:{quote(privileges.PASSWORD)}@127.0.0.1:{port}/{database.name}"
        lake, tables = open_lake(f"file://{folder / 'lake'}"), specs(count)
        near = PostgresSource("shop", database.dsn)
        partitions = fill(near, lake, tables)
        near.close()
        source = PostgresSource("shop", dsn)
        ticks = [vars(look(source, lake, tables)) for _ in range(3)]
        source.close()
        print(json.dumps({"tables": count, "partitions": partitions, "round_trip_ms": round_trip_ms, "ticks": ticks}))


if __name__ == "__main__":
    main()
