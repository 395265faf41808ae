"""The rows of the table of targets that are not about speed alone: merge, sparse ids, memory, kind queries."""

import sys
from typing import Any

from syncer_assets.model.table import ChunkSettings

from .contest import OURS, Bench, Contest, Results, Runner, at_least, at_most, faster
from .data import SPARSE_ROWS, SPARSE_STEP
from .latency import ROUND_TRIP_MS, delayed
from .measure import run
from .ours import TARGET_SCHEMA
from .runners import Start, dlt_command, empty_warehouse, ours, ours_command
from .servers import SOURCE, WAREHOUSE

DISTRIBUTIONS, TIMED = 1_000, 12
DEAD = """
SELECT n_dead_tup, n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE schemaname = '{schema}' AND relname = '{table}'
"""


def merge_unchanged(bench: Bench) -> Contest:
    """Every row read anew and merged into a table that has it already; dlt's merge of the same."""
    table = "lineitem"

    def ours_again() -> Start:
        empty_warehouse(bench)
        lake = bench.fresh("lake")
        command, env = ours_command(bench, "sync", table, lake)
        run(command, bench.servers, env)
        bench.servers.execute(WAREHOUSE, "VACUUM ANALYZE", "SELECT pg_stat_reset()")
        return ours_command(bench, "reread", table, lake)

    def dead() -> dict[str, Any]:
        found = bench.servers.execute(WAREHOUSE, DEAD.format(schema=TARGET_SCHEMA, table=table))[0]
        return {"dead_tuples": found[0], "rows_rewritten": found[1]}

    def dlt_again() -> Start:
        empty_warehouse(bench)
        home = bench.fresh("dlt")
        command, env = dlt_command(bench, table, "connectorx", "postgres", "postgres", "merge", home)
        run(command, bench.servers, env)
        return command, env

    rows = bench.rows[table]
    peers = [Runner("dlt merge", rows, dlt_again, runs=1)] if bench.peers else []
    return Contest(
        "merge_unchanged",
        "merge, 100 % unchanged",
        (Runner(OURS, rows, ours_again, dead), *peers),
        (
            faster(5, "dlt merge"),
            at_most("0 dead tuples", 0, lambda results: results[OURS].fact("dead_tuples")),
            at_most("0 rows rewritten", 0, lambda results: results[OURS].fact("rows_rewritten")),
            at_most(
                "less than 1 MB WAL per 100,000 rows",
                1.0,
                lambda results: results[OURS].fact("load", "wal_bytes") / 1e6 / (rows / 1e5),
            ),
        ),
        note="both read every row again; ours counts what is missing at the source, too",
    )


def sparse(bench: Bench) -> Contest:
    """50,000 rows in 20,000,000 ids: keyset paging against steps of BETWEEN, both behind a round trip of 2 ms."""
    port = bench.keep_open(delayed(bench.servers.port, ROUND_TRIP_MS))

    def steps(step: int, *files: str) -> Start:
        empty_warehouse(bench)
        loop = [sys.executable, "-m", "syncer_assets_tests.benchmarks.between", "sparse", str(step)]
        return [*loop, str(bench.fresh("between")), *files], {
            "BENCH_SOURCE_DSN": bench.servers.postgres_dsn(SOURCE, port),
            "BENCH_WAREHOUSE_DSN": bench.servers.postgres_dsn(WAREHOUSE, port),
        }

    wide, narrow = "BETWEEN, steps of 50,000", "BETWEEN, steps of 1,000"
    runners = (
        ours(bench, "sync", "sparse", port=port),
        Runner(wide, SPARSE_ROWS, lambda: steps(50_000, "--load")),
        Runner(narrow, SPARSE_ROWS, lambda: steps(1_000), runs=1),
    )

    def saved(name: str, path: tuple[str, ...]) -> Any:
        def percent(results: Results) -> float:
            before, now = results[wide].fact(name), results[OURS].fact(*path)
            return 100 * (1 - now / before)

        return percent

    def quicker(name: str) -> Any:
        return lambda results: 100 * (1 - results[OURS].median("wall_seconds") / results[name].median("wall_seconds"))

    return Contest(
        "sparse",
        f"sparse table, {SPARSE_ROWS:,} rows in {SPARSE_ROWS * SPARSE_STEP:,} ids",
        runners,
        (
            at_most("at most 3 queries", 3, lambda results: results[OURS].fact("extract", "queries")),
            at_most("1 file", 1, lambda results: results[OURS].fact("extract", "files")),
            at_most("1 COPY", 1, lambda results: results[OURS].fact("load", "copies")),
            at_least("queries -80 %", 80, saved("queries", ("extract", "queries")), (OURS, wide)),
            at_least("objects -90 %", 90, saved("files", ("extract", "files")), (OURS, wide)),
            at_least("COPYs -90 %", 90, saved("copies", ("load", "copies")), (OURS, wide)),
            at_least("time -70 % (steps of 50,000)", 70, quicker(wide), (OURS, wide)),
            at_least("time -70 % (steps of 1,000)", 70, quicker(narrow), (OURS, narrow)),
        ),
        note=(
            f"a round trip of {ROUND_TRIP_MS:g} ms; BETWEEN of 50,000 ids writes a file and a COPY a step that has"
            " rows, of 1,000 it only reads"
        ),
    )


def id_distributions(bench: Bench) -> Contest:
    """The seeds' figures, on generated id distributions: our sync against the loop over fixed ranges."""
    port = bench.keep_open(delayed(bench.servers.port, ROUND_TRIP_MS))

    def start() -> Start:
        empty_warehouse(bench)
        command = [sys.executable, "-m", "syncer_assets_tests.benchmarks.kpis", str(bench.fresh("kpis"))]
        return [*command, str(DISTRIBUTIONS), str(TIMED)], {
            "BENCH_SOURCE_DSN": bench.servers.postgres_dsn(SOURCE),
            "BENCH_SOURCE_DELAYED_DSN": bench.servers.postgres_dsn(SOURCE, port),
            "BENCH_WAREHOUSE_DELAYED_DSN": bench.servers.postgres_dsn(WAREHOUSE, port),
        }

    def saved(what: str) -> Any:
        return lambda results: 100 * (1 - results[OURS].fact("ours", what) / results[OURS].fact("fixed", what))

    return Contest(
        "id_distributions",
        f"{DISTRIBUTIONS:,} id distributions",
        (Runner(OURS, DISTRIBUTIONS, start, runs=1),),
        (
            at_most("0 rows lost", 0, lambda results: results[OURS].fact("lost")),
            at_least("queries -80 % on sparse ids", 80, lambda results: results[OURS].fact("queries_saved_percent")),
            at_least("objects -90 % on sparse ids", 90, saved("files")),
            at_least(f"COPYs -90 % on {TIMED} of them", 90, saved("copies")),
            at_least(f"time -70 % on {TIMED} of them", 70, saved("seconds")),
            at_least("sparse ids detected >= 95 %", 95, lambda results: results[OURS].fact("detected_percent")),
            at_most("false positives < 5 %", 4.99, lambda results: results[OURS].fact("false_positives_percent")),
            at_most("memory < 512 MB", 512, lambda results: results[OURS].most("peak_mb")),
        ),
        note=f"against ranges of the chunk's size; those timed are loaded, too, {ROUND_TRIP_MS:g} ms away",
    )


def memory(bench: Bench) -> Contest:
    """Six times the rows take no more memory, and no query gets longer than twice its target."""
    return _memory(bench, "postgres", "memory", "memory, PostgreSQL -> Parquet")


def memory_mysql(bench: Bench) -> Contest:
    """The same from MySQL."""
    return _memory(bench, "mysql", "memory_mysql", "memory, MySQL -> Parquet")


def _memory(bench: Bench, engine: str, name: str, title: str) -> Contest:
    small, large = ours(bench, "extract", "lineitem", engine=engine), ours(bench, "extract", "large", engine=engine)
    few, many = f"{small.rows:,} rows", f"{large.rows:,} rows"

    def growth(results: Results) -> float:
        return 100 * (results[many].most("peak_mb") / results[few].most("peak_mb") - 1)

    longest = 2 * ChunkSettings().target_seconds
    return Contest(
        name,
        title,
        (
            Runner(few, small.rows, small.prepare),
            Runner(many, large.rows, large.prepare, runs=1),
        ),
        (
            at_most("peak at most 400 MB", 400, lambda results: results[many].most("peak_mb"), (many,)),
            at_most("peak grows at most 20 %", 20, growth, (few, many)),
            at_most(
                f"longest source query at most {longest:g} s (2x target_seconds)",
                longest,
                lambda results: results[many].most("longest_query_seconds"),
                (many,),
            ),
        ),
        note="peak of the process and its children; the query as the server counts it",
    )
