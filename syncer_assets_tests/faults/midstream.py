"""A wide table that takes a while to read, and a source to which something happens while a query of it is under way."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from syncer_assets.model.report import Emit
from syncer_assets.model.table import ChunkSettings, TableSpec
from syncer_assets.sources.base import Source
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import Lake, Place
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.faults.record import counted, struck, whole
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Database

ROWS = 60_000
"""Of 500 bytes each: more than sockets hold, so that a query runs while its first rows are used."""
BATCH_ROWS = 5_000
WIDE = TableSpec(
    "shop", "wide", cursor=("id",), settle_seconds=2, late_commit_lag=timedelta(0), chunk=ChunkSettings(ROWS)
)
PATIENT = Backoff(base_seconds=0.05, cap_seconds=1, budget_seconds=90)


def fill(database: Database | MariaDatabase) -> None:
    """Make the table."""
    if isinstance(database, MariaDatabase):
        database.execute("CREATE TABLE wide (id int PRIMARY KEY, pad char(250) NOT NULL, more char(250))")
        database.execute(f"INSERT INTO wide SELECT seq, REPEAT(seq % 10, 250), REPEAT('x', 250) FROM seq_1_to_{ROWS}")
    else:
        database.execute(
            "CREATE TABLE wide (id int PRIMARY KEY, pad text);"
            f" INSERT INTO wide SELECT i, repeat('x', 500) FROM generate_series(1, {ROWS}) i"
        )


def spec_of(source: Source) -> TableSpec:
    """The table as the source names it."""
    return replace(WIDE, table="wide" if source.engine == "mysql" else "public.wide")


def disturb(source: Any, what: Callable[[], object], *, times: int = 1, after: int = 2) -> None:
    """Call `what` behind the batch of that number, counted from 1, of the first reads that have so many."""
    batches, left = source._batches, times

    def disturbed(*arguments: Any) -> Iterator[pa.RecordBatch]:
        nonlocal left
        for number, batch in enumerate(batches(*arguments), 1):
            yield batch
            if number == after and left:
                left -= 1
                struck()
                what()

    source._batches = disturbed


def assert_read_whole(source: Source, lake: Lake, emit: Emit, spec: TableSpec | None = None) -> None:
    """Read the table: each row is in the lake, once."""
    spec = spec or spec_of(source)
    extract(source, lake, spec, emit=emit, backoff=PATIENT)
    ids: Counter[int] = Counter()
    for manifest in lake.manifests(Place(spec.source, spec.table, "all")):
        for file in manifest.files:
            with lake.batches(file, columns=["id"]) as batches:
                for batch in batches:
                    ids.update(batch.column("id").to_pylist())
    lost, doubled = ROWS - len(ids), sum(ids.values()) - len(ids)
    counted(lost=lost, doubled=doubled)
    assert (lost, doubled, min(ids), max(ids)) == (0, 0, 1, ROWS)
    whole()
