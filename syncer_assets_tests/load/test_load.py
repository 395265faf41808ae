"""Many tables, many at once, and for long: the short forms of `make bench ARGS="--only load_many load_soak"`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.load.tables import create_tables, specs, write_many
from syncer_assets_tests.load.tick import ROWS, fill, look
from syncer_assets_tests.servers import Database

TABLES = 500
LOAD_CPU_SECONDS, TICK_CPU_SECONDS = 15.0, 10.0
AT_ONCE, AT_ONCE_ROWS = 20, 2_000
SYNC_CONNECTIONS = 2
"""Of a sync, at the source: one for questions, one that reads. As many at the warehouse, when those are closed."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def last_line(*command: str, **environment: str) -> Any:
    """What a process of its own says at its end: its memory and files are not those of the tests before."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_500_tables_load_in_time(tmp_path: Path) -> None:
    code = (
        "import json, time\n"
        "from syncer_assets.definitions import defs\n"
        "keys = defs().resolve_all_asset_keys()\n"
        "print(json.dumps([len(keys), time.process_time()]))\n"
    )
    assets, seconds = last_line("-c", code, SYNCER_DEFS=str(write_many(tmp_path / "defs", TABLES)))
    assert assets >= 5 * TABLES
    assert seconds < LOAD_CPU_SECONDS


def test_a_tick_over_500_tables_asks_little(source_db: Database, tmp_path: Path) -> None:
    """CPU of the process, as its wall time is the machine's; what is asked of source and lake is counted."""
    source_db.execute(create_tables(TABLES, ROWS))
    source, lake, tables = (
        PostgresSource("shop", source_db.dsn),
        open_lake(f"file://{tmp_path / 'lake'}"),
        specs(TABLES),
    )
    try:
        partitions = fill(source, lake, tables)
        first, second = look(source, lake, tables), look(source, lake, tables)
        source_db.execute("INSERT INTO t0001 (status) VALUES ('late')")
        third = look(source, lake, tables)
    finally:
        source.close()
    assert (first.due, second.due, third.due) == (0, 0, 1)
    assert partitions > 2 * TABLES
    assert first.listings == partitions, "not one listing a partition"
    assert second.listings < partitions and second.reads == 0, "closed partitions are left alone, nothing is read twice"
    assert second.cpu_seconds < TICK_CPU_SECONDS


def test_tables_at_once_hold_two_connections_each(tmp_path: Path) -> None:
    found = last_line("-m", "syncer_assets_tests.load.at_once", str(AT_ONCE), str(AT_ONCE_ROWS))
    assert found["rows_missing"] == 0
    assert AT_ONCE // 2 < found["source_connections"] <= SYNC_CONNECTIONS * AT_ONCE, "or not at once"
    assert found["warehouse_connections"] <= SYNC_CONNECTIONS * AT_ONCE
    assert found["memory_mb"] - found["memory_before_mb"] < 512, "of one sync's `memory_mb` for all of these"


def test_nothing_drifts_over_rounds_with_writers() -> None:
    found = last_line("-m", "syncer_assets_tests.load.soak", "10")
    first, last = found["first"], found["last"]
    assert last["ledger_rows"] == last["manifests"] > first["manifests"]
    assert last["lake_objects"] <= 3 * last["manifests"], "more than a manifest and two files a sync"
    assert (found["connections_most"], found["slots_most"], last["temporary_files"]) == (0, 0, 0)
    assert last["open_files"] <= first["open_files"] + 2
    assert found["memory_growth_percent"] < 10
