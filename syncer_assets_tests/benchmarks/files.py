"""The rows of the table of targets about files of JSON: into the raw table, and from there into the core table."""

import shutil
import sys
from pathlib import Path

from .contest import OURS, Bench, Contest, Results, Runner, at_least, at_most, faster
from .json_files import write_large, write_members
from .latency import ROUND_TRIP_MS, delayed
from .measure import RunFailed, run
from .ours import TARGET_SCHEMA
from .runners import SCRIPTS, Start, empty_warehouse
from .servers import WAREHOUSE

FILES = 40
STRINGIO, BATCHED, ROW_BY_ROW = 100_000, 50_000, 5_000
REMOTE_ROWS = 3_000
LARGE_BYTES, FULL_ROWS, MEMORY_TIMES = 5_000_000_000, 1_000_000, 10
"""The gzip of `files_memory` at the scale that has so many rows; the other one has a tenth."""
DISK_TIMES = 7
"""A gzip, its documents staged and in the table, and their WAL."""


def files(bench: Bench) -> Contest:
    """Gzipped JSON lines into an empty raw table, against the loaders of the seed."""
    folder, documents = _members(bench, "members", FILES)
    return Contest(
        "files",
        f"JSON files -> PostgreSQL, {documents:,} documents",
        (
            _ours(bench, folder, documents),
            _seed(bench, folder, "StringIO COPY", "stringio", min(STRINGIO, documents)),
            _seed(bench, folder, "batch INSERT of 1,000", "batch", min(BATCHED, documents)),
            _seed(bench, folder, "row INSERT", "row", min(ROW_BY_ROW, documents)),
        ),
        (
            at_least("at least 60,000 documents a second", 60_000, lambda results: results[OURS].rows_per_second),
            faster(2, "StringIO COPY"),
            faster(2, "batch INSERT of 1,000"),
            faster(10, "row INSERT"),
            at_most("memory at most 400 MB", 400, lambda results: results[OURS].most("peak_mb")),
        ),
        note=f"unpacked, parsed, upserted; the seed's loaders move {STRINGIO:,}, {BATCHED:,} and {ROW_BY_ROW:,}",
    )


def files_remote(bench: Bench) -> Contest:
    """The same behind a proxy that delays each byte by a millisecond."""
    folder, documents = _members(bench, "members", FILES)
    port = bench.keep_open(delayed(bench.servers.port, ROUND_TRIP_MS))
    return Contest(
        "files_remote",
        f"JSON files -> PostgreSQL, round trip of {ROUND_TRIP_MS:g} ms",
        (
            _ours(bench, folder, documents, port=port),
            _seed(bench, folder, "StringIO COPY", "stringio", min(STRINGIO, documents), port=port),
            _seed(bench, folder, "row INSERT", "row", min(REMOTE_ROWS, documents), port=port),
        ),
        (faster(96, "row INSERT"), faster(2, "StringIO COPY")),
        note=f"row INSERT moves {REMOTE_ROWS:,} documents",
    )


def files_memory(bench: Bench) -> Contest:
    """One gzip, 5 GB at full scale, and one of a tenth: only pieces of it are ever held."""
    large = int(LARGE_BYTES * bench.rows["lineitem"] / FULL_ROWS)
    if shutil.disk_usage(bench.folder).free < DISK_TIMES * large:
        raise RunFailed(f"a gzip of {large / 1e9:g} GB and its tables take {DISK_TIMES * large / 1e9:.0f} GB of disk")
    one, other = (_large(bench, size) for size in (large // MEMORY_TIMES, large))

    def growth(results: Results) -> float:
        return 100 * (results[other.name].most("peak_mb") / results[one.name].most("peak_mb") - 1)

    return Contest(
        "files_memory",
        "memory, one gzip -> PostgreSQL",
        (one, other),
        (
            at_most("peak at most 400 MB", 400, lambda results: results[other.name].most("peak_mb"), (other.name,)),
            at_most("peak grows at most 20 %", 20, growth, (one.name, other.name)),
        ),
        note="of the process, from the file to the commit; lines of a kB, of which gzip leaves three quarters",
    )


def raw_to_core(bench: Bench) -> Contest:
    """Eight typed columns of raw documents, into an empty core table."""
    folder, documents = _members(bench, "members", FILES)

    def prepare() -> Start:
        empty_warehouse(bench)
        command, env = _command(bench, "raw", folder)
        run(command, bench.servers, env)
        bench.servers.execute(WAREHOUSE, f"VACUUM ANALYZE {TARGET_SCHEMA}.members_raw")
        return _command(bench, "core", folder)

    return Contest(
        "raw_to_core",
        f"raw -> core, {documents:,} documents",
        (Runner(OURS, documents, prepare),),
        (at_least("at least 100,000 rows a second", 100_000, lambda results: results[OURS].rows_per_second),),
        note="eight columns, each value judged before it is cast; with the check that no document is missing",
    )


def _large(bench: Bench, packed_bytes: int) -> Runner:
    folder = bench.fresh(f"large-{packed_bytes}")
    documents = write_large(folder / "large.jsonl.gz", packed_bytes)
    return _ours(bench, folder, documents, name=f"gzip of {packed_bytes / 1e9:.3g} GB", runs=1)


def _members(bench: Bench, name: str, files: int, share: float = 1.0) -> tuple[Path, int]:
    documents = int(bench.rows["lineitem"] * share)
    folder = bench.fresh(name)
    write_members(folder, files, documents)
    return folder, documents


def _ours(
    bench: Bench, folder: Path, documents: int, *, port: int | None = None, name: str = OURS, runs: int | None = None
) -> Runner:
    def prepare() -> Start:
        empty_warehouse(bench)
        return _command(bench, "raw", folder, port)

    return Runner(name, documents, prepare, runs=runs)


def _command(bench: Bench, job: str, folder: Path, port: int | None = None) -> Start:
    command = [sys.executable, "-m", "syncer_assets_tests.benchmarks.ours_files", job, str(folder)]
    return command, {"BENCH_WAREHOUSE_DSN": bench.servers.postgres_dsn(WAREHOUSE, port)}


def _seed(bench: Bench, folder: Path, name: str, way: str, documents: int, port: int | None = None) -> Runner:
    def prepare() -> Start:
        empty_warehouse(bench)
        script = [sys.executable, str(SCRIPTS / "json_loader.py"), str(folder)]
        return [*script, bench.servers.postgres_dsn(WAREHOUSE, port), str(documents), way], {}

    return Runner(name, documents, prepare)
