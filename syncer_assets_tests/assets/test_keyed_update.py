"""A keyed update as Dagster runs it: a run a partition, its checks and metadata, and nothing personal in any event."""

from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.report import REPORT_KEY
from syncer_assets.components.loading import load_definitions
from syncer_assets.warehouses import registry
from syncer_assets.warehouses.registry import open_sizer
from syncer_assets_tests.assets.results import metadata, run_report
from syncer_assets_tests.doubles.snowflake import SnowflakeDouble
from syncer_assets_tests.doubles.snowflake.account import VirtualWarehouse
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.snowflake.double import House
from syncer_assets_tests.sync.keyed import ROWS, Visits

YAML = """
type: syncer_assets.Connections
attributes:
  lake: {url: "memory://lake"}
  sources:
    house: {type: snowflake, dsn_env: TEST_HOUSE_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}
---
type: syncer_assets.KeyedUpdate
attributes:
  name: visits
  source: house
  warehouse: analytics
  target: public.visits
  table: PUBLIC.VISITS
  key: {visit_id: VISIT_ID}
  prefix: {column: SSN, length: 10}
  batch: {rows: 100}
  partitions: 2
  workers: 2
  indexes: [{columns: [visit_id], unique: true}]
"""


@pytest.fixture
def visits(house: House, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch) -> Visits:
    monkeypatch.setenv("TEST_HOUSE_DSN", house.dsn)
    monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse_db.dsn)
    return Visits.create(house, warehouse_db)


@pytest.fixture
def asset(tmp_path: Path) -> dg.AssetsDefinition:
    return _asset(tmp_path, YAML)


def _asset(folder: Path, text: str) -> dg.AssetsDefinition:
    (folder / "defs.yaml").write_text(text.replace("memory://lake", f"file://{folder / 'lake'}"))
    graph = load_definitions(folder).resolve_asset_graph()
    return next(asset for asset in graph.assets_defs if asset.key.path[0] == "keyed_update")


def _run(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, partition: str) -> dg.ExecuteInProcessResult:
    return dg.materialize([asset], partition_key=partition, instance=instance, raise_on_error=False)


def test_each_partition_is_a_run_with_checks_and_numbers(
    visits: Visits, asset: dg.AssetsDefinition, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    rows = 0
    for partition in ("group-00", "group-01"):
        result = _run(asset, instance, partition)
        assert result.success
        numbers = metadata(result, asset.key)
        rows += int(str(numbers["rows"]))
        assert (numbers["rows_updated"], numbers["workers"]) == (numbers["rows"], 2)
        evaluations = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
        assert evaluations == {"row_count": True, "rows_without_prefix": True, "key_indexed": True, "as_declared": True}
    assert rows == ROWS
    assert visits.different() == 0
    told = metadata(run_report(load_definitions(tmp_path), instance), REPORT_KEY)
    assert (told["keyed_updates"], told["keyed_rows"], told["keyed_rows_updated"]) == (1, ROWS, ROWS)
    assert "| analytics.visits | 2 | 0 |" in str(told["report"])


def test_it_shows_its_columns_and_where_each_comes_from(
    visits: Visits, asset: dg.AssetsDefinition, instance: dg.DagsterInstance
) -> None:
    metadata = _run(asset, instance, "group-00").asset_materializations_for_node(asset.node_def.name)[0].metadata
    schema, lineage = metadata["dagster/column_schema"].value, metadata["dagster/column_lineage"].value
    assert isinstance(schema, dg.TableSchema) and isinstance(lineage, dg.TableColumnLineage)
    types = {column.name: column.type for column in schema.columns}
    there = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'visits'::regclass"
    kept = [name for name, kind in visits.database.execute(there) if types.get(name) == kind]
    assert sorted(kept) == sorted(types) and "visit_id" in types and len(types) > 2
    key = dg.AssetKey(["source", "house", "VISITS"])
    assert lineage.deps_by_column["visit_id"] == [dg.TableColumnDep(key, "VISIT_ID")]
    assert lineage.deps_by_column.keys() == types.keys()


def test_a_step_is_sized_as_the_yaml_declares(
    visits: Visits,
    tmp_path: Path,
    snowflake_double: SnowflakeDouble,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The double to read from has no transactions: the size is that of the double to write to."""
    dsn = snowflake_double.dsn(snowflake_double.account.create_database())
    monkeypatch.setattr(registry, "open_sizer", lambda who, type, _, *rest, **k: open_sizer(who, type, dsn, *rest, **k))
    compute = snowflake_double.account.warehouses["LOADING"] = VirtualWarehouse("LOADING")
    source = "{type: snowflake, dsn_env: TEST_HOUSE_DSN"
    assert source in YAML
    result = _run(
        _asset(tmp_path, YAML.replace(source, f"{source}, sizing: {{sizes: [{{size: LARGE}}]}}")), instance, "group-00"
    )
    sized = result.asset_materializations_for_node(result.job_def.nodes[0].name)[0].metadata
    assert (sized["size_found"].value, compute.resized) == ("XSMALL", ["LARGE", "XSMALL"])


def test_a_failure_is_one_message_and_nothing_personal_is_in_any_event(
    visits: Visits, asset: dg.AssetsDefinition, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    table = f"{visits.house.name}.PUBLIC.VISITS"
    visits.house.double.duckdb(f"UPDATE {table} SET SSN = 'C4N' || SSN, STATUS = 'V4lue' || VISIT_ID")
    assert _run(asset, instance, "group-00").success
    visits.database.execute("ALTER TABLE visits ADD CHECK (status NOT LIKE 'V4lue%') NOT VALID")
    visits.house.double.duckdb(f"UPDATE {table} SET STATUS = 'V4lue again'")
    failed = [_run(asset, instance, partition) for partition in ("group-00", "group-01")]
    assert not any(result.success for result in failed)
    said = "".join(capfd.readouterr())
    for run in instance.get_runs():
        said += repr(run.tags) + "".join(repr(record) for record in instance.all_logs(run.run_id))
    assert "visits_status_check" in said
    for canary in ("C4N", "V4lue", "SSN0"):
        assert canary not in said
