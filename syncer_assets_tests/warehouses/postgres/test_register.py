"""Registering a target waits for a merge of that target, and holds up no other one while it waits."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from syncer_assets.model.table import Target
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import GENERATION, Loads

ORDERS = Target("w", "shop", "orders")
WAITS = ("120s", "10s", "10s")
WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
AND state = 'active' AND pid <> pg_backend_pid()
"""


@pytest.fixture
def merging(warehouse_db: Database, orders: Loads) -> Iterator[psycopg.Connection]:
    """A session that holds the row of `orders`, as a merge of it does for as long as it takes."""
    orders.load([(1, "new", None)])
    with warehouse_db.connect(autocommit=False) as session:
        session.execute("UPDATE _syncer.targets SET updated_at = now() WHERE target_name = 'shop.orders'")
        yield session


@pytest.mark.parametrize("call", [PostgresWarehouse.register, PostgresWarehouse.adopt])
def test_a_long_merge_of_one_table_does_not_stall_another_ones_register(
    warehouse_db: Database, merging: psycopg.Connection, call: Callable[[PostgresWarehouse, Target, str], None]
) -> None:
    warehouse_db.grant("CREATE ON DATABASE")
    first, second, third = (PostgresWarehouse("w", warehouse_db.dsn, {"lock_timeout": wait}) for wait in WAITS)
    with ThreadPoolExecutor(1) as pool:
        held: Future[None] = pool.submit(call, first, ORDERS, GENERATION)
        poll(lambda: warehouse_db.scalar(WAITING) == 1, deadline_seconds=60)
        second.register(Target("w", "shop", "customers"), GENERATION)  # all is there but its row
        third.register(Target("w", "crm", "people"), GENERATION)  # a schema is to be made, too
        assert not held.done(), "the merge of its own table was not waited for"
        merging.rollback()
        held.result(timeout=200)
    for warehouse in (first, second, third):
        warehouse.close()
    names = warehouse_db.execute("SELECT target_name FROM _syncer.targets ORDER BY 1")
    assert names == [("crm.people",), ("shop.customers",), ("shop.orders",)]


def test_many_targets_register_at_once_in_an_empty_warehouse(warehouse_db: Database) -> None:
    warehouse_db.execute("DROP SCHEMA _syncer")
    warehouse_db.grant("CREATE ON DATABASE")

    def register(number: int) -> None:
        warehouse = PostgresWarehouse("w", warehouse_db.dsn)
        warehouse.register(Target("w", f"schema_{number % 3}", f"table_{number % 8}"), GENERATION)
        warehouse.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(register, range(48)))
    assert warehouse_db.scalar("SELECT count(*) FROM _syncer.targets") == 24
