"""Reconcile from MariaDB to PostgreSQL: what differs is found and repaired, by keys of any type."""

from dataclasses import replace
from typing import Any

import pytest

from syncer_assets.model.keys import Keys
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.mysql import MySQLSource
from syncer_assets.sync.reconcile import Reconciliation, reconcile
from syncer_assets_tests.sources.mysql.rig import MariaRig, read_of
from syncer_assets_tests.sources.mysql.test_checksum import KEYS
from syncer_assets_tests.sync.tables import QUICK, spec_of

ORDERS = """
CREATE TABLE orders (id bigint AUTO_INCREMENT PRIMARY KEY, status varchar(20), amount decimal(12,2), ratio double,
    day date, j json, updated_at timestamp(6) NOT NULL, KEY (updated_at));
INSERT INTO orders (status, amount, ratio, day, j, updated_at)
SELECT CONCAT('x', seq), seq / 7, seq / 3, '2024-01-01', '{"a": 1}', '2024-01-01' + INTERVAL seq HOUR FROM seq_1_to_100
"""
HARD = spec_of("orders", ["updated_at"], deletes="hard", max_shrink=1.0)


def loaded(rig: MariaRig, spec: TableSpec) -> None:
    rig.sync(spec)
    rig.load(spec)


def repaired(rig: MariaRig, spec: TableSpec) -> Reconciliation:
    return reconcile(rig.source, rig.warehouse, spec, rig.target, lake=rig.lake, backoff=QUICK)


@pytest.mark.parametrize(
    ("at_the_source", "in_the_warehouse", "rows", "deleted"),
    [
        ("DELETE FROM orders WHERE id IN (7, 8, 99)", "", 0, 3),
        ("UPDATE orders SET id = 1000 WHERE id = 99", "", 1, 1),
        ("INSERT INTO orders (id, status, updated_at) VALUES (500, 'backfilled', '2020-01-01')", "", 1, 0),
        ("UPDATE orders SET ratio = 0.1 + 0.2, amount = -0.10 WHERE id IN (7, 8)", "", 2, 0),
        ("", "DELETE FROM shop.orders WHERE id > 50", 50, 0),
        ("", "UPDATE shop.orders SET status = NULL WHERE id % 10 = 0", 10, 0),
        ("TRUNCATE orders;" + ORDERS.split(";")[1].replace("'x'", "'again'"), "", 100, 0),
    ],
    ids=["deletes", "a changed key", "backfilled", "silently updated", "lost", "altered by hand", "reloaded"],
)
def test_a_difference_is_found_and_repaired(
    maria_rig: MariaRig, at_the_source: str, in_the_warehouse: str, rows: int, deleted: int
) -> None:
    maria_rig.maria.script(ORDERS)
    loaded(maria_rig, HARD)
    maria_rig.maria.script(at_the_source)
    maria_rig.warehouse_db.execute(in_the_warehouse)
    done = repaired(maria_rig, HARD)
    assert done.equal and (done.rows_repaired, done.rows_deleted) == (rows, deleted), done.description
    assert repaired(maria_rig, HARD).manifests == 0
    loaded(maria_rig, HARD)
    assert maria_rig.in_warehouse("id", "status", "amount") == maria_rig.in_source(HARD, "id", "status", "amount")


@pytest.mark.parametrize("kind", KEYS)
def test_rows_are_found_by_keys_of_any_type(maria_rig: MariaRig, kind: str) -> None:
    """And by no other: a collation holds 'a', 'A' and 'a ' for the same."""
    maria_rig.maria.execute(
        f"CREATE TABLE orders (k {kind}, k2 varchar(9), v int, updated_at timestamp(6) NOT NULL, PRIMARY KEY (k, k2))"
    )
    first, second, *others = KEYS[kind]
    for key in KEYS[kind]:
        maria_rig.maria.execute(f"INSERT INTO orders VALUES ({key}, 'é', 1, '2024-01-01')")
    loaded(maria_rig, HARD)
    maria_rig.maria.execute(f"UPDATE orders SET v = 2, updated_at = '2024-01-01' WHERE k = {first}")
    maria_rig.maria.execute(f"DELETE FROM orders WHERE k = {second}")
    written: list[int] = []
    done = reconcile(
        maria_rig.source,
        maria_rig.warehouse,
        HARD,
        maria_rig.target,
        lake=maria_rig.lake,
        backoff=QUICK,
        emit=lambda event, **fields: written.append(fields["rows"]) if event == "repair committed" else None,
    )
    assert done.equal and written == [1], "one row was asked for, and no other came"
    assert done.rows_deleted == 1
    assert maria_rig.warehouse_db.scalar("SELECT count(*) FROM shop.orders") == 1 + len(others)


@pytest.mark.parametrize(("kind", "values"), [("bigint", range(0, 40_000, 40)), ("varchar(20)", None)])
def test_an_index_serves_the_reads_by_key(maria_rig: MariaRig, source: MySQLSource, kind: str, values: Any) -> None:
    maria_rig.maria.script(
        f"CREATE TABLE orders (k {kind} PRIMARY KEY, updated_at timestamp(6) NOT NULL);"
        "INSERT INTO orders SELECT seq, '2024-01-01' FROM seq_1_to_50000; ANALYZE TABLE orders"
    )
    spec = replace(HARD, key=("k",))
    read = read_of(source, spec)
    column = next(each.column for each in read.columns if each.column.name == "k")
    texts = tuple(str(value) for value in (values or range(5, 500, 7)))
    keyed = replace(read, keys=Keys((column,), (texts,)))
    plan = maria_rig.maria.scalar(f"EXPLAIN FORMAT=JSON {source.sql(keyed)}")
    assert '"key": "PRIMARY"' in plan, "many values are joined as a table of their own"
    assert sum(batch.num_rows for batch in source.read(keyed)) == len(set(texts) - {"0"})
