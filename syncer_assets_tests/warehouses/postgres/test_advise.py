"""Advice about the server: each finding from what the server or the ledger tells, each with what PostgreSQL takes."""

from collections.abc import Callable

import pytest
import yaml

from syncer_assets.drivers import postgres_settings
from syncer_assets.model.report import CheckResult
from syncer_assets.model.server import GB, ServerSize, setting, size
from syncer_assets.warehouses.postgres import PostgresWarehouse, advise
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import Loads

Asked = Callable[..., dict[str, CheckResult]]
UNKNOWN = ServerSize()


@pytest.fixture
def ask(orders: Loads) -> Asked:
    """Every finding by name, after one load."""
    orders.load([(number, "new") for number in range(100)])

    def asked(server: ServerSize = UNKNOWN) -> dict[str, CheckResult]:
        return {found.name: found for found in orders.warehouse.advise([orders.target], server)}

    return asked


def red(found: dict[str, CheckResult]) -> set[str]:
    return {name for name, result in found.items() if not result.passed}


def take(database: Database, fix: str) -> None:
    """The server takes the statement; nothing is reloaded."""
    statement = fix.partition(";")[0]
    assert statement.startswith("ALTER SYSTEM SET ")
    database.execute(statement)
    database.execute(f"ALTER SYSTEM RESET {statement.split()[3]}")


def test_a_server_that_fits_its_tables_has_no_finding(ask: Asked) -> None:
    assert red(ask()) == set()
    assert red(ask(ServerSize(memory_gb=4))) == set()
    found = ask()
    assert all(result.description for result in found.values())
    assert not any(result.fix for result in found.values())
    assert found["session"].metadata["work_mem"] == "64MB"
    assert isinstance(found["storage"].metadata["database_bytes"], int)
    assert "shop.orders" in found["storage"].description


def test_a_load_that_is_too_large_for_checkpoints_is_told(ask: Asked, warehouse_db: Database) -> None:
    warehouse_db.execute("UPDATE _syncer.loads SET wal_bytes = 5 * 1024::bigint ^ 3, seconds = 1000")
    found = ask()
    assert red(found) == {"max_wal_size", "checkpoint_timeout"}
    assert "max_wal_size = '16GB'" in found["max_wal_size"].fix
    assert "checkpoint_timeout = '1200s'" in found["checkpoint_timeout"].fix
    for name in red(found):
        take(warehouse_db, found[name].fix)


def test_a_large_table_wants_a_scale_factor_of_its_own(ask: Asked, warehouse_db: Database) -> None:
    warehouse_db.execute("UPDATE pg_class SET reltuples = 5e7 WHERE oid = 'shop.orders'::regclass")
    assert "autovacuum_vacuum_scale_factor" not in red(ask()), "nobody changes its rows: nothing dies"
    warehouse_db.execute("UPDATE shop.orders SET status = 'changed'")
    poll(lambda: "autovacuum_vacuum_scale_factor" in red(ask()), deadline_seconds=60)
    finding = ask()["autovacuum_vacuum_scale_factor"]
    assert "10,000,050 dead ones" in finding.description
    declared = yaml.safe_load(finding.fix)["storage"]
    assert declared == {"autovacuum_vacuum_scale_factor": 0.01}
    warehouse_db.execute("ALTER TABLE shop.orders SET (autovacuum_vacuum_scale_factor = 0.01)")
    assert red(ask()) == set()


def test_what_the_planner_believes_of_the_cache_is_compared(ask: Asked, warehouse_db: Database) -> None:
    warehouse_db.execute(f"ALTER DATABASE {warehouse_db.name} SET effective_cache_size = '64MB'")
    assert red(ask()) == {"effective_cache_size"}
    take(warehouse_db, ask()["effective_cache_size"].fix)
    warehouse_db.execute(f"ALTER DATABASE {warehouse_db.name} SET effective_cache_size = '4GB'")
    assert red(ask(ServerSize(memory_gb=64))) == {"effective_cache_size"}, "half of 64 GB is far more than 4 GB"


def test_queries_that_spill_are_told_of_work_mem(
    ask: Asked, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advise, "SPILLED_LEAST", 1024**2)
    assert "work_mem" not in red(ask())
    with warehouse_db.connect() as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("SELECT count(*) FROM (SELECT i FROM generate_series(1, 900000) i ORDER BY i DESC) s")
    poll(lambda: "work_mem" in red(ask()), deadline_seconds=60)
    take(warehouse_db, ask()["work_mem"].fix)


def test_a_large_index_wants_more_memory_for_its_build(
    ask: Asked, orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.warehouse.close()
    small = PostgresWarehouse("analytics", warehouse_db.dsn, {"maintenance_work_mem": "1MB"})
    orders.load([(number, "x" * 40) for number in range(200_000)])
    monkeypatch.setattr(advise, "MAINTENANCE_MOST", 8 * 1024**2)
    (finding,) = (found for found in small.advise([orders.target], UNKNOWN) if not found.passed)
    small.close()
    assert yaml.safe_load(finding.fix) == {"options": {"maintenance_work_mem": "8MB"}}


def test_a_server_without_room_for_a_load_is_told(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advise, "SESSIONS_PER_LOAD", 1000)
    assert red(ask()) == {"connections"}


def test_a_ledger_of_an_earlier_release_is_no_obstacle(ask: Asked, warehouse_db: Database) -> None:
    warehouse_db.execute("ALTER TABLE _syncer.loads DROP COLUMN wal_bytes")
    assert red(ask()) == set()


@pytest.mark.parametrize(
    ("database", "buffers", "memory_gb", "passed", "wanted"),
    [
        (100 * GB, GB // 8, None, False, "8GB"),
        (GB, GB // 8, None, True, ""),
        (100 * GB, 2 * GB, None, True, ""),
        (100 * GB, 2 * GB, 64.0, False, "16GB"),
        (100 * GB, 8 * GB, 64.0, True, ""),
        (GB // 4, GB // 8, 64.0, True, ""),
    ],
)
def test_buffers_are_judged_by_the_database_and_the_memory_that_was_declared(
    database: int, buffers: int, memory_gb: float | None, passed: bool, wanted: str
) -> None:
    found = postgres_settings._shared_buffers(database, buffers, ServerSize(memory_gb))
    assert found.passed is passed
    assert found.fix == (f"ALTER SYSTEM SET shared_buffers = '{wanted}'" if wanted else "")


def test_sizes_are_written_for_people_and_for_the_server() -> None:
    assert (size(0), size(2048), size(1.5 * GB), size(2048 * GB)) == ("0 bytes", "2 kB", "1.5 GB", "2 TB")
    assert (setting(1), setting(100 * 1024**2), setting(3 * GB)) == ("1MB", "128MB", "4GB")
