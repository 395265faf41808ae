"""The loop that this project replaces: fixed id ranges, a file and a COPY for each range that has rows.

`python -m syncer_assets_tests.benchmarks.between TABLE STEP FOLDER [--load]`. It writes Parquet and encodes rows as our
engine does, so that the loop makes the difference; it fixes no ceiling, counts nothing again and keeps no ledger.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pgpq
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass
class Counted:
    """What the loop took."""

    queries: int = 0
    files: int = 0
    copies: int = 0
    rows: int = 0


def read_ranges(
    source: psycopg.Connection,
    target: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    step: int,
    folder: Path,
    *,
    load: bool,
) -> Counted:
    """Read `id` and the columns (as text) by steps; `load`: write each step's rows to a file and COPY them."""
    counted = Counted()
    texts = ", ".join(f"{name}::text" for name in columns)
    query = f"SELECT id, {texts} FROM {table} WHERE id BETWEEN %s AND %s".encode()
    schema = pa.schema([("id", pa.int64()), *((name, pa.string()) for name in columns)])
    created = ", ".join(f"{name} text" for name in columns)
    target.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, {created})".encode())
    first, last = source.execute(f"SELECT min(id), max(id) FROM {table}".encode()).fetchone() or (0, 0)
    for start in range(first, last + 1, step):
        found = source.execute(query, (start, start + step - 1)).fetchall()
        counted.queries += 1
        counted.rows += len(found)
        if not found or not load:
            continue
        arrays = [pa.array(values, kind) for values, kind in zip(zip(*found, strict=True), schema.types, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        pq.write_table(pa.Table.from_batches([batch]), folder / f"part-{counted.files:05d}.parquet")
        counted.files += 1
        encoder = pgpq.ArrowToPostgresBinaryEncoder(schema)
        with target.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)".encode()) as copy:
            copy.write(encoder.write_header() + encoder.write_batch(batch) + encoder.finish())
        counted.copies += 1
    return counted


def main() -> None:
    """Prints what it took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("step", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--load", action="store_true")
    asked = parser.parse_args()
    with (
        psycopg.connect(os.environ["BENCH_SOURCE_DSN"], autocommit=True) as source,
        psycopg.connect(os.environ["BENCH_WAREHOUSE_DSN"], autocommit=True) as target,
    ):
        columns = ("amount", "note")
        counted = read_ranges(source, target, asked.table, columns, asked.step, asked.folder, load=asked.load)
    print(json.dumps(asdict(counted)))


if __name__ == "__main__":
    main()
