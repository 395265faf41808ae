"""Maintenance: what is not due is skipped with a reason, what the server only pretends to have done fails."""

from collections.abc import Iterator

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.upkeep import MaintenanceReport, MaintenanceRequest, Upkeep
from syncer_assets.warehouses.postgres import PostgresWarehouse, reindex
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Loads

ANALYZE = MaintenanceRequest()
BY_ITSELF = MaintenanceRequest(always_analyze=False)
REPAIR = MaintenanceRequest("repair")
LEFT_ALONE = """

CREATE TABLE shop.orders (id bigint PRIMARY KEY) WITH (autovacuum_enabled = false);
"""
ROWS = [(n, "a") for n in range(1000)]


def maintain(orders: Loads, request: MaintenanceRequest, storage: dict[str, str] | None = None) -> MaintenanceReport:
    upkeep = Upkeep(storage=tuple((storage or {}).items()))
    return orders.warehouse.maintain(orders.target, upkeep, request, emit=silent)


def test_it_analyzes_and_tells_sizes(orders: Loads, warehouse_db: Database) -> None:
    orders.load(ROWS)
    report = maintain(orders, ANALYZE)
    facts = report.facts
    assert report.analyzed and facts["rows_estimate"] == 1000 and facts["last_analyze"]
    assert int(facts["size_bytes"]) == int(facts["table_bytes"]) + int(facts["index_bytes"]) > 0
    assert report.bytes_after == facts["size_bytes"]


def test_an_analyze_that_is_not_due_is_skipped_with_its_reason(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(LEFT_ALONE)
    orders.load(ROWS)
    assert maintain(orders, BY_ITSELF).analyzed, "never analysed before"
    orders.load([(n, "b") for n in range(50)])
    report = maintain(orders, BY_ITSELF)
    assert not report.analyzed
    assert report.skipped == ["ANALYZE: 5.0 % of the rows changed since the last one, and 5 % are needed"]
    assert maintain(orders, ANALYZE).analyzed, "a person's run always does"
    orders.load([(n, "c") for n in range(51)])
    assert maintain(orders, BY_ITSELF).analyzed


def test_a_repair_removes_dead_rows(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(LEFT_ALONE)
    orders.load(ROWS)
    orders.load([(n, "b") for n in range(1000)])
    assert maintain(orders, ANALYZE).facts["dead_tuples"] == 1000
    report = maintain(orders, REPAIR)
    assert report.vacuumed and report.facts["dead_tuples"] == 0 and report.facts["last_vacuum"]


@pytest.fixture
def guest(orders: Loads, warehouse_db: Database) -> Iterator[PostgresWarehouse]:
    """A role that may write the table, and does not own it."""
    role = f"guest_{warehouse_db.name}"
    orders.load(ROWS)
    warehouse_db.execute(
        f"CREATE ROLE {role} LOGIN; GRANT CONNECT, TEMPORARY ON DATABASE {warehouse_db.name} TO {role};"
        f"GRANT USAGE ON SCHEMA shop TO {role}; GRANT ALL ON shop.orders TO {role};"
        f"REVOKE MAINTAIN ON shop.orders FROM {role}"
    )
    yield PostgresWarehouse("w", warehouse_db.dsn_as(role))
    warehouse_db.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize(("request_", "what"), [(ANALYZE, "ANALYZE"), (REPAIR, "VACUUM")])
def test_it_fails_where_the_server_only_warns(
    orders: Loads, guest: PostgresWarehouse, request_: MaintenanceRequest, what: str
) -> None:
    with pytest.raises(DbError, match=rf"shop\.orders: the server said that it did {what}.*does not own the table"):
        guest.maintain(orders.target, Upkeep(), request_, emit=silent)


def test_a_role_with_the_privilege_to_maintain_may(
    orders: Loads, guest: PostgresWarehouse, warehouse_db: Database
) -> None:
    """From PostgreSQL 17 on."""
    warehouse_db.execute(f"GRANT MAINTAIN ON shop.orders TO guest_{warehouse_db.name}")
    report = guest.maintain(orders.target, Upkeep(), REPAIR, emit=silent)
    assert report.analyzed and report.vacuumed


def test_doctor_tells_of_a_role_without_a_ledger(guest: PostgresWarehouse) -> None:
    findings = {finding.name: finding.passed for finding in guest.doctor()}
    assert findings == {
        "connection": True, "version": True, "writable": True, "staging": True, "ledger": False, "encoding": True,
    }  # fmt: skip


def test_storage_is_set_as_declared_and_drift_is_told(orders: Loads, warehouse_db: Database) -> None:
    orders.load(ROWS)
    declared = {"fillfactor": "85", "autovacuum_vacuum_scale_factor": "0.02"}
    assert maintain(orders, ANALYZE, storage=declared).storage_set == [
        "fillfactor: unset -> 85", "autovacuum_vacuum_scale_factor: unset -> 0.02",
    ]  # fmt: skip
    assert maintain(orders, ANALYZE, storage=declared).storage_set == []
    warehouse_db.execute("ALTER TABLE shop.orders SET (fillfactor = 50, autovacuum_enabled = false)")
    report = maintain(orders, ANALYZE, storage=declared)
    assert report.storage_set == ["fillfactor: 50 -> 85"]
    assert report.drift == ["storage autovacuum_enabled = false is set, and not declared"]
    options = warehouse_db.scalar("SELECT reloptions FROM pg_class WHERE oid = 'shop.orders'::regclass")
    assert set(options) == {"fillfactor=85", "autovacuum_vacuum_scale_factor=0.02", "autovacuum_enabled=false"}


def test_two_runs_of_one_table_exclude_each_other(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "LOCK_SECONDS", 0.3)
    orders.load(ROWS)
    with warehouse_db.connect() as other:
        other.execute("SELECT pg_advisory_lock(1937337955, 'shop.orders'::regclass::oid::int)")
        with pytest.raises(DbError, match="another maintenance of the table is under way") as raised:
            maintain(orders, REPAIR)
    assert raised.value.retryable
    assert maintain(orders, REPAIR).vacuumed


def test_a_table_that_is_not_there_yet_needs_nothing(orders: Loads) -> None:
    assert maintain(orders, REPAIR) == MaintenanceReport()


def test_a_target_that_is_no_table_is_refused(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE VIEW shop.orders AS SELECT 1 AS id")
    with pytest.raises(ConfigError, match=r"shop\.orders: the target is not a table"):
        maintain(orders, REPAIR)
