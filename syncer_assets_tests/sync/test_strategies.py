"""Strategies on a real PostgreSQL: pages, ranges, several readers bring the same rows and say why they were chosen."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from random import Random
from threading import Barrier, Semaphore
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.marks import encode_scalar
from syncer_assets.model.report import METRICS
from syncer_assets.model.table import ChunkSettings, FileSettings, SizeSettings, SparseSettings, TableSpec
from syncer_assets.sources.base import Read
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import chunks, extract
from syncer_assets.sync.lake import open_lake
from syncer_assets.sync.parquet import FileSink
from syncer_assets.sync.plan import plan
from syncer_assets_tests.distributions import HIGHEST_UNSIGNED, KINDS, distributions
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.sync.fake_table import FakeTable
from syncer_assets_tests.sync.tables import ORDERS, Rig, place_of, rows_of, spec_of, transaction
from syncer_assets_tests.sync.test_every_row_once import read

CHUNK = 40
SPEC = spec_of(
    cursor=["id"],
    chunk=ChunkSettings(rows=CHUNK),
    sparse=SparseSettings(min_chunk_size_check=CHUNK // 2, max_chunk_size=10 * CHUNK),
)
SHARED = SizeSettings(streaming_mb=1e-9, parallel_mb=1e-9, parallel_rows=1)
SEVERAL = replace(SPEC, workers=3, sizes=SHARED)
BY: dict[str, TableSpec] = {
    "keyset": replace(SPEC, strategy="keyset"),
    "range": replace(SPEC, strategy="range"),
    "several readers": SEVERAL,
    "several readers of ranges": replace(SEVERAL, strategy="range"),
}


def fill(connection: psycopg.Connection, ids: "tuple[int, ...] | range") -> None:
    connection.execute("TRUNCATE orders")
    with connection.cursor().copy("COPY orders (id) FROM STDIN") as copy:
        for id_ in ids:
            copy.write_row((id_,))
    connection.execute("ANALYZE orders")


@pytest.mark.parametrize("by", BY)
def test_every_row_of_many_distributions_is_read_once(rig: Rig, by: str) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    kinds = [kind for kind in KINDS if kind != "near 2^64"]  # PostgreSQL has no unsigned integers
    with rig.database.connect() as connection:
        for number, found in enumerate(distributions(2 * len(kinds), CHUNK, name=by, kinds=kinds)):
            assert found.ids[-1] < HIGHEST_UNSIGNED
            fill(connection, found.ids)
            random = Random(found.seed)
            spec = replace(BY[by], source=f"shop-{number}", load=random.choice(["upsert", "append"]))
            report = rig.sync(spec)
            assert read(rig, spec) == list(found.ids), found.seed
            assert report.rows == len(found.ids)
            assert report.queries <= found.fixed_queries + 2, found.seed
            if by == "keyset":
                assert report.queries <= ceil(len(found.ids) / CHUNK) + 1, found.seed


@pytest.mark.parametrize("by", BY)
def test_every_row_of_unsigned_ids_is_read_once_from_mariadb(maria_db: MariaDatabase, lake_dir: Path, by: str) -> None:
    maria_db.execute("CREATE TABLE orders (id bigint unsigned PRIMARY KEY)")
    kinds = ["near 2^64", "sparse", "one island far away", "dense"]
    source, lake = MySQLSource("shop", maria_db.dsn), open_lake(f"file://{lake_dir}")
    try:
        for number, found in enumerate(distributions(len(kinds), CHUNK, name=by, kinds=kinds)):
            maria_db.execute("DELETE FROM orders")
            maria_db.execute(f"INSERT INTO orders VALUES {', '.join(f'({id_})' for id_ in found.ids)}")
            maria_db.execute("ANALYZE TABLE orders")
            spec = replace(BY[by], table="orders", source=f"shop-{number}")
            report = extract(source, lake, spec)
            ids = [
                id_
                for manifest in lake.manifests(place_of(spec))
                for file in manifest.files
                for (id_,) in rows_of(lake, file, ["id"])
            ]
            assert sorted(ids) == list(found.ids), found.seed
            assert report.queries <= found.fixed_queries + 2, found.seed
    finally:
        source.close()


def test_ranges_end_early_only_on_proof(rig: Rig) -> None:
    """The partition ends far above its last row: the answer that nothing is left ends the loop."""
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    rig.database.execute("INSERT INTO orders SELECT generate_series(1, 30) UNION SELECT 2000000")
    spec = replace(SPEC, strategy="range", partitions=replace(SPEC.partitions, by="id", size=1_000_000))
    report = rig.sync(spec, "000000000000-000000999999")
    assert report.rows == 30 and report.queries == 7
    [told] = [fields for fields in rig.told("Sparse ID sequence detected") if "next_id" in fields]
    assert told["optimization"] == "ended early: no row is left up to the ceiling" and told["next_id"] is None
    assert read_partition(rig, spec, "000000000000-000000999999") == list(range(1, 31))


def test_ranges_jump_to_an_island_far_away(rig: Rig) -> None:
    """The seed's `break` lost these rows."""
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    rig.database.execute("INSERT INTO orders SELECT generate_series(1, 10)")
    rig.database.execute("INSERT INTO orders SELECT 10^12::bigint + g FROM generate_series(1, 100) g")
    spec = replace(SPEC, strategy="range")
    report = rig.sync(spec)
    assert read(rig, spec) == [*range(1, 11), *range(10**12 + 1, 10**12 + 101)]
    assert report.queries < 12 and report.sparse_detections > 1 and report.queries_saved > 10**9
    [told] = [fields for fields in rig.told("Sparse ID sequence detected") if fields.get("next_id")]
    assert told["next_id"] == 10**12 + 1 and told["optimization"] == "jumped over the gap"


def read_partition(rig: Rig, spec: TableSpec, key: str) -> list[int]:
    return sorted(id_ for (id_,) in rig.in_lake(spec, "id", partition=key).elements())


@pytest.mark.parametrize(
    ("index", "cursor", "strategy", "reason"),
    [
        ("PRIMARY KEY (id)", "id", "keyset", "an index on id serves pages in order"),
        ("", "id", "keyset", "no index serves id"),
        ("brin", "id", "range", "but by_brin serves ranges of id"),
        ("PRIMARY KEY (id)", "at", "keyset", "the cursor is no single integer"),
    ],
)
def test_auto_takes_what_the_indexes_serve_and_says_so(
    rig: Rig, index: str, cursor: str, strategy: str, reason: str
) -> None:
    constraint = f", {index}" if index.startswith("P") else ""
    rig.database.execute(f"CREATE TABLE orders (id bigint NOT NULL, at timestamptz NOT NULL, note text{constraint})")
    rig.database.execute(
        "INSERT INTO orders SELECT g, '2024-01-01'::timestamptz + g * interval '1 s', repeat('x', 100)"
        " FROM generate_series(1, 30000) g"
    )
    if index == "brin":
        rig.database.execute("CREATE INDEX by_brin ON orders USING brin (id) WITH (pages_per_range = 1)")
    rig.database.execute("VACUUM ANALYZE orders".replace("VACUUM ", ""))
    spec = spec_of(cursor=[cursor], key=("id",), chunk=ChunkSettings(rows=1000))
    [planned] = plan(rig.source, None, spec).partitions
    report = rig.sync(spec)
    [chosen] = rig.told("strategy chosen")
    assert report.strategy == planned.strategy == chosen["strategy"] == strategy
    assert report.strategy_reason == planned.strategy_reason == chosen["reason"]
    assert reason in report.strategy_reason
    assert report.rows == 30_000


def test_ranges_of_what_is_no_integer_are_refused(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) VALUES ('x')")
    with pytest.raises(ConfigError, match=r"`strategy: range` needs one integer cursor, not updated_at.*Fix: use"):
        rig.sync(spec_of(strategy="range"))
    assert rig.manifests(spec_of()) == []


def test_the_size_of_a_window_decides_how_it_is_read(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT repeat('x', 50) FROM generate_series(1, 20000)")
    sizes = SizeSettings(streaming_mb=0.5, parallel_mb=1, parallel_rows=10_000)
    spec = spec_of(cursor=["id"], chunk=ChunkSettings(rows=1000), sizes=sizes)

    def size_class(**fields: Any) -> tuple[str, int]:
        report = rig.sync(replace(spec, source=f"shop-{len(rig.events)}", **fields))
        assert report.rows == 20_000
        return report.size_class, report.workers

    assert size_class() == ("streaming", 1), "never analysed"
    rig.database.execute("ANALYZE orders")
    assert size_class(sizes=SizeSettings()) == ("standard", 1)
    assert size_class() == ("streaming", 1)
    assert size_class(workers=3) == ("parallel", 3)
    assert size_class(workers=3, memory_mb=128) == ("parallel", 2), "a reader needs 64 MB"
    assert size_class(workers=3, memory_mb=100) == ("streaming", 1)
    assert size_class(workers=3, sizes=replace(sizes, parallel_rows=20_001)) == ("streaming", 1)
    assert size_class(workers=3, sizes=replace(sizes, parallel_mb=10)) == ("streaming", 1)
    assert size_class(workers=3, cursor=("updated_at",)) == ("streaming", 1)
    assert size_class(workers=3, chunk=ChunkSettings(rows=5000)) == ("streaming", 1), "too few ids to share out"


def filled(rig: Rig, rows: int = 6000) -> TableSpec:
    """A table that three readers share in several rounds."""
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, %s)", [rows])
    rig.database.execute("ANALYZE orders")
    return replace(SEVERAL, files=FileSettings(max_rows=500))


def test_rounds_are_committed_on_the_way_and_tile_the_window(rig: Rig) -> None:
    spec = filled(rig)
    report = rig.sync(spec)
    manifests = rig.manifests(spec)
    assert report.workers == 3 and len(manifests) > 2
    assert [fields["workers"] for fields in rig.told("round opened")] == [3] * len(manifests)
    for earlier, later in pairwise(manifests):
        assert later.low == earlier.safe == earlier.high
        assert max(str(file.max) for file in earlier.files) < min(str(file.min) for file in later.files)
    assert read(rig, spec) == list(range(1, 6001))
    rig.load(spec)
    assert rig.in_warehouse("id") == rig.in_source(spec, "id")
    assert rig.sync(spec).nothing_new


class Killed(Exception):
    """Raised into a reader's thread."""


@pytest.mark.parametrize("chunk", [1, 30, 80])
def test_an_error_of_one_reader_stops_all_and_leaves_nothing_half_done(rig: Rig, chunk: int) -> None:
    spec = filled(rig)
    seen: list[str] = []

    def kill(event: str, fields: dict[str, Any]) -> None:
        if event == "chunk read":
            seen.append(event)
            if len(seen) == chunk:
                raise Killed

    with pytest.raises(Killed):
        rig.sync(spec, on=kill)
    committed = rig.manifests(spec)
    done = max((int(str(m.safe[0])) for m in committed if m.safe), default=0)
    assert sorted(rig.in_lake(spec, "id")) == [(id_,) for id_ in range(1, done + 1)]
    rig.sync(spec)
    assert read(rig, spec) == list(range(1, 6001))
    assert orphans(rig, spec) == set()


class Dropping(PostgresSource):
    """Loses its connection in the midst of every fifth query, once it has brought a row or more."""

    asked = 0

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        self.asked += 1
        drop = self.asked % 5 == 0
        for batch in super().read(read, server):
            yield batch.slice(0, 7) if drop else batch
            if drop:
                raise DbError("server closed the connection", retryable=True)


def test_readers_whose_connection_is_lost_read_on_behind_their_last_row(rig: Rig) -> None:
    spec = filled(rig)
    source = Dropping("shop", rig.database.dsn)
    try:
        rig.sync(spec, source=source)
    finally:
        source.close()
    assert len(rig.told("source connection lost, reading on")) > 10
    assert read(rig, spec) == list(range(1, 6001))


def test_a_lost_race_is_told_from_any_reader(rig: Rig) -> None:
    """Another sync takes the `seq` while the readers are at work: this attempt is thrown away."""
    spec = filled(rig)
    raced: list[str] = []

    def race(event: str, fields: dict[str, Any]) -> None:
        if event == "round opened" and not raced:
            raced.append(event)
            rig.sync(replace(spec, workers=1))

    rig.sync(spec, on=race)
    assert [fields["reason"] for fields in rig.told("attempt thrown away")] == ["lost_race"]
    assert read(rig, spec) == list(range(1, 6001))
    assert orphans(rig, spec) == set()


def test_what_is_not_final_is_provisional_behind_several_readers(rig: Rig) -> None:
    spec = filled(rig)
    rig.sync(spec)
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')") as writer:
        rig.database.execute("INSERT INTO orders (status) SELECT 'y' FROM generate_series(1, 3000)")
        rig.database.execute("ANALYZE orders")
        rig.sync(spec, writers_open=True)
        head = rig.head(spec)
        assert head.safe == (6000,) and {file.provisional for file in head.files} == {True}
        writer.commit()
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('later')") as writer:
        rig.database.execute("INSERT INTO orders (status) SELECT 'z' FROM generate_series(1, 500)")
        rig.events.clear()
        report = rig.sync(spec, writers_open=True)
        assert (report.safe, report.ceiling, report.workers) == ("9001", "9502", 3)
        assert rig.told("round opened")[-1]["up_to"] == 9001, "the readers share what is final"
        head = rig.head(spec)
        assert sum(file.rows for file in head.files if file.provisional) == 500
        writer.commit()
    rig.sync(spec)
    rig.load(spec)
    assert rig.in_warehouse("id") == rig.in_source(spec, "id")


def test_a_full_read_by_several_readers_is_one_manifest(rig: Rig) -> None:
    spec = filled(rig)
    rig.sync(spec)
    rig.database.execute("UPDATE orders SET status = 'z' WHERE id % 2 = 0")
    before = rig.head(spec).seq
    report = rig.sync(spec, mode="full")
    assert (report.manifests, rig.head(spec).seq, rig.head(spec).mode) == (1, before + 1, "replace")
    assert report.workers == 3
    assert rig.in_lake(spec, "id", "status") == rig.in_source(spec, "id", "status")


def orphans(rig: Rig, spec: TableSpec) -> set[str]:
    root = rig.lake.root
    assert root is not None
    named = {file.path for manifest in rig.manifests(spec) for file in manifest.files}
    return {str(path.relative_to(root)) for path in root.rglob("*.parquet*")} - named


def test_the_density_of_ids_is_remembered_and_planned_with(rig: Rig) -> None:
    spec = filled(rig)
    rig.database.execute("INSERT INTO orders (id) SELECT 10^9::bigint + g FROM generate_series(1, 3000) g")
    rig.database.execute("SELECT setval('orders_id_seq', 1000003000); ANALYZE orders")
    rig.sync(spec)
    [note] = list((rig.lake.root or rig.lake.url).rglob("_density.json"))  # type: ignore[union-attr]  # a folder
    body = json.loads(note.read_text())
    assert body["cursor"] == "id" and len(body["edges"]) == len(body["rows"]) + 1 <= 50
    island = sum(rows for low, rows in zip(body["edges"], body["rows"], strict=False) if low > 10**8)
    assert 1500 < island < 6000, "the statistics are never exact"
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 2000); ANALYZE orders")
    [planned] = plan(rig.source, rig.lake, spec).partitions
    assert 500 < planned.rows < 6000 and planned.seconds is not None and planned.seconds < 60
    assert rig.sync(spec).rows == 2000
    assert read(rig, spec) == [*range(1, 6001), *range(10**9 + 1, 10**9 + 5001)]
    note.write_text("{")
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 2000); ANALYZE orders")
    assert rig.sync(spec).rows == 2000, "a hint that cannot be read is made anew"


def test_many_partitions_are_planned_with_a_bounded_number_of_questions(rig: Rig, monkeypatch: Any) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 20000)")
    rig.database.execute("ANALYZE orders")
    spec = replace(SPEC, partitions=replace(SPEC.partitions, by="id", size=100))
    asked: list[object] = []
    explain = PostgresSource.explain
    monkeypatch.setattr(PostgresSource, "explain", lambda self, read: asked.append(read) or explain(self, read))
    planned = plan(rig.source, None, spec)
    assert len(planned.partitions) == 201 and planned.rows == pytest.approx(20_000, rel=0.05)
    bounded = [read for read in asked if getattr(read, "limit", None) is None]
    assert len(bounded) <= 48, "one question a bucket, not one a partition"


def test_each_manifest_says_what_it_took(rig: Rig) -> None:
    spec = filled(rig)
    report = rig.sync(spec)
    manifests = rig.manifests(spec)
    found = [dict(manifest.metrics) for manifest in manifests]
    for manifest, metrics in zip(manifests, found, strict=True):
        assert set(metrics) == set(METRICS) - {"lag_seconds"}, "lag_seconds is for times"
        assert all(isinstance(value, float) for value in metrics.values())
        assert metrics["rows"] == manifest.rows and metrics["files"] == len(manifest.files)
        assert metrics["bytes"] == sum(file.bytes for file in manifest.files)
        assert metrics["seconds"] > 0 and metrics["longest_query_seconds"] > 0 and metrics["peak_memory_mb"] > 10
    assert sum(metrics["queries"] for metrics in found) == report.queries
    times = replace(spec_of(), source="times")
    rig.sync(times)
    assert "lag_seconds" in dict(rig.head(times).metrics)


def test_a_file_of_several_pieces_knows_its_lowest_and_highest_id(rig: Rig) -> None:
    """An idle reader takes over ids below or above those that it had."""
    sink = FileSink(rig.lake.store, "data", pa.schema([("id", pa.int64())]), target_bytes=10**9, cursor="id")
    for ids in ([50, 60], [-7, 20], [70, 80]):
        sink.write(pa.RecordBatch.from_arrays([pa.array(ids)], names=["id"]))
    sink.close_file()
    [file] = sink.take()
    assert (file.min, file.max, file.rows) == (encode_scalar(-7), encode_scalar(80), 6)


def test_a_file_is_not_closed_and_nothing_committed_below_min_rows(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT md5(g::text) FROM generate_series(1, 4000) g")

    def rows_of_files(name: str, **files: Any) -> list[int]:
        spec = replace(SPEC, source=name, chunk=ChunkSettings(rows=100), files=FileSettings(target_mb=0.001, **files))
        rig.sync(spec)
        return [file.rows for manifest in rig.manifests(spec) for file in manifest.files]

    assert max(rows_of_files("without")) < 1500
    found = rows_of_files("with", min_rows=1500)
    assert sum(found) == 4000 and min(found[:-1]) >= 1500


def test_a_query_that_runs_too_long_is_ended_and_nothing_is_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row takes its time, so that a first query would take many times its target."""
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status) SELECT repeat('x', 20) FROM generate_series(1, 150000)")
    rig.database.execute(
        "CREATE FUNCTION slow(id bigint) RETURNS bigint STABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(CASE WHEN id % 1000 = 0 THEN 0.005 ELSE 0 END); RETURN id; END'"
    )
    rig.database.execute("CREATE VIEW slow AS SELECT o.*, slow(id) AS pause FROM orders o")
    spec = spec_of(table="public.slow", cursor=["id"], key=("id",), chunk=ChunkSettings(150_000, target_seconds=0.05))
    monkeypatch.setattr(chunks, "FIRST_ROWS", 150_000)
    report = rig.sync(spec)
    assert report.rows == 150_000 and read(rig, spec) == list(range(1, 150_001))
    first = rig.told("chunk read")[0]
    assert first["chunk_size_requested"] == 150_000 and first["rows_found"] < 150_000, "ended in its midst"


@pytest.mark.parametrize("known", [True, False])
def test_the_longest_query_stays_below_twice_its_target(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first query on, at 10,000 rows a second: a whole chunk would take 25 s."""
    rows, target = 12_000, 0.25
    source = SlowTable(range(1, rows + 1), rows_estimate=rows if known else -1)
    monkeypatch.setattr(chunks, "time", source)
    lake = open_lake("memory://")
    spec = spec_of(cursor=["id"], chunk=ChunkSettings(250_000, target_seconds=target))
    report = extract(source, lake, spec)  # type: ignore[arg-type]  # the fake has what an extraction asks for
    assert report.rows == rows
    assert report.longest_query_seconds <= 2 * target, source.asked


class SlowTable(FakeTable):
    """A fake whose rows take 0.1 ms each to arrive, by a clock of its own."""

    seconds = 0.0

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        for batch in super().read(read, server):
            self.seconds += batch.num_rows * 1e-4
            yield batch

    def monotonic(self) -> float:
        return self.seconds


def test_four_readers_wait_for_a_slow_source_at_the_same_time() -> None:
    rows = 10_000
    source = Together(range(1, rows + 1), batch_rows=500)
    spec = replace(SEVERAL, workers=4, chunk=ChunkSettings(rows=1000))
    report = extract(source, open_lake("memory://"), spec)  # type: ignore[arg-type]  # the fake will do
    assert (report.rows, report.workers) == (rows, 4)


class Together(FakeTable):
    """A fake that answers the first four queries for rows when all four have been asked."""

    first, together = Semaphore(4), Barrier(4, timeout=60)

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        if self.first.acquire(blocking=False):
            self.together.wait()
        return super().read(read, server)


def test_the_first_query_leaves_wide_rows_within_the_memory(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigint PRIMARY KEY, note text)")
    rig.database.execute("ALTER TABLE orders ALTER note SET STORAGE PLAIN")
    rig.database.execute("INSERT INTO orders SELECT g, repeat('x', 4000) FROM generate_series(1, 4000) g")
    rig.database.execute("ANALYZE orders")
    spec = spec_of(cursor=["id"], chunk=ChunkSettings(rows=4000), memory_mb=8)
    rig.sync(spec)
    asked = [fields["chunk_size_requested"] for fields in rig.told("chunk read")]
    assert 1000 <= asked[0] < 1100, "half of 8 MB, a thousand rows at least"
