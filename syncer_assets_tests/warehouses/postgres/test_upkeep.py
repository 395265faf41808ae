"""Doctor, the roles that a warehouse needs, and the session itself."""

import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.warehouses.base import Warehouse
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import GENERATION, Loads


def test_it_is_a_warehouse(warehouse: PostgresWarehouse) -> None:
    typed: Warehouse = warehouse
    assert (typed.name, typed.engine) == ("analytics", "postgres")


def test_a_role_that_owns_its_schemas_needs_nothing_of_the_database(warehouse_db: Database, orders: Loads) -> None:
    assert not warehouse_db.scalar(
        "SELECT has_database_privilege(%s, current_database(), 'CREATE')", [warehouse_db.role]
    )
    orders.load([(1, "a")])
    assert orders.load([(1, "b")]).rows_updated == 1


def test_doctor_tells_of_a_server_that_is_not_there() -> None:
    findings = PostgresWarehouse("w", "postgresql://u:s3cret@127.0.0.1:1/x").doctor()
    assert [finding.passed for finding in findings] == [False]
    assert "s3cret" not in findings[0].description


def test_a_session_that_died_is_replaced(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(DbError) as raised:
        orders.warehouse.watermark(orders.target, "all")
    assert raised.value.retryable
    assert orders.warehouse.watermark(orders.target, "all").seq == 1


def test_its_settings_can_be_changed_and_its_repr_is_no_secret(warehouse_db: Database) -> None:
    warehouse = PostgresWarehouse("w", warehouse_db.dsn, {"work_mem": "77MB"})
    warehouse.register(Loads(warehouse).target, GENERATION)
    answer = warehouse._ask(None, lambda connection: connection.execute("SHOW work_mem").fetchone())
    assert answer == ("77MB",)
    assert "postgres" not in repr(warehouse)
    warehouse.close()
