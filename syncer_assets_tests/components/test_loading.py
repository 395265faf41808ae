"""Definitions load from any folder and from anywhere, fast, with no connection and no variable set."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.components.deployment import add_partition, load_connections, load_deployment
from syncer_assets.components.loading import defs_folder, load_definitions
from syncer_assets.model.errors import ConfigError
from syncer_assets.model.table import MaskRule
from syncer_assets_tests.components.deployments import write_defs

TABLES = """
- {table: public.orders, cursor: updated_at, partitions: {by: time, start: "2024-01-01"}, group: sales}
- {table: public.items, cursor: id, partitions: {by: id, size: 1000}, owners: ["team:shop"]}
- {table: public.codes, cursor: code, partitions: {by: prefix, length: 2}}
- {table: public.countries, load: replace, schedule: "0 2 * * *"}
"""
MEASURE = """
import json, sys, time
start = time.process_time()  # of the processor: on a busy machine the wall says little
import syncer_assets.definitions
syncer_assets.definitions.defs()
print(json.dumps({"seconds": time.process_time() - start, "modules": sorted(sys.modules)}))
"""


def load_elsewhere(folder: Path, **env: str) -> dict[str, object]:
    """Loads the code location in a new process, in another working directory, with nothing in its environment."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), **env}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_code_location_loads_in_less_than_four_seconds_and_imports_no_driver(tmp_path: Path) -> None:
    """Every step is a new process that imports it."""
    loaded = load_elsewhere(tmp_path)
    assert isinstance(loaded["seconds"], float)
    assert loaded["seconds"] < 4
    heavy = {
        "boto3",
        "snowflake.connector",
        "dagster_snowflake",
        "dagster_aws",
        "duckdb",
        "polars",
        "psycopg",
        "pgpq",
        "obstore",
    }
    assert isinstance(loaded["modules"], list)
    assert not heavy & set(loaded["modules"])


def test_a_folder_outside_the_package_loads_from_anywhere(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "repository" / "defs", TABLES)
    load_elsewhere(tmp_path, SYNCER_DEFS=str(folder))


def test_the_shipped_definitions_hold_together() -> None:
    definitions = load_definitions()
    dg.Definitions.validate_loadable(definitions)
    assert {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()} >= {
        f"{place}/{table}"
        for place in ("source/shop", "lake/shop", "analytics/shop", "maintenance/analytics/shop")
        for table in ("orders", "order_items", "prealerts", "customers", "countries")
    }


def test_a_relative_folder_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_defs(tmp_path / "defs", TABLES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCER_DEFS", "defs")
    assert defs_folder() == folder
    assert defs_folder(Path("defs/shop")) == folder / "shop"


def test_a_deployment_knows_its_tables(tmp_path: Path) -> None:
    deployment = load_deployment(write_defs(tmp_path / "defs", TABLES))
    orders, items, _, countries = deployment.tables
    assert [table.name for table in deployment.tables] == ["orders", "items", "codes", "countries"]
    assert (orders.group, items.group) == ("sales", "shop")
    assert (orders.owners, items.owners) == ((), ("team:shop",))
    assert orders.target.name == "shop.orders"
    assert countries.schedule is not None
    assert deployment.select([]) == deployment.tables
    assert deployment.select(["orders", "public.orders", "shop.items"]) == (orders, items)
    with pytest.raises(ConfigError, match=r"no table 'order'.*did you mean public.orders"):
        deployment.select(["order"])
    with pytest.raises(ConfigError, match=r"source 'shopp' is not among the connections. Fix: did you mean shop"):
        deployment.source("shopp")
    keys = [asset.key for asset in deployment.assets(orders)]
    assert keys == [orders.lake_key, orders.warehouse_key, orders.maintenance_key]
    assert [asset.key for asset in deployment.assets(orders, maintenance=False)] == keys[:2]
    names = {key.name for checks in deployment.checks(orders) for key in checks.check_keys}
    assert names == {"bloat", "checksum", "freshness"}


def test_connections_load_before_there_is_a_table(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", TABLES)
    (folder / "shop" / "defs.yaml").unlink()
    (folder / "shop").rmdir()
    assert list(load_connections(folder).sources) == ["shop"]
    assert load_deployment(folder).tables == ()


def test_a_dynamic_partition_is_added_once(tmp_path: Path) -> None:
    orders, items, codes, _ = load_deployment(write_defs(tmp_path / "defs", TABLES)).tables
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            add_partition(instance, items, "000000000000-000000000999")
            add_partition(instance, codes, "DE")
            add_partition(instance, orders, "2024-01-01")
        assert instance.get_dynamic_partitions("shop__items") == ["000000000000-000000000999"]
        assert instance.get_dynamic_partitions("shop__codes") == ["DE"]
        assert instance.get_dynamic_partitions("shop__orders") == []


def test_tables_of_one_source_in_two_files_are_watched_by_one_sensor(tmp_path: Path) -> None:
    folder = write_defs(tmp_path / "defs", TABLES)
    (folder / "more").mkdir()
    more = (folder / "shop" / "defs.yaml").read_text().split("  tables:")[0] + "  schema: more\n  tables:\n"
    (folder / "more" / "defs.yaml").write_text(more + "    - {table: other.orders, cursor: id}\n")
    definitions = load_definitions(folder)
    dg.Definitions.validate_loadable(definitions)
    assert sorted(sensor.name for sensor in definitions.sensors or []) == ["automation", "new_rows__shop"]
    names = [table.name for table in load_deployment(folder).tables]
    assert names == ["other_orders", "public_orders", "items", "codes", "countries"]


def test_templates_are_resolved_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ROWS", "7")
    tables = """
    - table: "public.{{ env.TEST_NAME or 'orders' }}"
      cursor: id
      chunk: {rows: "{{ env('TEST_ROWS') }}"}
      late_commit_lag: "{{ env('TEST_LAG', '2m') }}"
      columns: {mask: {name: "{{ env('TEST_ROWS') }}*", iban: {keep_last: 4, text: "{{ env('TEST_ROWS') }}+"}}}
    """
    (table,) = load_deployment(write_defs(tmp_path / "defs", tables)).tables
    assert table.spec.table == "public.orders"
    assert table.spec.chunk.rows == 7
    assert table.spec.late_commit_lag == timedelta(minutes=2)
    assert dict(table.spec.columns.mask) == {"name": MaskRule("7*"), "iban": MaskRule("7+", keep_last=4)}
