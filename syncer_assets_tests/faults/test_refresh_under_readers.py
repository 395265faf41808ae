"""A full refresh while people read: nobody sees an empty table or gets an error, and nobody waits long."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from syncer_assets.model.table import RefreshSettings
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import ORDERS, Loads, whole_table

ROWS = 200_000
READERS = 20
SEED = 20_240_531


@contextmanager
def reading(database: Database) -> Iterator[dict[str, Any]]:
    """What the readers saw while the block ran; filled at its end."""
    command = [sys.executable, "-m", "syncer_assets_tests.faults.readers", database.dsn]
    with subprocess.Popen(
        [*command, str(ROWS), str(READERS), str(SEED)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        seen: dict[str, Any] = {}
        try:
            yield seen
        finally:
            told, _ = process.communicate()
            seen.update(json.loads(told))


def rows_of(status: str) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "status": pa.array([status] * ROWS),
            "amount": pa.nulls(ROWS, pa.decimal128(12, 2)),
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_twenty_readers_notice_nothing(warehouse_db: Database, mode: str) -> None:
    print("seed", SEED)
    warehouse = PostgresWarehouse("analytics", warehouse_db.dsn)
    loads = Loads(warehouse, columns=ORDERS)
    loads.load(rows_of("old"), delete_missing=whole_table(1))
    with reading(warehouse_db) as seen:
        report = loads.load(
            rows_of("new"),
            delete_missing=whole_table(2),
            mode="replace",
            refresh=RefreshSettings(mode),  # type: ignore[arg-type]  # one of the two
        )
    warehouse.close()
    assert report.how == mode
    assert seen["reads"] > READERS
    assert seen["wrong"] == []
    assert seen["longest_seconds"] < 1.0
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'new'") == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_a_reader_with_an_old_snapshot_keeps_its_table(
    warehouse_db: Database, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for a swap, the load waits for it, and then writes in place."""
    monkeypatch.setattr("syncer_assets.warehouses.postgres.load.SWAP_PATIENCE_SECONDS", 1.0)
    warehouse = PostgresWarehouse("analytics", warehouse_db.dsn)
    loads = Loads(warehouse, columns=ORDERS)
    loads.load(rows_of("old"), delete_missing=whole_table(1))
    with warehouse_db.connect(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'old'").fetchone() == (ROWS,)
        loads.load(
            rows_of("new"),
            delete_missing=whole_table(2),
            mode="replace",
            refresh=RefreshSettings(mode),  # type: ignore[arg-type]  # one of the two
        )
        assert reader.execute("SELECT count(*) FROM shop.orders WHERE status = 'old'").fetchone() == (ROWS,)
    warehouse.close()
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'new'") == ROWS
