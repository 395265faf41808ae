"""Our side of the bench of keyed updates: `ours_keyed JOB`, a process that prints what it did as its last line.

memory: from batches that this process made beforehand; double: from the double; rows: a sample, one UPDATE a row.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import duckdb
import psycopg
import pyarrow as pa

from syncer_assets.drivers import snowflake
from syncer_assets.model.columns import Column
from syncer_assets.model.keyed_update import Batch, BatchSettings, KeyedUpdateSpec, Prefix, Slice
from syncer_assets.model.table import Target
from syncer_assets.sources.snowflake import SnowflakeSource
from syncer_assets.sync.keyed_update import keyed_update
from syncer_assets.warehouses.postgres import PostgresWarehouse

FIELDS, BATCHES, BATCHES_OF_DOUBLE = 95, 400, 20
KINDS = ("text", "numeric(12,2)", "integer", "date", "timestamp")
SNOWFLAKE = ("VARCHAR", "NUMBER(12,2)", "NUMBER(9,0)", "DATE", "TIMESTAMP_NTZ")
VALUES = (
    "'v' || ((i * {odd}) % 100003)",
    "(((i * {odd}) % 100000) / 100.0)::numeric(12,2)",
    "((i * {odd}) % 1000003)::integer",
    "date '2024-01-01' + ((i + {odd}) % 700)::integer",
    "timestamp '2024-01-01' + ((i * {odd}) % 31536000) * interval '1 second'",
)


def columns_sql(engine: str) -> str:
    """The columns of the table: the key, the prefix and the date in the source only, and 95 more."""
    kinds = SNOWFLAKE if engine == "snowflake" else KINDS
    more = [f"c{number:02d} {kinds[number % len(kinds)]}" for number in range(FIELDS)]
    if engine == "snowflake":
        return ", ".join(["VISIT_ID NUMBER(12,0)", "SSN VARCHAR(9)", "VISIT_DATE DATE", *more])
    return ", ".join(["visit_id bigint", "visit_date date", *more])


def values_sql(*, ssn: bool = True) -> str:
    """The values of row i, in SQL that DuckDB and PostgreSQL read alike."""
    found = [f"({VALUES[number % len(VALUES)].format(odd=2 * number + 3)})" for number in range(FIELDS)]
    prefix = [f"lpad((i % {BATCHES})::text, 3, '0') || lpad((i / {BATCHES})::text, 6, '0')"] if ssn else []
    return ", ".join(["i", *prefix, "date '2026-01-01'", *found])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=("memory", "double", "rows"))
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--sample", type=int, required=True)
    parser.add_argument("--wait", type=float, default=0.0)
    asked = parser.parse_args()
    facts = _rows(asked.sample) if asked.job == "rows" else update(asked.job, asked.rows, asked.workers, asked.wait)
    print(json.dumps(facts))


def _spec(rows: int, workers: int, batches: int) -> KeyedUpdateSpec:
    return KeyedUpdateSpec(
        name="visits",
        source="house",
        target=Target("bench", "public", "visits"),
        key={"visit_id": "VISIT_ID"},
        prefix_column="SSN",
        table="PUBLIC.VISITS",
        batch=BatchSettings(rows=max(1, rows // batches)),
        workers=workers,
        connection_limit=16,
    )


def update(job: str, rows: int, workers: int, wait: float) -> dict[str, float | int]:
    """One cycle by our engine, and what it reports."""
    warehouse = PostgresWarehouse("bench", os.environ["BENCH_WAREHOUSE_DSN"])
    source = SnowflakeSource("house", os.environ["BENCH_HOUSE_DSN"]) if job == "double" else _Memory(rows, wait)
    batches = BATCHES_OF_DOUBLE if job == "double" else BATCHES
    report = keyed_update(source, warehouse, _spec(rows, workers, batches))  # type: ignore[arg-type]  # a double of a source
    source.close()
    warehouse.close()
    if report.counts.fetched != rows:
        raise AssertionError(f"{report.counts.fetched} rows were fetched, not {rows}")
    return {
        "rows_updated": report.counts.updated,
        "batches": report.batches,
        "seconds": report.seconds,
        "fetch_seconds": report.fetch_seconds,
        "write_seconds": report.write_seconds,
        "longest_batch_seconds": report.longest_batch_seconds,
        "bytes": report.bytes,
    }


def _rows(sample: int) -> dict[str, float | int]:
    """The seed's way: rows as Python values, one UPDATE each, committed each."""
    started = time.monotonic()
    connection = snowflake.connect(os.environ["BENCH_HOUSE_DSN"], who="the seed")
    names = [f"C{number:02d}" for number in range(FIELDS)]
    fetched = snowflake.rows(
        connection, f"SELECT {', '.join(names)}, VISIT_ID FROM VISITS WHERE VISIT_ID < ? ORDER BY VISIT_ID", [sample]
    )
    connection.close()
    began = time.monotonic()
    statement = f"UPDATE visits SET {', '.join(f'{name} = %s' for name in names)} WHERE visit_id = %s"
    with psycopg.connect(os.environ["BENCH_WAREHOUSE_DSN"], autocommit=True) as target:
        for row in fetched:
            target.execute(statement.encode(), row)
    seconds = time.monotonic() - began
    facts = {"seconds": seconds, "fetch_seconds": began - started, "write_seconds": seconds}
    return {"rows_updated": len(fetched), **facts}


class _Memory:
    """A double of a source that has its rows at hand: what is left is our own work."""

    engine = "memory"

    def __init__(self, rows: int, wait: float):
        self._wait = wait
        table = duckdb.sql(f"SELECT {values_sql()} FROM range(0, {rows}) t(i)").to_arrow_table()
        names = ["VISIT_ID", "SSN", "VISIT_DATE", *(f"C{number:02d}" for number in range(FIELDS))]
        table = table.rename_columns(names).sort_by("SSN").combine_chunks()
        table = table.set_column(0, "VISIT_ID", table.column("VISIT_ID").cast(pa.int64()))
        self._size = rows // BATCHES
        self._table = table

    def keyed(self, spec: KeyedUpdateSpec) -> "_Memory":
        return self

    def columns(self) -> tuple[Column, ...]:
        return tuple(Column(field.name, str(field.type), str(field.type)) for field in self._table.schema)

    def measure(self, rows: Slice, length: int, within: Sequence[Prefix] | None = None) -> tuple[list[Prefix], int]:
        return [Prefix(f"{number:03d}", 3, self._size) for number in range(BATCHES)], 0

    def duplicate_keys(self, rows: Slice) -> int:
        return 0

    def last_change(self, rows: Slice) -> tuple[datetime | None, datetime]:
        return None, datetime.now(UTC)

    def fetch(self, rows: Slice, batch: Batch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        time.sleep(self._wait)
        for prefix in batch.prefixes:
            yield from self._table.slice(int(prefix.text) * self._size, self._size).select(list(names)).to_batches()

    def effort(self) -> dict[str, float | int]:
        return {}

    def close(self) -> None:
        self._table = self._table.slice(0, 0)


if __name__ == "__main__":
    main()
