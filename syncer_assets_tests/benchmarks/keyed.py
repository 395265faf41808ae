"""The row of the table of targets about keyed updates: 98 columns, 400 batches, a fifth of the rows differs."""

import sys

from syncer_assets_tests.sources.snowflake.double import House, ReadingDouble

from .contest import OURS, Bench, Contest, Results, Runner, Target, at_least, at_most
from .measure import RunFailed
from .ours_keyed import BATCHES, BATCHES_OF_DOUBLE, FIELDS, columns_sql, values_sql
from .runners import Start
from .servers import WAREHOUSE

SAMPLE = 1_000
ONE, DOUBLE = "1 worker", f"8 workers, {BATCHES_OF_DOUBLE} batches from the double"
SLOW_EIGHT, SLOW_ONE = "8 workers, slow source", "1 worker, slow source"
WAIT_SECONDS = 0.2
"""What a batch waits for a slow source: a query of this kind took the seed 60 to 90 s."""


def keyed_update(bench: Bench) -> Contest:
    """One cycle over a table of which a fifth differs, by our engine and by one UPDATE a row, as the seed does it."""
    rows = bench.rows["lineitem"] // BATCHES * BATCHES
    house = _fill(bench, rows)

    def start(job: str, workers: int, wait: float = 0.0) -> Start:
        bench.servers.execute(
            WAREHOUSE,
            "DROP SCHEMA IF EXISTS _syncer CASCADE",
            "UPDATE visits SET c00 = 'old', c01 = 0 WHERE visit_id % 5 = 0",
            "VACUUM ANALYZE visits",
        )
        command = [sys.executable, "-m", "syncer_assets_tests.benchmarks.ours_keyed", job, f"--wait={wait}"]
        return [*command, f"--rows={rows}", f"--workers={workers}", f"--sample={SAMPLE}"], {
            "BENCH_HOUSE_DSN": house.dsn,
            "BENCH_WAREHOUSE_DSN": bench.servers.postgres_dsn(WAREHOUSE),
        }

    def right() -> dict[str, int]:
        left = bench.servers.execute(WAREHOUSE, "SELECT count(*) FROM visits WHERE c00 = 'old'")[0][0]
        if left:
            raise RunFailed(f"{left} rows were not updated")
        return {"rows_left_wrong": left}

    return Contest(
        "keyed_update",
        f"keyed update, {rows:,} rows, {FIELDS + 3} columns, {BATCHES} batches",
        (
            Runner(OURS, rows, lambda: start("memory", 8), right),
            Runner(ONE, rows, lambda: start("memory", 1), right),
            Runner(SLOW_EIGHT, rows, lambda: start("memory", 8, WAIT_SECONDS), right, runs=1),
            Runner(SLOW_ONE, rows, lambda: start("memory", 1, WAIT_SECONDS), right, runs=1),
            Runner("UPDATE per row", min(SAMPLE, rows), lambda: start("rows", 1), runs=1),
            Runner(DOUBLE, rows, lambda: start("double", 8), right, runs=1),
        ),
        (
            _times(50, OURS, "UPDATE per row"),
            _times(1.2, OURS, ONE),
            _times(4, SLOW_EIGHT, SLOW_ONE),
            at_least("all that differs is updated", 0.2, lambda results: _updated(results, rows)),
            at_most("nothing else is written", 0.2, lambda results: _updated(results, rows)),
        ),
        note="`seconds` judge: times of the update alone, without the making of its rows. Ours has them at hand; a slow"
        f" source waits {WAIT_SECONDS:g} s a batch; UPDATE per row moves {SAMPLE:,} rows. The double (fakesnow) needs"
        " about a CPU second a query of 98 columns, so that it says nothing of Snowflake",
        columns=("seconds", "fetch_seconds", "write_seconds"),
    )


def _times(least: float, name: str, than: str) -> Target:
    """Rows a second by the runs' own clocks."""

    def ratio(results: Results) -> float:
        ours, other = (results[each].rows / results[each].fact("seconds") for each in (name, than))
        return ours / other

    return at_least(f"{name} at least {least:g}x {than}", least, ratio, needs=(name, than))


def _updated(results: Results, rows: int) -> float:
    return results[OURS].fact("rows_updated") / rows


def _fill(bench: Bench, rows: int) -> House:
    """The same rows on both sides, by the same SQL."""
    double = ReadingDouble.start()
    bench.stack.callback(double.stop)
    house = House.create(double)
    house.run(f"CREATE TABLE VISITS ({columns_sql('snowflake')})")
    house.fill("VISITS", f"SELECT {values_sql()} FROM range(0, {rows}) t(i)")
    bench.servers.execute(
        WAREHOUSE,
        "DROP TABLE IF EXISTS visits",
        f"CREATE TABLE visits ({columns_sql('postgres')})",
        f"INSERT INTO visits SELECT {values_sql(ssn=False)} FROM generate_series(0, {rows} - 1) t(i)",
        "ALTER TABLE visits ADD PRIMARY KEY (visit_id)",
    )
    return house
