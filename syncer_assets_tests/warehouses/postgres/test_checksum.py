"""Checksums: equal where the rows are, whatever the session has set; different where anything differs."""

from collections.abc import Sequence

import psycopg
import pytest
from psycopg import sql

from syncer_assets.drivers import postgres_checksum as contract
from syncer_assets.model.columns import Column
from syncer_assets.model.keys import Buckets, key_rows_schema
from syncer_assets_tests.servers import Database
from syncer_assets_tests.warehouses.postgres.plans import ORDERS, Loads

EVERY_TYPE = """
CREATE TYPE mood AS ENUM ('fine');
CREATE TABLE source (id bigint PRIMARY KEY, tz timestamptz, ts timestamp, d date, f float8, r real, n numeric,
    m numeric(12,2), b bytea, t text, i interval, a timestamptz[], j jsonb, o boolean, u uuid, e mood, z timetz);
INSERT INTO source VALUES
    (1, '2024-02-29 12:00:00.123456+02', '2024-02-29 12:00:00.1', '2024-02-29', 0.1, 0.1, 1.50, 1.50, '\\x00ff', 'a',
     '1 mon 2 days 03:04:05.6', ARRAY['2024-02-29 12:00:00+02'::timestamptz], '{"a": 1.0}', true,
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'fine', '10:00+02'),
    (2, 'infinity', '-infinity', 'infinity', 'NaN', '-0', 'NaN', 0, '', '', '-1 day', '{}', '[]', false,
     '00000000-0000-0000-0000-000000000000', NULL, NULL),
    (3, '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 BC', 1e300, 1e30, 1e-10, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""

ODD_SESSIONS = [
    {},
    {
        "datestyle": "SQL, DMY",
        "timezone": "Asia/Kolkata",
        "intervalstyle": "iso_8601",
        "bytea_output": "escape",
        "extra_float_digits": "-3",
    },
    {"datestyle": "German, DMY", "timezone": "America/St_Johns", "intervalstyle": "sql_standard"},
]


def sums(
    connection: psycopg.Connection, columns: Sequence[tuple[str, str]], buckets: int = 4, number: str | None = None
) -> dict:
    query = contract.checksum_query(sql.Identifier("source"), columns, ["id"], buckets, number=number)
    return contract.checksum(connection, query)


def source_columns(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'source'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()


def test_a_checksum_does_not_depend_on_the_session(database: Database) -> None:
    database.execute(EVERY_TYPE)
    found = []
    for settings in ODD_SESSIONS:
        with database.connect() as connection:
            for name, value in settings.items():
                connection.execute("SELECT set_config(%s, %s, false)", [name, value])
            found.append(sums(connection, source_columns(connection)))
            for name, value in settings.items():
                assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
    assert found[0] == found[1] == found[2]
    assert sum(rows for rows, _ in found[0].values()) == 3


@pytest.mark.parametrize(
    "change",
    [
        "tz = tz + '1 microsecond'", "ts = ts + '1 microsecond'", "d = d + 1", "f = f + 1e-16", "r = 0.10000001",
        "n = 1.51", "m = NULL", "b = '\\x00fe'", "t = ''", "t = NULL", "i = '1 mon 2 days 03:04:05.7'",
        "a = a || a", "j = '{\"a\": 1.1}'", "o = NOT o", "e = NULL", "z = '10:00+03'", "t = t || chr(31)",
    ],
)  # fmt: skip
def test_a_checksum_sees_every_change(database: Database, change: str) -> None:
    database.execute(EVERY_TYPE)
    with database.connect() as connection:
        columns = source_columns(connection)
        before = sums(connection, columns)
        connection.execute(f"UPDATE source SET {change} WHERE id = 1".encode())
        after = sums(connection, columns)
    assert before != after and {b: n for b, (n, _) in before.items()} == {b: n for b, (n, _) in after.items()}


def test_a_number_has_one_text_however_it_was_written(database: Database) -> None:
    database.execute(EVERY_TYPE)
    with database.connect() as connection:
        before = sums(connection, source_columns(connection))
        connection.execute("UPDATE source SET n = 1.5000 WHERE id = 1")
        assert sums(connection, source_columns(connection)) == before


def test_null_and_an_empty_text_differ_wherever_they_stand(database: Database) -> None:
    database.execute("CREATE TABLE source (id int, a text, b text); INSERT INTO source VALUES (1, '', NULL)")
    columns = [("id", "integer"), ("a", "text"), ("b", "text")]
    with database.connect() as connection:
        seen = []
        for a, b in [("", None), (None, ""), (None, None), ("", ""), ("=", None)]:
            connection.execute("UPDATE source SET a = %s, b = %s", [a, b])
            seen.append(sums(connection, columns)[next(iter(sums(connection, columns)))])
    assert len(set(seen)) == len(seen)


def test_the_contract_is_as_written_down(database: Database) -> None:
    """The module's docstring, in Python: another engine has to come to the same numbers."""
    from hashlib import md5

    database.execute("CREATE TABLE source (a text, b int, c text); INSERT INTO source VALUES ('ü', 7, NULL)")
    key, row = "ü\x1f7", "=ü\x1f=7\x1f"
    bucket = int(md5(key.encode()).hexdigest()[:8], 16) % 16
    row_hash = int(md5(row.encode()).hexdigest()[:15], 16)
    columns = [("a", "text"), ("b", "integer"), ("c", "text")]
    parts = (sql.Identifier("source"), columns, ["a", "b"], 16)
    with database.connect() as connection:
        assert contract.checksum(connection, contract.checksum_query(*parts)) == {bucket: (1, row_hash)}
        rows = contract.key_rows(connection, contract.key_rows_query(*parts), key_rows_schema("ab", ()))
    assert rows.to_pylist() == [{"k0": "ü", "k1": "7", "hash": row_hash}]


def test_the_buckets_of_an_integer_are_its_remainders(database: Database) -> None:
    database.execute(
        "CREATE TABLE source (id bigint); INSERT INTO source VALUES (-5), (5), (19), (-9223372036854775808)"
    )
    parts = (sql.Identifier("source"), [("id", "text")], ["id"], 7)
    with database.connect() as connection:
        found = contract.checksum(connection, contract.checksum_query(*parts, number="id"))
        assert {bucket: rows for bucket, (rows, _) in found.items()} == {5: 3, 1: 1}
        rows = contract.key_rows_query(*parts, only=[1], number="id")
        assert contract.key_rows(connection, rows, key_rows_schema(["id"], ()))["k0"].to_pylist() == [
            "-9223372036854775808"
        ]


def test_a_load_leaves_source_and_target_with_one_checksum(orders: Loads, warehouse_db: Database) -> None:
    orders.columns = (
        *ORDERS,
        Column("n", "string", "numeric"),
        Column("t", "timestamp[us]", "timestamp(6) without time zone"),
    )
    orders.load([(n, f"s{n}", n, f"{n}.50", n) for n in range(500)])
    warehouse_db.execute(
        "CREATE TABLE source AS SELECT id, status, amount, n, t FROM shop.orders; UPDATE source SET n = trim_scale(n)"
    )
    types = [(c.name, contract.canonical_type(c)) for c in orders.columns]
    with warehouse_db.connect() as connection:
        there = sums(connection, types, 16, "id")
    here = orders.warehouse.checksum(orders.target, orders.columns, ["id"], 16)
    assert here == there and sum(rows for rows, _ in here.values()) == 500


def test_a_difference_is_found_down_to_its_key(orders: Loads, warehouse_db: Database) -> None:
    orders.load([(n, "a", n) for n in range(500)])
    arguments = (orders.target, orders.columns, ["id"], 64)
    before = orders.warehouse.checksum(*arguments)
    warehouse_db.execute(
        "UPDATE shop.orders SET status = 'b' WHERE id = 123;"
        "UPDATE shop.orders SET _syncer_deleted_at = now() WHERE id = 321"
    )
    after = orders.warehouse.checksum(*arguments)
    different = [bucket for bucket in before if before[bucket] != after.get(bucket)]
    assert 1 <= len(different) <= 2
    assert orders.warehouse.checksum(*arguments, only=different) == {b: after[b] for b in different}
    keys = orders.warehouse.key_rows(*arguments[:3], Buckets(64, tuple(different))).column("k0").to_pylist()
    assert "123" in keys and "321" not in keys and len(keys) == sum(after[b][0] for b in different)


def test_parallel_workers_can_compute_the_hashes(database: Database) -> None:
    database.execute(f"{EVERY_TYPE}; INSERT INTO source (id, t) SELECT g, 'x' FROM generate_series(10, 20000) g")
    with database.connect() as connection:
        connection.execute("VACUUM ANALYZE source")
        connection.execute("SET min_parallel_table_scan_size = 0")
        query = contract.checksum_query(sql.Identifier("source"), source_columns(connection), ["id"], 16)
        with contract.canonical_session(connection):
            plan = "\n".join(row[0] for row in connection.execute(sql.SQL("EXPLAIN VERBOSE ") + query))
    workers = plan[plan.index("Parallel Seq Scan") :]
    assert "Gather" in plan and "md5" in workers, plan
