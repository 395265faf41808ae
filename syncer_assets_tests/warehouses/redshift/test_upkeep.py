"""VACUUM, ANALYZE and the table's layout, each verified by what SVV_TABLE_INFO says afterwards."""

from dataclasses import replace

import pytest

from syncer_assets.model.errors import ConfigError, DbError
from syncer_assets.model.report import silent
from syncer_assets.model.server import ServerSize
from syncer_assets.model.table import IndexSpec
from syncer_assets.model.upkeep import BloatLimits, MaintenanceReport, MaintenanceRequest, Upkeep
from syncer_assets.warehouses.redshift import maintain as maintain_module
from syncer_assets_tests.doubles.redshift import RedshiftDouble
from syncer_assets_tests.servers import poll
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads

ANALYZE, REPAIR = MaintenanceRequest("analyze", always_analyze=False), MaintenanceRequest("repair")


@pytest.fixture
def worn(orders: Loads, double: RedshiftDouble) -> Loads:
    """A table with deleted rows and statistics of another time; nothing looks after it by itself."""
    orders.load([(0, "x")])
    double.database.execute("ALTER TABLE shop.orders SET (autovacuum_enabled = false)")
    orders.load([(n, "a" * 100) for n in range(2000)])
    orders.load_all([Extraction([], mode="repair", deleted=[(n, 9) for n in range(1000)])], hard_deletes=True)
    double.database.execute("SELECT pg_stat_force_next_flush()")
    poll(lambda: orders.warehouse.bloat(orders.target, BloatLimits()).dead_tuples >= 1000, deadline_seconds=60)
    return orders


def maintain(orders: Loads, request: MaintenanceRequest, upkeep: Upkeep | None = None) -> MaintenanceReport:
    return orders.warehouse.maintain(orders.target, upkeep or Upkeep(), request, emit=silent)


def test_bloat_is_the_share_of_deleted_rows(worn: Loads) -> None:
    report = worn.warehouse.bloat(worn.target, BloatLimits())
    (heap,) = report.relations
    assert not heap.is_index and 45 < heap.percent < 60 and report.live_tuples == 1000
    there, absent = worn.warehouse.activity([worn.target, replace(worn.target, table="absent")])
    assert (there.rows, there.dead_rows, there.loads) == (1000, report.dead_tuples, None)
    assert (absent.rows, absent.bytes) == (None, None)


def test_advice_tells_of_the_databases_size(worn: Loads) -> None:
    findings = {finding.name: finding for finding in worn.warehouse.advise([worn.target], ServerSize(storage_gb=1))}
    assert findings["storage"].passed and findings["storage"].metadata["targets_bytes"] == 2**20
    assert "statement_timeout" in findings["session"].metadata
    (full, _) = worn.warehouse.advise([worn.target], ServerSize(storage_gb=0.001))
    assert not full.passed and "make room" in full.description


def test_a_repair_vacuums_and_analyzes(worn: Loads) -> None:
    report = maintain(worn, REPAIR)
    assert report.vacuumed and report.analyzed
    assert (report.facts["dead_tuples"], report.facts["stale_statistics_percent"]) == (0, 0)
    again = maintain(worn, REPAIR)
    assert not again.vacuumed and "VACUUM: no row is deleted or out of order" in again.skipped


@pytest.mark.parametrize("statement", ["VACUUM", "ANALYZE"])
def test_what_succeeds_without_an_effect_is_an_error(
    worn: Loads, double: RedshiftDouble, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role without the privilege gets no error from Redshift."""
    monkeypatch.setattr(maintain_module, "INFO_SECONDS", 0.5)
    double.passive.add(statement)
    with pytest.raises(DbError, match=f"said that it did {statement}.*did not.*OWNER TO") as raised:
        maintain(worn, REPAIR if statement == "VACUUM" else ANALYZE)
    assert raised.value.code == "42501"


def test_fresh_statistics_are_left_alone(worn: Loads) -> None:
    assert maintain(worn, ANALYZE).analyzed
    assert not maintain(worn, ANALYZE).analyzed
    assert maintain(worn, MaintenanceRequest("analyze", always_analyze=True)).analyzed


def test_sort_key_and_distribution_are_set_once(worn: Loads, double: RedshiftDouble) -> None:
    upkeep = Upkeep(storage=(("sort_key", "status, id"), ("distribution", "key(id)")))
    assert maintain(worn, ANALYZE, upkeep).storage_set == [
        "sort_key: none -> status, id", "distribution: AUTO(ALL) -> key(id)",
    ]  # fmt: skip
    assert maintain(worn, ANALYZE, upkeep).storage_set == []
    altered = [statement for statement in double.statements if "ALTER TABLE" in statement]
    assert altered == [
        'ALTER TABLE "shop"."orders" ALTER COMPOUND SORTKEY ("status", "id")',
        'ALTER TABLE "shop"."orders" ALTER DISTSTYLE KEY DISTKEY "id"',
    ]


def test_an_unknown_distribution_is_refused(worn: Loads) -> None:
    with pytest.raises(ConfigError, match="distribution 'evn'"):
        maintain(worn, ANALYZE, Upkeep(storage=(("distribution", "evn"),)))


def test_a_declared_index_is_told_to_mean_nothing(worn: Loads) -> None:
    report = maintain(worn, ANALYZE, Upkeep(indexes=(IndexSpec(("status",)),)))
    assert report.drift == ["index (status): Redshift has none; remove it from the YAML"]


def test_the_doctor_finds_a_warehouse_in_order(orders: Loads) -> None:
    findings = {finding.name: finding for finding in orders.warehouse.doctor()}
    assert all(finding.passed for finding in findings.values())
    assert {"connection", "version", "staging", "ledger", "table_info", "iam_role"} == findings.keys()


def test_the_doctor_tells_of_a_role_that_may_not_see_the_tables(orders: Loads, double: RedshiftDouble) -> None:
    double.fail("SELECT COALESCE(SUM(i.size)", "42501", "permission denied for relation svv_table_info")
    (finding,) = [finding for finding in orders.warehouse.doctor() if not finding.passed]
    assert finding.name == "table_info" and "GRANT SELECT ON SVV_TABLE_INFO" in finding.description
