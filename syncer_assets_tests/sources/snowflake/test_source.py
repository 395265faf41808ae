"""Snowflake as a source of the engine, on a double: types, paging, ceilings, and the way into a real warehouse."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from syncer_assets.model.errors import AttemptVoid, ConfigError, DbError
from syncer_assets.model.keys import Buckets, Keys, KeySpan
from syncer_assets.model.marks import CursorColumn
from syncer_assets.model.table import ChunkSettings, TableSpec, Target
from syncer_assets.sources.base import Read, refused_by_guard
from syncer_assets.sources.registry import open_source
from syncer_assets.sources.snowflake import SnowflakeSource, query
from syncer_assets.sources.snowflake.types import CatalogueType, source_column
from syncer_assets.sync.checksum import compare
from syncer_assets.sync.extract import extract
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets.sync.load import load
from syncer_assets.sync.rules import resolve
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.snowflake.double import House

ORDERS = """
CREATE TABLE ORDERS (ID NUMBER(10,0) PRIMARY KEY, AMOUNT NUMBER(12,2), NOTE VARCHAR, PAID BOOLEAN, DAY DATE,
    AT_TIME TIME, UPDATED_AT TIMESTAMP_NTZ, SENT_AT TIMESTAMP_TZ, DOC VARIANT, RAW BINARY,
    WEIGHT FLOAT, BIG NUMBER(38,4))
"""
ROWS = """
SELECT i, i / 4, 'note ü ' || i, i % 2 = 0, date '2026-01-01' + i::int, time '10:00:00' + i * interval 1 second,
    timestamp '2026-01-01' + i * interval 1 hour, timestamptz '2026-01-01 00:00:00+00' + i * interval 90 second,
    '{"a":' || i || '}', encode('raw' || i), i * 1.5, 123456789012345678901234567890.5::DECIMAL(38,4)
FROM range(1, 51) t(i)
"""
AT = CursorColumn("UPDATED_AT", "timestamp")
ID = CursorColumn("ID", "integer")
SPEC = TableSpec(
    source="house",
    table="PUBLIC.ORDERS",
    cursor=("UPDATED_AT",),
    cursor_zone="UTC",
    settle_seconds=0,
    chunk=ChunkSettings(rows=20),
)
TARGET = Target("analytics", "shop", "ORDERS")


@pytest.fixture
def source(house: House) -> Iterator[SnowflakeSource]:
    house.run(ORDERS)
    house.fill("ORDERS", ROWS)
    source = open_source("house", "snowflake", house.dsn, use_cached_result="false")
    assert isinstance(source, SnowflakeSource)
    yield source
    source.close()


def _read(source: SnowflakeSource, **parts: object) -> Read:
    return replace(Read("PUBLIC.ORDERS", source.describe("PUBLIC.ORDERS").columns, (AT, ID), ("UPDATED_AT",)), **parts)  # type: ignore[arg-type]  # fields of a Read


def _ids(source: SnowflakeSource, **parts: object) -> list[int]:
    read = _read(source, **parts)
    found = [row["ID"] for batch in source.read(read) for row in batch.to_pylist()]
    if read.limit is None:
        assert source.count(read) == len(found)
    return found


def test_values_arrive_exactly(source: SnowflakeSource, house: House) -> None:
    house.fill("ORDERS", "SELECT 99, NULL, NULL, NULL, NULL, NULL, '2027-01-01', NULL, NULL, NULL, NULL, NULL")
    rows = {row["ID"]: row for batch in source.read(_read(source)) for row in batch.to_pylist()}
    assert rows[3] | {"SENT_AT": rows[3]["SENT_AT"].astimezone(UTC)} == {
        "ID": 3,
        "AMOUNT": Decimal("0.75"),
        "NOTE": "note ü 3",
        "PAID": False,
        "DAY": date(2026, 1, 4),
        "AT_TIME": datetime.fromisoformat("2026-01-01T10:00:03").time(),
        "UPDATED_AT": datetime.fromisoformat("2026-01-01T03:00:00"),
        "SENT_AT": datetime(2026, 1, 1, 0, 4, 30, tzinfo=UTC),
        "DOC": '{"a":3}',
        "RAW": b"raw3",
        "WEIGHT": 4.5,
        "BIG": Decimal("123456789012345678901234567890.5000"),
    }
    empty = {name for name, value in rows[99].items() if value is None}
    assert empty == set(rows[99]) - {"ID", "UPDATED_AT"}, "a NULL is no 1970"


def test_the_catalogue_is_told(source: SnowflakeSource) -> None:
    facts = source.describe("PUBLIC.ORDERS")
    assert facts.primary_key == ("ID",)
    assert facts.rows_estimate == 50
    assert {c.column.name: c.column.type for c in facts.columns} == {
        "ID": "int64",
        "AMOUNT": "decimal128(12, 2)",
        "NOTE": "string",
        "PAID": "bool",
        "DAY": "date32[day]",
        "AT_TIME": "time64[us]",
        "UPDATED_AT": "timestamp[us]",
        "SENT_AT": "timestamp[us, tz=UTC]",
        "DOC": "string",
        "RAW": "binary",
        "WEIGHT": "double",
        "BIG": "decimal128(38, 4)",
    }
    assert source.tables() == ["PUBLIC.ORDERS"]
    with pytest.raises(ConfigError, match=r"did you mean PUBLIC\.ORDERS"):
        source.describe("public.orders")


@pytest.mark.parametrize(
    ("kind", "arrow", "spelt", "guarded"),
    [
        (CatalogueType("NUMBER", 18, 0), "int64", "NUMBER(18,0)", False),
        (CatalogueType("NUMBER", 19, 0), "decimal128(19, 0)", "NUMBER(19,0)", False),
        (CatalogueType("NUMBER", 38, 37), "decimal128(38, 37)", "NUMBER(38,37)", False),
        (CatalogueType("TIMESTAMP_NTZ", digits=9), "timestamp[us]", "TIMESTAMP_NTZ(9)", True),
        (CatalogueType("TIMESTAMP_LTZ", digits=6), "timestamp[us, tz=UTC]", "TIMESTAMP_LTZ(6)", False),
        (CatalogueType("TIME", digits=9), "time64[us]", "TIME(9)", True),
        (CatalogueType("OBJECT"), "string", "OBJECT", False),
        (CatalogueType("VECTOR"), "string", "VECTOR", False),
    ],
)
def test_types(kind: CatalogueType, arrow: str, spelt: str, guarded: bool) -> None:
    column = source_column("C", kind, None, nullable=True)
    assert (column.column.type, column.column.source_type, column.guard is not None) == (arrow, spelt, guarded)


def test_a_collated_text_is_no_cursor() -> None:
    assert source_column("C", CatalogueType("TEXT"), "en-ci", nullable=True).cursor_kind is None
    assert source_column("C", CatalogueType("TEXT"), None, nullable=True).cursor_kind == "text"


def test_a_value_that_the_lake_cannot_hold_stops_the_read(
    source: SnowflakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The double knows no nanoseconds: a second that is odd stands for them."""
    read = _read(source)
    monkeypatch.setattr(query, "IS_FINER", "DATE_PART(second, {}) % 2 = 1")
    with pytest.raises(type(refused_by_guard(read)), match="AT_TIME") as raised:
        list(source.read(read))
    assert "10:00" not in str(raised.value)


def test_pages_and_windows(source: SnowflakeSource) -> None:
    at = datetime.fromisoformat("2026-01-01T10:00:00")
    assert _ids(source, after=(at,), limit=3) == [11, 12, 13]
    assert _ids(source, after=(at, 9), limit=3) == [10, 11, 12]
    assert _ids(source, after=(at, 10), upto=(at + timedelta(hours=2),)) == [11, 12]
    assert _ids(source, after=(at, 10), upto=(at + timedelta(hours=2), 11)) == [11]
    assert _ids(source, start=at, end=at + timedelta(hours=2)) == [10, 11]
    assert _ids(source, prefix_column="NOTE", prefix="note ü 5") == [5, 50]
    assert _ids(source, keys=KeySpan("ID", 4, 6)) == [4, 5, 6]
    columns = tuple(c.column for c in source.describe("PUBLIC.ORDERS").columns if c.column.name == "ID")
    assert _ids(source, keys=Keys(columns, (("7", "3", "777"),))) == [3, 7]
    assert source.lowest(_read(source, after=(at,))) == at + timedelta(hours=1)
    assert source.lowest(_read(source, after=(at + timedelta(days=99),))) is None


def test_equal_order_values_are_read_whole_without_a_key(source: SnowflakeSource, house: House) -> None:
    house.double.duckdb(f"UPDATE {house.name}.PUBLIC.ORDERS SET UPDATED_AT = '2026-01-01 02:00:00' WHERE ID < 8")
    found = _ids(source, order=(AT,), limit=3, with_ties=True)
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7]


def test_rows_without_a_cursor_are_found(source: SnowflakeSource, house: House) -> None:
    house.double.duckdb(f"UPDATE {house.name}.PUBLIC.ORDERS SET UPDATED_AT = NULL WHERE ID < 3")
    assert _ids(source, null_cursor=True, order=(ID,)) == [1, 2]
    assert len(_ids(source, not_null="UPDATED_AT")) == 48


def test_prefixes(source: SnowflakeSource) -> None:
    assert source.distinct_prefixes("PUBLIC.ORDERS", "ID", 1) == [str(digit) for digit in range(1, 10)]
    assert source.count_outside("PUBLIC.ORDERS", "ID", ["1", "2"]) == 50 - 22


def test_a_snapshot_has_as_many_rows_as_it_says(source: SnowflakeSource, house: House) -> None:
    snapshot = source.snapshot(replace(_read(source), order=()))
    house.double.duckdb(f"DELETE FROM {house.name}.PUBLIC.ORDERS WHERE ID > 10")
    assert snapshot.rows == sum(batch.num_rows for batch in snapshot.batches()) == 50
    snapshot.close()


def test_the_ceiling_is_proven_by_the_lag_alone(source: SnowflakeSource) -> None:
    facts = source.describe("PUBLIC.ORDERS")
    protection = source.protection(SPEC, facts, (AT, ID))
    assert (protection.proof, protection.protected, protection.risk) == ("lag", False, "writers_hidden")
    by_time = source.capture(SPEC, facts, (AT, ID))
    assert by_time is not None
    assert by_time.ceiling == (datetime.fromisoformat("2026-01-03T02:00:00"),)
    assert by_time.proven, "a time's lag is in what may become final"
    by_id = source.capture(replace(SPEC, cursor=("ID",)), facts, (ID,))
    assert by_id is not None
    assert (by_id.ceiling, by_id.proven) == ((50,), False)
    spec = replace(SPEC, cursor=("ID",), late_commit_lag=timedelta(0))
    assert source.judge(spec, (ID,), [by_id])[0].proven
    assert not source.judge(replace(spec, late_commit_lag=timedelta(hours=1)), (ID,), [by_id])[0].proven
    assert source.judge(spec, (ID,), [replace(by_id, server="another account")]) == []


def test_another_account_voids_the_attempt(source: SnowflakeSource) -> None:
    with pytest.raises(AttemptVoid):
        list(source.read(_read(source), server="another account"))


def test_statements_for_people(source: SnowflakeSource) -> None:
    read = _read(source, after=(datetime.fromisoformat("2026-01-01T10:00:00"),), limit=5)
    assert source.sql(read).endswith('WHERE t."UPDATED_AT" > ? ORDER BY t."UPDATED_AT", t."ID" LIMIT 5')
    plan = source.explain(read)
    assert (plan.rows, plan.index) == (15, "pruning to 3 of 10 micro-partitions")
    assert [finding.name for finding in source.doctor() if not finding.passed] == ["late commits"]


def test_options_that_are_not_known_are_refused(house: House) -> None:
    for options, said in (
        ({"use_cache": "true"}, "use_cache are not known"),
        ({"use_cached_result": "yes"}, "neither true nor false"),
        ({"statement_timeout_seconds": "5m"}, "no number of seconds"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_source("house", "snowflake", house.dsn, insecure=False, **options)


def test_a_session_that_the_service_forgot_is_an_error_to_try_again(source: SnowflakeSource, house: House) -> None:
    source.tables()
    house.double.forget_sessions()
    with pytest.raises(DbError) as raised:
        source.tables()
    assert raised.value.retryable
    assert source.tables() == ["PUBLIC.ORDERS"]


def test_fewer_rows_than_the_query_had_are_an_error(source: SnowflakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    from snowflake.connector.cursor import SnowflakeCursor

    read = _read(source)
    whole = SnowflakeCursor.fetch_arrow_batches

    def short(self: SnowflakeCursor, **options: bool) -> Iterator[pa.Table]:
        for table in whole(self, **options):
            yield table.slice(1)

    monkeypatch.setattr(SnowflakeCursor, "fetch_arrow_batches", short)
    with pytest.raises(DbError, match="49 rows arrived of a query that has 50"):
        list(source.read(read))


def test_the_same_engine_brings_rows_into_a_warehouse(
    source: SnowflakeSource, house: House, lake_dir: Path, warehouse_db: Database
) -> None:
    """Two syncs and loads; then every row is equal by the checksum that both sides compute for themselves."""
    lake, warehouse = open_lake(f"file://{lake_dir}"), PostgresWarehouse("analytics", warehouse_db.dsn)
    with closing(warehouse):
        _sync_twice(source, house, lake, warehouse, warehouse_db)


def _sync_twice(
    source: SnowflakeSource, house: House, lake: Lake, warehouse: PostgresWarehouse, warehouse_db: Database
) -> None:
    spec = replace(SPEC, late_commit_lag=timedelta(hours=1))
    first = extract(source, lake, spec)
    load(lake, warehouse, spec, TARGET, "all")
    assert (first.rows, first.proof) == (50, "lag")
    assert first.queries <= 4
    table = f"{house.name}.PUBLIC.ORDERS"
    house.double.duckdb(
        f"UPDATE {table} SET NOTE = 'changed', UPDATED_AT = '2026-02-01' WHERE ID <= 3",
        f"INSERT INTO {table} (ID, UPDATED_AT) VALUES (60, '2026-02-02')",
    )
    second = extract(source, lake, spec)
    assert second.rows >= 4
    report = load(lake, warehouse, spec, TARGET, "all")
    assert (report.rows_inserted, report.rows_updated) == (1, 3)
    compared = compare(source, warehouse, spec, TARGET)
    assert (compared.buckets_different, compared.rows_source, compared.rows_target) == (0, 51, 51), compared
    warehouse_db.execute('UPDATE shop."ORDERS" SET "NOTE" = \'wrong\' WHERE "ID" = 20')
    compared = compare(source, warehouse, spec, TARGET)
    assert (compared.rows_changed, compared.rows_missing, compared.rows_extra) == (1, 0, 0), compared


def test_key_rows_are_named_by_buckets_and_by_keys(source: SnowflakeSource) -> None:
    columns = [c.column for c in source.describe("PUBLIC.ORDERS").columns if c.column.name in ("ID", "NOTE")]
    counts = source.checksum("PUBLIC.ORDERS", columns, ["ID"], 4)
    bucket, (rows, total) = next(iter(counts.items()))
    found = source.key_rows("PUBLIC.ORDERS", columns, ["ID"], Buckets(4, (bucket,)), [columns[1]])
    assert (found.num_rows, sum(found.column("hash").to_pylist())) == (rows, total)
    some = source.key_rows("PUBLIC.ORDERS", columns, ["ID"], Keys((columns[0],), (("5", "6", "5000"),)))
    assert sorted(some.column("k0").to_pylist()) == ["5", "6"]
    assert source.checksum("PUBLIC.ORDERS", columns, ["ID"], 4, [bucket]) == {bucket: (rows, total)}


def test_a_condition_holds_for_rows_counts_and_sums(source: SnowflakeSource) -> None:
    """`where`, written anew by `sync.condition`."""
    facts = source.describe("PUBLIC.ORDERS")
    spec = replace(SPEC, where="paid AND day > DATE '2026-01-11' OR note = 'it''s ?'")
    with pytest.raises(ConfigError, match="`where`"):
        resolve(replace(spec, where="id = 1; DROP TABLE ORDERS"), facts)
    where = resolve(replace(spec, where=spec.where and spec.where.replace("paid", "paid = TRUE")), facts).where
    wanted = list(range(12, 51, 2))
    assert _ids(source, where=where) == wanted
    columns = tuple(column.column for column in facts.columns if column.column.name in ("ID", "NOTE"))
    counts = source.checksum("PUBLIC.ORDERS", columns, ["ID"], 4, where=where)
    assert sum(rows for rows, _ in counts.values()) == len(wanted)
    found = source.key_rows("PUBLIC.ORDERS", columns, ["ID"], Buckets(4, (0, 1, 2, 3)), where=where)
    assert found.num_rows == len(wanted)
    some = source.key_rows("PUBLIC.ORDERS", columns, ["ID"], Keys((columns[0],), (("12", "13"),)), where=where)
    assert some.column("k0").to_pylist() == ["12"]
    assert source.count_outside("PUBLIC.ORDERS", "ID", ["1", "2"], where) == len([n for n in wanted if n >= 30])
