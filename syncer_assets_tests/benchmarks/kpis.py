"""The seeds' figures on generated id distributions: `kpis FOLDER COUNT TIMED` prints our numbers and the loop's.

The loop over fixed ranges has to ask once per range between its first and last id, and writes a file, and COPYs it, for
each range that has rows: its queries and files are counted from the ids. For some it runs, to be timed.
"""

import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

import psycopg

from syncer_assets.model.table import ChunkSettings, SparseSettings, TableSpec, Target
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.distributions import DENSE, SPARSE, Distribution, distributions

from .between import read_ranges

CHUNK = 50
MOST_RANGES = 2_000
"""Of a distribution on which the loop is run and timed."""


@dataclass
class Tally:
    """What one side took; `seconds` and `copies` of the timed distributions only."""

    files: int = 0
    copies: int = 0
    seconds: float = 0.0


def main() -> None:
    """Over the distributions that are sparse by their kind; false positives over those that are dense.

    Queries are saved on the mean, not in sum: one island at 10^12 ids would outweigh everything else.
    """
    folder, count, timed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    ours, fixed = Tally(), Tally()
    found: Counter[str] = Counter()
    detected: Counter[str] = Counter()
    saved: list[float] = []
    lost = 0
    lake = open_lake(f"file://{folder}")
    source = PostgresSource("bench", os.environ["BENCH_SOURCE_DSN"])
    with psycopg.connect(os.environ["BENCH_SOURCE_DSN"], autocommit=True) as connection:
        for number, each in enumerate(_signed(count)):
            _fill(connection, f"ids_{number}", each)
            report = extract(source, lake, _spec(f"ids_{number}"))
            lost += len(each.ids) - _rows(lake, f"ids_{number}")
            kind = "sparse" if each.kind in SPARSE else "dense" if each.kind in DENSE else ""
            found[kind] += 1
            detected[kind] += report.sparse_detections > 0
            if kind == "sparse":
                saved.append(100 * (1 - report.queries / each.fixed_queries))
                ours.files, fixed.files = ours.files + report.files, fixed.files + each.fixed_files
        source.close()
        timeable = (each for each in _signed(count) if each.kind in SPARSE and each.fixed_queries <= MOST_RANGES)
        for number, each in enumerate(islice(timeable, timed)):
            _fill(connection, f"timed_{number}", each)
            _time(lake, folder, f"timed_{number}", each, ours, fixed)
    facts = {
        "ours": asdict(ours),
        "fixed": asdict(fixed),
        "lost": lost,
        "queries_saved_percent": statistics.mean(saved),
        "saved_80_percent": 100 * sum(percent >= 80 for percent in saved) / len(saved),
        "sparse": found["sparse"],
        "dense": found["dense"],
        "detected_percent": 100 * detected["sparse"] / found["sparse"],
        "false_positives_percent": 100 * detected["dense"] / found["dense"],
    }
    print(json.dumps(facts))


def _signed(count: int) -> Iterator[Distribution]:
    """So many that a bigint holds."""
    return islice((each for each in distributions(2 * count, CHUNK, "kpis") if not each.unsigned), count)


def _fill(connection: psycopg.Connection, table: str, each: Distribution) -> None:
    connection.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, note text)".encode())
    with connection.cursor().copy(f"COPY {table} (id) FROM STDIN".encode()) as copy:
        copy.write("".join(f"{id_}\n" for id_ in each.ids))


def _spec(table: str) -> TableSpec:
    """Defaults, but for chunks as small as the tables."""
    return TableSpec(
        source="bench",
        table=f"public.{table}",
        cursor=("id",),
        key=("id",),
        late_commit_lag=timedelta(0),
        chunk=ChunkSettings(rows=CHUNK),
        sparse=SparseSettings(min_chunk_size_check=CHUNK // 2, max_chunk_size=10 * CHUNK),
    )


def _rows(lake: Lake, table: str) -> int:
    """What the lake holds of it: provisional rows count in the last manifest only."""
    manifests = lake.manifests(Place("bench", f"public.{table}", "all"))
    last = manifests[-1].seq
    return sum(file.rows for m in manifests for file in m.files if m.seq == last or not file.provisional)


def _time(lake: Lake, folder: Path, table: str, each: Distribution, ours: Tally, fixed: Tally) -> None:
    """One sync and load of ours, and one run of the loop, on servers that are a round trip away."""
    source = PostgresSource("bench", os.environ["BENCH_SOURCE_DELAYED_DSN"])
    warehouse = PostgresWarehouse("bench", os.environ["BENCH_WAREHOUSE_DELAYED_DSN"])
    started = time.monotonic()
    extract(source, lake, _spec(table))
    loaded = load(lake, warehouse, _spec(table), Target("bench", "ours", table))
    ours.seconds, ours.copies = ours.seconds + time.monotonic() - started, ours.copies + loaded.copies
    source.close()
    warehouse.close()
    into = folder / f"loop-{table}"
    into.mkdir()
    started = time.monotonic()
    with (
        psycopg.connect(os.environ["BENCH_SOURCE_DELAYED_DSN"], autocommit=True) as reader,
        psycopg.connect(os.environ["BENCH_WAREHOUSE_DELAYED_DSN"], autocommit=True) as target,
    ):
        counted = read_ranges(reader, target, table, ("note",), each.chunk, into, load=True)
    fixed.seconds, fixed.copies = fixed.seconds + time.monotonic() - started, fixed.copies + counted.copies
    if counted.rows != len(each.ids):
        raise AssertionError(f"the loop read {counted.rows} rows of {each.seed}, not {len(each.ids)}")


if __name__ == "__main__":
    main()
