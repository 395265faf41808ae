"""A full refresh of a million rows while people read: nobody sees an empty table or an error, nobody waits long."""

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

ROWS, FEW = 1_000_000, 10_000
READERS = 20
SEED = 20_240_531
OLD_ROWS = "SELECT count(*) FROM shop.orders WHERE status = 'old'"


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
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["diff", "swap"])
def test_twenty_readers_and_an_old_snapshot_notice_nothing(warehouse_db: Database, mode: str) -> None:
    """The old snapshot stays until the changes are committed, or the new table waits for it."""
    print("seed", SEED)
    warehouse = PostgresWarehouse("analytics", warehouse_db.dsn)
    loads = Loads(warehouse, columns=ORDERS)
    loads.load(rows_of("old"), delete_missing=whole_table(1))
    with warehouse_db.connect(autocommit=False) as old, reading(warehouse_db) as seen:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert old.execute(OLD_ROWS).fetchone() == (ROWS,)

        kept = []

        def emit(event: str, **_: object) -> None:
            if event == ("load committed" if mode == "diff" else "shadow built"):
                kept.append(old.execute(OLD_ROWS).fetchone())
                old.rollback()

        report = loads.load(
            rows_of("new"),
            delete_missing=whole_table(2),
            mode="replace",
            refresh=RefreshSettings(mode),  # type: ignore[arg-type]  # one of the two
            emit=emit,
        )
    warehouse.close()
    print(report.how, f"{report.seconds:.1f} s", seen)
    assert (report.how, kept) == (mode, [(ROWS,)])
    assert seen["reads"] > READERS
    assert seen["counts"] > 1
    assert seen["wrong"] == []
    assert seen["longest_seconds"] < max(1.0, report.seconds / 5), "a second on a quiet machine, never for the load"
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'new'") == ROWS


@pytest.mark.slow
def test_an_old_snapshot_that_does_not_end_turns_a_swap_into_writes_in_place(
    warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer_assets.warehouses.postgres.load.SWAP_PATIENCE_SECONDS", 1.0)
    warehouse = PostgresWarehouse("analytics", warehouse_db.dsn)
    loads = Loads(warehouse, columns=ORDERS)
    few = rows_of("old").slice(0, FEW)
    loads.load(few, delete_missing=whole_table(1))
    with warehouse_db.connect(autocommit=False) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert old.execute(OLD_ROWS).fetchone() == (FEW,)
        report = loads.load(
            rows_of("new").slice(0, FEW), delete_missing=whole_table(2), mode="replace", refresh=RefreshSettings("swap")
        )
        assert old.execute(OLD_ROWS).fetchone() == (FEW,)
    warehouse.close()
    assert (report.how, "is still open" in report.refresh_reason) == ("diff", True)
    assert warehouse_db.scalar("SELECT count(*) FROM shop.orders WHERE status = 'new'") == FEW
