"""Declared indexes, ANALYZE, doctor, and the session itself."""

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.table import IndexSpec
from syncer_assets.warehouses.base import Warehouse
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import GENERATION, Loads

STATUS = IndexSpec(("status",))
OPEN = IndexSpec(("status", "id"), where="status <> 'done'")


def test_it_is_a_warehouse(warehouse: PostgresWarehouse) -> None:
    typed: Warehouse = warehouse
    assert (typed.name, typed.engine) == ("analytics", "postgres")


def test_missing_indexes_are_created_once(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    create = orders.warehouse.create_indexes
    assert len(create(orders.target, [STATUS, OPEN], emit=silent)) == 2
    assert create(orders.target, [STATUS, OPEN], emit=silent) == []
    assert warehouse_db.scalar("SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass") == 3


def test_an_index_that_a_person_made_counts(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute("CREATE INDEX mine ON shop.orders (status)")
    assert orders.warehouse.create_indexes(orders.target, [STATUS], emit=silent) == []
    assert len(orders.warehouse.create_indexes(orders.target, [IndexSpec(("status",), unique=True)], emit=silent)) == 1


def test_an_invalid_index_is_made_again(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a")])
    unique = IndexSpec(("status",), unique=True)
    with pytest.raises(DbError) as raised:
        orders.warehouse.create_indexes(orders.target, [unique], emit=silent)
    assert "=(a)" not in str(raised.value)
    assert warehouse_db.scalar("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 1
    warehouse_db.execute("UPDATE shop.orders SET status = id::text")
    assert len(orders.warehouse.create_indexes(orders.target, [unique], emit=silent)) == 1
    assert warehouse_db.scalar("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0


def test_an_index_predicate_is_one_expression(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE TABLE canary (id int)")
    evil = IndexSpec(("status",), where="true); DROP TABLE canary; SELECT (1")
    with pytest.raises(DbError):
        orders.load([(1, "a")], indexes=(evil,))
    orders.load([(1, "a")])
    with pytest.raises(DbError):
        orders.warehouse.create_indexes(orders.target, [evil], emit=silent)
    assert warehouse_db.scalar("SELECT to_regclass('canary') IS NOT NULL")


def test_an_index_on_no_column_is_refused(orders: Loads) -> None:
    orders.load([(1, "a")])
    with pytest.raises(ConfigError, match=r"shop\.orders.*'nope'"):
        orders.warehouse.create_indexes(orders.target, [IndexSpec(("nope",))], emit=silent)


def test_maintain_analyzes_and_tells_sizes(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a") for n in range(1000)])
    facts = orders.warehouse.maintain(orders.target, emit=silent)
    assert facts["rows_estimate"] == 1000 and facts["last_analyze"]
    assert int(facts["size_bytes"]) == int(facts["table_bytes"]) + int(facts["index_bytes"]) > 0


def test_maintain_fails_where_the_server_would_only_warn(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute(
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN; GRANT USAGE ON SCHEMA shop TO guest;"
        "GRANT SELECT ON shop.orders TO guest"
    )
    guest = PostgresWarehouse("w", warehouse_db.dsn_as("guest"))
    try:
        with pytest.raises(DbError, match=r"shop\.orders.*does not own"):
            guest.maintain(orders.target, emit=silent)
        findings = {finding.name: finding.passed for finding in guest.doctor()}
        assert findings == {
            "connection": True, "version": True, "writable": True, "staging": True, "ledger": False, "encoding": True,
        }  # fmt: skip
    finally:
        guest.close()
        warehouse_db.execute("DROP OWNED BY guest; DROP ROLE guest")


def test_a_role_that_owns_its_schemas_needs_nothing_of_the_database(warehouse_db: Database, orders: Loads) -> None:
    warehouse_db.execute(
        "DROP ROLE IF EXISTS loader; CREATE ROLE loader LOGIN; CREATE SCHEMA _syncer AUTHORIZATION loader;"
        "CREATE SCHEMA shop AUTHORIZATION loader"
    )
    loader = PostgresWarehouse("w", warehouse_db.dsn_as("loader"))
    try:
        loads = Loads(loader)
        loads.load([(1, "a")])
        assert loads.load([(1, "b")]).rows_updated == 1
    finally:
        loader.close()
        warehouse_db.execute("DROP OWNED BY loader; DROP ROLE loader")


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
    assert warehouse._control is not None
    assert warehouse._control.execute("SHOW work_mem").fetchone() == ("77MB",)
    assert "postgres" not in repr(warehouse)
    warehouse.close()
