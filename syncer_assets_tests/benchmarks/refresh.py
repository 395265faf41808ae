"""The row about full refreshes: written in place or by a swap, by how much changed, against TRUNCATE and COPY."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .contest import Bench, Contest, Results, Runner, at_most
from .measure import run
from .ours import TARGET_SCHEMA
from .runners import Start, empty_warehouse
from .servers import SOURCE, WAREHOUSE

TABLE = "refreshed"
CHANGED = (1, 30, 100)
"""Percent of the rows."""
TRUNCATE = "TRUNCATE + COPY"
AFTER = """
SELECT n_dead_tup, pg_total_relation_size(relid) / 1048576 FROM pg_stat_user_tables
WHERE schemaname = '{schema}' AND relname = '{table}'
"""


def refresh(bench: Bench) -> Contest:
    """The table with its key and two indexes is there already; `changed` percent of the rows are others now."""
    rows = bench.rows["lineitem"]
    first = bench.fresh("first")
    _fill(bench, 0)
    run(*_command(bench, "extract", first))
    empty_warehouse(bench)
    run(*_command(bench, "first", first))  # names the lake, so that its copies have the same name
    lakes = {changed: _changed(bench, first, changed) for changed in CHANGED}
    ways = [Runner(f"{way} {changed} %", rows, _prepared(bench, way, first, lakes[changed]), _after(bench))
            for changed in CHANGED for way in ("diff", "swap")]  # fmt: skip
    names = [way.name for way in ways]
    return Contest(
        "refresh",
        "full refresh while people read",
        (*ways, Runner(TRUNCATE, rows, _prepared(bench, "truncate", first, lakes[100]), _after(bench), limit=True)),
        (
            at_most("no reader misses a row", 0, _most("wrong", names), names),
            at_most("no reader waits for more than 1 s", 1.0, _most("longest_wait_seconds", names), names),
            at_most("swap leaves no dead rows", 0, _most("dead_rows", names[1::2]), names[1::2]),
        ),
        note="seconds without the start of the process; a limit is no way to refresh what people read",
        columns=("seconds", "wal_mb", "dead_rows", "table_mb", "longest_wait_seconds"),
    )


def _command(bench: Bench, job: str, lake: Path) -> tuple[Sequence[str], Any, dict[str, str]]:
    """What `run` takes."""
    command = [sys.executable, "-m", "syncer_assets_tests.benchmarks.refresher", job]
    return [*command, "--table", TABLE, "--lake", f"file://{lake}"], bench.servers, {
        "BENCH_SOURCE_DSN": bench.servers.postgres_dsn(SOURCE),
        "BENCH_WAREHOUSE_DSN": bench.servers.postgres_dsn(WAREHOUSE),
    }  # fmt: skip


def _fill(bench: Bench, changed: int) -> None:
    """The source's table: `lineitem`, of every hundred ids the first `changed` ones with another quantity."""
    quantity = f"(l_quantity + (id % 100 < {changed})::int)::numeric(15,2)"
    columns = bench.servers.execute(
        SOURCE,
        f"SELECT string_agg(CASE attname WHEN 'l_quantity' THEN '{quantity}' ELSE attname END, ', ' ORDER BY attnum)"
        " FROM pg_attribute WHERE attrelid = 'lineitem'::regclass AND attnum > 0",
    )[0][0]
    bench.servers.execute(SOURCE, f"CREATE TABLE IF NOT EXISTS {TABLE} (LIKE lineitem INCLUDING INDEXES)")
    bench.servers.execute(
        SOURCE, f"TRUNCATE {TABLE}", f"INSERT INTO {TABLE} SELECT {columns} FROM lineitem", f"VACUUM ANALYZE {TABLE}"
    )


def _changed(bench: Bench, first: Path, changed: int) -> Path:
    """A lake that goes on from the first: its second manifest has what the table is now."""
    lake = bench.fresh("changed")
    shutil.copytree(first, lake, dirs_exist_ok=True)
    _fill(bench, changed)
    run(*_command(bench, "extract", lake))
    return lake


def _prepared(bench: Bench, way: str, first: Path, lake: Path) -> Any:
    def prepare() -> Start:
        empty_warehouse(bench)
        run(*_command(bench, "first", first))
        bench.servers.execute(WAREHOUSE, "VACUUM ANALYZE", "CHECKPOINT", "SELECT pg_stat_reset()")
        command, _, env = _command(bench, way, lake)
        return command, env

    return prepare


def _after(bench: Bench) -> Any:
    def after() -> dict[str, Any]:
        dead, size = bench.servers.execute(WAREHOUSE, AFTER.format(schema=TARGET_SCHEMA, table=TABLE))[0]
        return {"dead_rows": dead, "table_mb": size}

    return after


def _most(fact: str, names: Sequence[str]) -> Any:
    def most(results: Results) -> float:
        return max(sample.facts[fact] for name in names for sample in results[name].samples)

    return most
