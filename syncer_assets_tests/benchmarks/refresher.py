"""One full refresh of a table that people read meanwhile, as a process. Prints what it took, as JSON.

`python -m syncer_assets_tests.benchmarks.refresher extract|first|diff|swap|truncate --table T --lake URL`; the DSNs
are in $BENCH_SOURCE_DSN and $BENCH_WAREHOUSE_DSN. `first` makes the table; `truncate` is TRUNCATE and COPY in one
transaction, indexes kept: the rows come straight from the source, which is the least that it can take.
"""

import argparse
import json
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from syncer_assets.model.table import IndexSpec, RefreshSettings, TableSpec, Target
from syncer_assets.sources.registry import open_source
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.registry import open_warehouse

from .ours import TARGET_SCHEMA

READERS, SEED = 4, 20_260_101
INDEXES = (IndexSpec(("l_orderkey",)), IndexSpec(("l_shipdate",)))
"""Beside the primary key."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=("extract", "first", "diff", "swap", "truncate"))
    parser.add_argument("--table", required=True)
    parser.add_argument("--lake", required=True)
    asked = parser.parse_args()
    if asked.job == "extract":
        source = open_source("bench", "postgres", os.environ["BENCH_SOURCE_DSN"])
        report = extract(source, open_lake(asked.lake), _spec(asked.table, "diff"))
        source.close()
        print(json.dumps({"rows": report.rows}))
        return
    if asked.job == "first":
        print(json.dumps(_refresh(asked)))
        return
    refresh = _truncate if asked.job == "truncate" else _refresh
    print(json.dumps(_beside_readers(asked.table, lambda: refresh(asked))))


def _spec(table: str, mode: str) -> TableSpec:
    settings = RefreshSettings(mode)  # type: ignore[arg-type]  # one of its values
    return TableSpec("bench", f"public.{table}", key=("id",), load="replace", refresh=settings, indexes=INDEXES)


def _refresh(asked: argparse.Namespace) -> dict[str, Any]:
    warehouse = open_warehouse("bench", "postgres", os.environ["BENCH_WAREHOUSE_DSN"])
    target = Target("bench", TARGET_SCHEMA, asked.table)
    report = load(
        open_lake(asked.lake), warehouse, _spec(asked.table, "swap" if asked.job == "swap" else "diff"), target
    )
    warehouse.close()
    return {"how": report.how, "rows_written": report.rows_inserted + report.rows_updated + report.rows_deleted}


def _truncate(asked: argparse.Namespace) -> dict[str, Any]:
    table = sql.Identifier(TARGET_SCHEMA, asked.table)
    with (
        psycopg.connect(os.environ["BENCH_SOURCE_DSN"]) as source,
        psycopg.connect(os.environ["BENCH_WAREHOUSE_DSN"]) as warehouse,
        source.cursor() as reading,
        warehouse.cursor() as writing,
    ):
        writing.execute(sql.SQL("TRUNCATE {}").format(table))
        everything = sql.SQL("COPY (SELECT *, now() FROM {}) TO STDOUT (FORMAT binary)").format(
            sql.Identifier(asked.table)
        )
        columns = reading.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(sql.Identifier(asked.table))).description
        names = [sql.Identifier(name) for name in (*(column.name for column in columns or ()), "_syncer_captured_at")]
        into = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(table, sql.SQL(", ").join(names))
        with reading.copy(everything) as out, writing.copy(into) as copy:
            for block in out:
                copy.write(block)
        return {"how": "truncate", "rows_written": writing.rowcount}


def _beside_readers(table: str, refresh: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the refresh took: seconds, WAL, and the longest that a reader waited for one row. No answer is `wrong`."""
    dsn = os.environ["BENCH_WAREHOUSE_DSN"]
    stop, started = threading.Event(), threading.Barrier(READERS + 1)
    waits: list[float] = []
    wrong: list[str] = []
    query = sql.SQL("SELECT 1 FROM {} WHERE id = %s").format(sql.Identifier(TARGET_SCHEMA, table))

    def read(number: int) -> None:
        drawn = random.Random(SEED + number)
        with psycopg.connect(dsn, autocommit=True) as connection:
            row = connection.execute(
                sql.SQL("SELECT max(id) FROM {}").format(sql.Identifier(TARGET_SCHEMA, table))
            ).fetchone()
            started.wait()
            while not stop.is_set():
                began = time.monotonic()
                try:
                    found = connection.execute(query, (drawn.randint(1, row[0] if row else 1),)).fetchone()
                    if found is None:
                        wrong.append("no row")
                except psycopg.Error as error:
                    wrong.append(type(error).__name__)
                waits.append(time.monotonic() - began)
                stop.wait(0.02)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    started.wait()
    with psycopg.connect(dsn, autocommit=True) as connection:
        before, began = _wal_bytes(connection), time.monotonic()
        try:
            told = refresh()
            seconds, wal = time.monotonic() - began, _wal_bytes(connection) - before
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    told |= {"seconds": round(seconds, 3), "wal_mb": round(wal / 2**20, 1), "reads": len(waits), "wrong": len(wrong)}
    return told | {"longest_wait_seconds": round(max(waits), 3)}


def _wal_bytes(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    assert row is not None
    return row[0]


if __name__ == "__main__":
    main()
