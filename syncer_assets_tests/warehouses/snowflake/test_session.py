"""Sessions: by Dagster's resource or the connector, tagged, and silent about secrets and values."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.columns import Column
from syncer_assets.model.errors import ConfigError, DbError, LakeCorrupt, LostRace, SchemaChanged, SyncError
from syncer_assets.resources.snowflake import opener
from syncer_assets.warehouses.base import DeleteMissing
from syncer_assets.warehouses.registry import open_warehouse
from syncer_assets.warehouses.snowflake import SnowflakeWarehouse
from syncer_assets.warehouses.snowflake.ledger import Counts
from syncer_assets.warehouses.snowflake.multiset import Multiset
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.server import PASSWORD
from syncer_assets_tests.warehouses.contract.under_test import ORDERS, Extraction, Loads, at


@pytest.fixture
def dsn(snowflake_double: SnowflakeDouble) -> str:
    return snowflake_double.dsn(snowflake_double.account.create_database())


def test_dagsters_resource_opens_the_sessions(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_snowflake import SnowflakeResource

    asked: list[str] = []
    real = SnowflakeResource.get_connection
    monkeypatch.setattr(
        SnowflakeResource, "get_connection", lambda self: asked.append(self.account or "") or real(self)
    )
    warehouse = open_warehouse("w", "snowflake", dsn, snowflake_opener=opener)
    assert [finding.passed for finding in warehouse.doctor()] == [True] * 4
    assert asked == ["double"]


def test_a_wrong_password_is_told_once_and_not_the_password(dsn: str, snowflake_double: SnowflakeDouble) -> None:
    wrong = dsn.replace(PASSWORD, "canary-p%40ss")
    (finding,) = SnowflakeWarehouse("w", wrong).doctor()
    assert not finding.passed and "390100" in finding.description
    assert "canary" not in finding.description


def test_statements_carry_run_table_and_partition(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    orders.load([(1, "a")], run_id="run-4711")
    tags = [each for each in snowflake_double.statements if "QUERY_TAG" in each]
    assert '"run_id": "run-4711", "table": "shop.orders", "partition": "all"' in tags[-1]


def test_a_value_that_does_not_fit_is_not_told(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    """A document that is no JSON: the service's own text quotes it."""
    orders.columns = (ORDERS[0], Column("status", "string", "json"))
    with pytest.raises(DbError) as raised:
        orders.load([(1, "{canary-4711")])
    assert raised.value.table == "shop.orders"
    assert "canary" not in str(raised.value) and "canary" not in repr(raised.value.__dict__)


def test_an_unknown_option_is_refused(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown option 'stagee'.*use some of"):
        SnowflakeWarehouse("w", dsn, {"stagee": "X"})


@pytest.mark.parametrize(
    ("option", "value"), [("stage", "A.B.C) x"), ("statement_timeout_seconds", "1h"), ("use_cached_result", "maybe")]
)
def test_a_wrong_value_of_an_option_is_refused(dsn: str, option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"wrong `{option}`.*write"):
        SnowflakeWarehouse("w", dsn, {option: value})


def test_nothing_shows_the_dsn(dsn: str) -> None:
    warehouse = SnowflakeWarehouse("w", dsn)
    assert PASSWORD not in repr(warehouse) and "double" not in repr(warehouse)


def test_a_killed_loads_tables_go_with_the_next_load(orders: Loads, snowflake_double: SnowflakeDouble) -> None:
    orders.load([(1, "a")])
    orders.under_test.query('CREATE TABLE "_SYNCER"."RAW_0123456789ABCDEF_1" (x INT)')  # of another target
    left = [each for each in snowflake_double.statements if each.startswith("CREATE OR REPLACE TRANSIENT TABLE")][-1]
    mine = re.search(r'"(?:RAW|NEW)_([0-9A-F]{16})_\d+"', left)
    assert mine
    orders.under_test.query(f'CREATE TABLE "_SYNCER"."RAW_{mine[1]}_0" (x INT)')
    orders.load([(2, "a")])
    found = orders.under_test.query("SELECT table_name FROM information_schema.tables WHERE table_schema = '_SYNCER'")
    there = sorted(name for (name,) in found if "_" in name)
    assert there == ["RAW_0123456789ABCDEF_1"], snowflake_double.account.refusals


def test_a_target_with_two_rows_of_a_key_stops_the_load(orders: Loads) -> None:
    """Snowflake enforces no key."""
    orders.load([(1, "a")])
    orders.under_test.query('CREATE OR REPLACE TABLE "shop"."copy" AS SELECT * FROM "shop"."orders"')
    orders.under_test.query('CREATE TABLE "shop"."new" AS SELECT * FROM "shop"."orders"')
    orders.under_test.query('DROP TABLE "shop"."orders"')
    orders.under_test.query('ALTER TABLE "shop"."new" RENAME TO "orders"')
    orders.under_test.query('INSERT INTO "shop"."orders" SELECT * FROM "shop"."copy"')
    orders.warehouse.adopt(orders.target, "generation-1")
    with pytest.raises(SchemaChanged, match=r"rows that share a key \(id\)"):
        orders.load([(1, "b")])
    assert [row[1] for row in orders.rows()] == ["a", "a"]


def test_a_swap_is_told_to_be_a_diff(orders: Loads) -> None:
    from syncer_assets.model.table import RefreshSettings

    orders.load_kind = "replace"
    report = orders.load([(1, "a")], delete_missing=DeleteMissing(at(1)), refresh=RefreshSettings("swap"))
    assert report.refresh_reason.startswith("refresh: diff, as always in Snowflake")


def test_files_are_put_only_after_their_hash_was_found(orders: Loads, tmp_path: Path) -> None:
    plan = orders.plan([Extraction([(1, "a")])])
    file = tmp_path / "lake" / plan.files[0].file.path
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(bytes(body))
    with pytest.raises(LakeCorrupt, match="has another hash"):
        orders.warehouse.load(plan)
    assert orders.warehouse.watermark(orders.target, "all").seq == 0


def test_an_epoch_taken_during_the_transaction_rolls_everything_back(orders: Loads) -> None:
    """Only the fence can tell: rows are merged, and nothing that the transaction read before has changed for it."""
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()
    rival = orders.under_test.open()
    done: list[str] = []

    def emit(event: str, **fields: object) -> None:
        if event == "rows merged" and not done:
            done.append(event)
            rival.forget(orders.target, "elsewhere")

    with pytest.raises(SyncError) as raised:
        orders.warehouse.load(replace(plan, emit=emit))
    rival.close()
    assert done and raised.value.retryable
    assert orders.state() == before


def test_a_transaction_that_snowflake_ended_commits_nothing_by_itself(
    orders: Loads, snowflake_double: SnowflakeDouble
) -> None:
    """Its statements would go on, each committed at once: a ledger without the rows that it tells of."""
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()

    def emit(event: str, **fields: object) -> None:
        if event == "rows merged":
            snowflake_double.account.end_transactions()

    with pytest.raises(LostRace, match="Snowflake ended the transaction"):
        orders.warehouse.load(replace(plan, emit=emit))
    assert orders.state() == before
    assert orders.warehouse.load(plan).rows_updated == 1


def test_rows_without_a_key_are_not_appended_outside_of_the_transaction(
    orders: Loads, snowflake_double: SnowflakeDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could tell them from those of the next attempt."""
    orders.key, orders.load_kind = (), "append"
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "a")])]), orders.state()
    real = Multiset.append

    def ended(rows: Multiset, counts: dict[int, Counts]) -> int:
        snowflake_double.account.end_transactions()
        return real(rows, counts)

    monkeypatch.setattr(Multiset, "append", ended)
    with pytest.raises(LostRace, match="Snowflake ended the transaction"):
        orders.warehouse.load(plan)
    assert orders.state() == before
