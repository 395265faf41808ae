"""Declared indexes: made once, known by their definition, cleaned up after failures, dropped only if they are ours."""

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.table import IndexSpec
from syncer_assets.model.upkeep import MaintenanceReport, MaintenanceRequest, Upkeep
from syncer_assets.warehouses.postgres import indexes
from syncer_assets.warehouses.postgres.indexes import index_name
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import Loads

STATUS = IndexSpec(("status",))
OPEN = IndexSpec(("status", "id"), where="status <> 'done'")
LOWER = IndexSpec(expression="lower(status)")
INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass"
INVALID = f"{INDEXES} AND NOT indisvalid"


def maintain(orders: Loads, *specs: IndexSpec, mode: str = "analyze") -> MaintenanceReport:
    request = MaintenanceRequest("repair" if mode == "repair" else "analyze")
    return orders.warehouse.maintain(orders.target, Upkeep(specs), request, emit=silent)


def test_missing_indexes_are_created_once(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    assert len(maintain(orders, STATUS, OPEN, LOWER).indexes_created) == 3
    again = maintain(orders, STATUS, OPEN, LOWER)
    assert (again.indexes_created, again.drift) == ([], [])
    assert warehouse_db.scalar(INDEXES) == 4
    defined = warehouse_db.scalar(f"SELECT pg_get_indexdef('shop.{index_name(orders.target, LOWER)}'::regclass)")
    assert "(lower(status))" in defined


def test_the_indexes_of_a_first_load_are_there_when_it_is_committed(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")], indexes=(STATUS, OPEN, LOWER))
    assert warehouse_db.scalar(INDEXES) == 4
    assert maintain(orders, STATUS, OPEN, LOWER).indexes_created == []


def test_indexes_of_a_large_first_load_are_made_by_several_sessions(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the COMMIT, since others do not see the table before; but a unique one can still undo the load."""
    monkeypatch.setattr(indexes, "LARGE_ROWS", 3)
    said: list[tuple[str, dict[str, object]]] = []
    specs = (STATUS, OPEN, LOWER, IndexSpec(("id",)), IndexSpec(("id", "status"), unique=True))
    orders.load([(n, "a") for n in range(3)], indexes=specs, emit=lambda event, **fields: said.append((event, fields)))
    events = [event for event, _ in said]
    assert events[events.index("load committed") :] == ["load committed", *["Created index"] * 3]
    assert warehouse_db.scalar(INDEXES) == 5, "the key serves (id)"
    assert maintain(orders, *specs).indexes_created == []


def test_what_the_sessions_cannot_make_is_left_to_maintenance(
    orders: Loads, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load is committed by then, and must not be called failed."""
    monkeypatch.setattr(indexes, "LARGE_ROWS", 1)
    said: list[str] = []
    failing = IndexSpec(expression="1 / (id - 1)")
    report = orders.load([(1, "a")], indexes=(STATUS, failing), emit=lambda event, **fields: said.append(event))
    assert report.rows_inserted == 1
    assert sorted(said[-2:]) == ["Created index", "Index left to maintenance"]
    with pytest.raises(DbError):
        maintain(orders, STATUS, failing)


@pytest.mark.parametrize(
    ("spec", "made"),
    [
        (STATUS, "INDEX mine ON shop.orders (status)"),
        (STATUS, "UNIQUE INDEX mine ON shop.orders (status)"),
        (OPEN, "INDEX mine ON shop.orders (status, id) WHERE (status)::text<>'done'::text"),
        (LOWER, "INDEX mine ON shop.orders (lower(status))"),
    ],
)
def test_an_index_that_a_person_made_counts(orders: Loads, warehouse_db: Database, spec: IndexSpec, made: str) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute(f"CREATE {made}")
    report = maintain(orders, spec)
    assert (report.indexes_created, report.drift) == ([], [])


@pytest.mark.parametrize(
    "made",
    [
        "INDEX mine ON shop.orders (id, status)",
        "INDEX mine ON shop.orders USING hash (status)",
        "INDEX mine ON shop.orders (status text_pattern_ops)",
        "INDEX mine ON shop.orders (status) WHERE id > 5",
    ],
)
def test_an_index_that_does_something_else_does_not_count(orders: Loads, warehouse_db: Database, made: str) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute(f"CREATE {made}")
    assert len(maintain(orders, STATUS).indexes_created) == 1


def test_duplicates_are_told_without_a_value_and_leave_nothing(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "secret"), (2, "secret")])
    unique = IndexSpec(("status",), unique=True)
    with pytest.raises(DbError, match=r"shop\.orders: the index unique \(status\) cannot be made") as raised:
        maintain(orders, unique)
    assert raised.value.code == "23505"
    assert "secret" not in str(raised.value) and raised.value.__cause__ is None
    assert warehouse_db.scalar(INVALID) == 0
    warehouse_db.execute("UPDATE shop.orders SET status = id::text")
    assert len(maintain(orders, unique).indexes_created) == 1


def test_duplicates_in_a_first_load_are_told_likewise(orders: Loads, warehouse_db: Database) -> None:
    unique = IndexSpec(("status",), unique=True)
    with pytest.raises(DbError, match=r"the index unique \(status\) cannot be made") as raised:
        orders.load([(1, "secret"), (2, "secret")], indexes=(unique,))
    assert "secret" not in str(raised.value)
    assert warehouse_db.scalar("SELECT to_regclass('shop.orders') IS NULL")


def test_what_a_killed_attempt_left_is_made_again(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a"), (2, "a")])
    name = index_name(orders.target, STATUS)
    with warehouse_db.connect() as connection, pytest.raises(Exception, match="could not create unique index"):
        connection.execute(f'CREATE UNIQUE INDEX CONCURRENTLY "{name}" ON shop.orders (status)'.encode())
    assert warehouse_db.scalar(INVALID) == 1
    report = maintain(orders, STATUS)
    assert (report.leftovers_dropped, report.indexes_created) == ([name], [name])
    assert warehouse_db.scalar(INVALID) == 0


def test_an_index_declared_no_longer_is_told_and_dropped_by_a_repair_only(
    orders: Loads, warehouse_db: Database
) -> None:
    orders.load([(1, "a")])
    warehouse_db.execute("CREATE INDEX of_a_person ON shop.orders (amount)")
    (name,) = maintain(orders, STATUS).indexes_created
    report = maintain(orders)
    assert report.drift == [f"index {name} is declared no longer"]
    assert warehouse_db.scalar(INDEXES) == 3
    assert maintain(orders, mode="repair").indexes_dropped == [name]
    assert maintain(orders).drift == []
    assert warehouse_db.scalar(INDEXES) == 2, "the key and what a person made are left alone"


def test_an_index_that_a_constraint_needs_is_not_dropped(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(1, "a")])
    (name,) = maintain(orders, IndexSpec(("status",), unique=True)).indexes_created
    warehouse_db.execute(f'ALTER TABLE shop.orders ADD CONSTRAINT "{name}" UNIQUE USING INDEX "{name}"')
    report = maintain(orders, mode="repair")
    assert (report.indexes_dropped, report.drift) == ([], [])


def test_an_index_of_ours_that_somebody_made_otherwise_is_told_and_repaired(
    orders: Loads, warehouse_db: Database
) -> None:
    orders.load([(1, "a")])
    (name,) = maintain(orders, OPEN).indexes_created
    warehouse_db.execute(f'DROP INDEX shop."{name}"; CREATE INDEX "{name}" ON shop.orders (status, id)')
    report = maintain(orders, OPEN)
    assert report.indexes_created == []
    assert report.drift == ["index (status, id) where status <> 'done' is there, but defined otherwise"]
    report = maintain(orders, OPEN, mode="repair")
    assert (report.indexes_dropped, report.indexes_created, report.drift) == ([name], [name], [])
    assert maintain(orders, OPEN).drift == []


def test_a_predicate_is_one_expression(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute("CREATE TABLE canary (id int)")
    evil = (
        IndexSpec(("status",), where="true); COMMIT; DROP TABLE canary; SELECT (1"),
        IndexSpec(expression="lower(status))); COMMIT; DROP TABLE canary; SELECT (((1"),
    )
    for spec in evil:
        with pytest.raises(DbError):
            orders.load([(1, "a")], indexes=(spec,))
    orders.load([(1, "a")])
    for spec in evil:
        with pytest.raises(DbError):
            maintain(orders, spec)
    assert warehouse_db.scalar("SELECT to_regclass('canary') IS NOT NULL")
    assert warehouse_db.scalar(INDEXES) == 1


def test_an_index_on_no_column_is_refused(orders: Loads) -> None:
    orders.load([(1, "a")])
    with pytest.raises(ConfigError, match=r"shop\.orders.*'nope'"):
        maintain(orders, IndexSpec(("nope",)))


def test_names_are_stable_and_fit(orders: Loads) -> None:
    assert index_name(orders.target, STATUS) == "orders_status_81155ac0_sidx"
    long = index_name(orders.target, IndexSpec(("a" * 60, "b" * 60)))
    assert len(long) == 63 and long.endswith("_sidx")
    assert len({index_name(orders.target, spec) for spec in (STATUS, OPEN, LOWER, IndexSpec(("lower(status)",)))}) == 4


def test_a_partitioned_table_is_left_to_its_owner(orders: Loads, warehouse_db: Database) -> None:
    warehouse_db.execute(
        "CREATE TABLE shop.orders (id bigint PRIMARY KEY, status text, amount numeric(12,2))"
        " PARTITION BY RANGE (id); CREATE TABLE shop.orders_1 PARTITION OF shop.orders FOR VALUES FROM (0) TO (100)"
    )
    orders.load([(1, "a"), (2, "b")])
    report = maintain(orders, STATUS)
    assert report.drift == ["index (status) is missing"]
    assert "partitioned" in report.skipped[0]
    assert report.facts["rows_estimate"] == 2
    warehouse_db.execute("CREATE INDEX mine ON shop.orders (status)")
    assert maintain(orders, STATUS, mode="repair").drift == []
