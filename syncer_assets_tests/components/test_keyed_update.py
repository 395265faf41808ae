"""The YAML of a keyed update: what it becomes, and what is wrong with it, told with file, line, field and fix."""

from datetime import timedelta
from pathlib import Path

import pytest

from syncer_assets.components.keyed_update import KeyedUpdate
from syncer_assets.components.loading import component_tree, load_definitions
from syncer_assets.model.errors import ConfigError
from syncer_assets.model.keyed_update import BatchSettings, KeyedUpdateSpec, RollingWindow
from syncer_assets.model.table import IndexSpec, Target

CONNECTIONS = """
type: syncer_assets.Connections
attributes:
  lake: {url: "memory://lake"}
  sources:
    house: {type: snowflake, dsn_env: TEST_HOUSE_DSN, options: {use_cached_result: true}}
    shop: {type: postgres, dsn_env: TEST_SHOP_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}
"""
HEAD = """
type: syncer_assets.KeyedUpdate
attributes:
"""
LEAST = {"name": "visits", "source": "house", "warehouse": "analytics", "target": "public.visits", "key": "{id: ID}"}
FULL = """
type: syncer_assets.KeyedUpdate
attributes:
  name: visits
  source: house
  warehouse: analytics
  target: care.visits
  query: SELECT * FROM V WHERE {prefix} AND D >= {since}
  changed: {column: UPDATED_AT, lag: 1h}
  key: {visit_id: VISIT_ID}
  columns: {status: STATUS}
  prefix: {column: SSN, expression: v.SSN, list: ["1", "2", "030"]}
  window: {column: D, years: 2, days: 45, ahead_days: 45}
  batch: {rows: 2500, longest: 6}
  partitions: 3
  workers: 8
  connection_limit: 12
  indexes: [{columns: [visit_id], unique: true}]
  schedule: "0 2 * * *"
"""


def _folder(path: Path, *documents: str) -> Path:
    for number, document in enumerate([CONNECTIONS, *documents]):
        (path / f"part{number}").mkdir()
        (path / f"part{number}" / "defs.yaml").write_text(document)
    return path


def _with(**fields: str) -> str:
    entries = {"table": "PUBLIC.VISITS", **LEAST, **fields}
    return HEAD + "".join(f"  {name}: {value}\n" for name, value in entries.items() if value)


def test_every_field_reaches_the_engine(tmp_path: Path) -> None:
    found = component_tree(_folder(tmp_path, FULL)).get_all_components(KeyedUpdate)[0].to_spec()
    assert found == KeyedUpdateSpec(
        name="visits",
        source="house",
        target=Target("analytics", "care", "visits"),
        key={"visit_id": "VISIT_ID"},
        prefix_column="SSN",
        query="SELECT * FROM V WHERE {prefix} AND D >= {since}",
        changed="UPDATED_AT",
        changed_lag=timedelta(hours=1),
        prefix_expression="v.SSN",
        columns={"status": "STATUS"},
        length=3,
        prefixes=("1", "2", "030"),
        groups=3,
        window=RollingWindow("D", years=2, days=45, ahead_days=45),
        batch=BatchSettings(2500, 6),
        workers=8,
        connection_limit=12,
        indexes=(IndexSpec(("visit_id",), unique=True),),
    )


SYNCED = """
type: syncer_assets.TableSync
attributes:
  source: house
  warehouse: analytics
  tables: [{table: PUBLIC.VISITS, name: sightings, key: [ID], load: replace}]
"""


def test_a_table_that_is_synced_too_is_one_asset(tmp_path: Path) -> None:
    graph = load_definitions(_folder(tmp_path, _with(), SYNCED)).resolve_asset_graph()
    [update] = [key for key in graph.get_all_asset_keys() if key.path[0] == "keyed_update"]
    [source] = [key for key in graph.get_all_asset_keys() if key.path[0] == "source"]
    assert source.path == ["source", "house", "sightings"] and graph.get(update).parent_keys == {source}


def test_it_makes_an_asset_and_a_schedule(tmp_path: Path) -> None:
    definitions = load_definitions(_folder(tmp_path, FULL))
    found = {asset.key.path[0]: asset for asset in definitions.resolve_asset_graph().assets_defs}
    asset = found["keyed_update"]
    assert asset.key.path == ["keyed_update", "analytics", "visits"]
    assert asset.partitions_def is not None
    assert asset.partitions_def.get_partition_keys() == ["group-00", "group-01", "group-02"]
    assert {check.name for check in asset.check_specs} == {
        *("row_count", "rows_without_prefix", "key_indexed", "as_declared")
    }
    assert [schedule.name for schedule in definitions.schedules or []] == ["keyed_update__analytics__visits"]


def test_little_is_enough(tmp_path: Path) -> None:
    found = component_tree(_folder(tmp_path, _with(key="ID"))).get_all_components(KeyedUpdate)[0].to_spec()
    assert (found.key, found.prefix_column, found.columns, found.target.name) == (
        {"ID": "ID"},
        "ID",
        None,
        "public.visits",
    )
    load_definitions(tmp_path)


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"source": "hous"}, "source", "did you mean house"),
        ({"source": "shop"}, "source", "no source of type 'postgres'"),
        ({"warehouse": "house"}, "warehouse", "not among the connections"),
        ({"table": ""}, "table", "either a `table` or a `query`"),
        ({"query": "SELECT 1"}, "table", "either a `table` or a `query`"),
        ({"table": "", "query": "DELETE FROM V"}, "query", "not one SELECT"),
        ({"table": "", "query": "SELECT 1; SELECT 2"}, "query", "not one SELECT"),
        ({"table": "", "query": "SELECT * FROM V WHERE D > {since}"}, "query", "there is no `window`"),
        (
            {"table": "", "query": "SELECT * FROM V WHERE D < {until}", "window": "{column: D, days: 5}"},
            "query",
            "declare `ahead_days`",
        ),
        (
            {
                "table": "",
                "query": "SELECT * FROM V WHERE D < {until}",
                "window": "{column: D, days: 5, ahead_days: 1}",
                "changed": "{column: U}",
            },
            "query",
            "leave {until} out",
        ),
        ({"name": "my visits"}, "name", "cannot be a name"),
        ({"key": "[]"}, "key", "there is no key"),
        ({"prefix": '{list: ["1", "12"]}'}, "prefix.list", "begins with another one"),
        ({"prefix": "{expression: v.ID}"}, "prefix.expression", "write {prefix} into the query"),
        ({"prefix": "{lenght: 3}"}, "prefix.lenght", "did you mean length"),
        ({"partitions": "0"}, "partitions", "out of range"),
        ({"workers": "17"}, "workers", "from 1 to 16"),
        ({"connection_limit": "1"}, "connection_limit", "out of range"),
        ({"indexes": "[{unique: true}]"}, "indexes", "either `columns` or an `expression`"),
        ({"owners": "[me]"}, "owners", "no owner"),
        ({"window": "{column: D, years: two}"}, "window.years", "integer"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, fields: dict[str, str], field: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_definitions(_folder(tmp_path, _with(**fields)))
    assert f"field {field}" in str(raised.value)
    assert said in str(raised.value)
    assert "part1/defs.yaml:" in str(raised.value)


def test_two_of_one_name_and_a_table_that_is_loaded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another KeyedUpdate is named 'visits' too"):
        load_definitions(_folder(tmp_path, _with(), _with()))


def test_a_table_that_a_table_sync_loads_is_not_updated_too(tmp_path: Path) -> None:
    sync = "type: syncer_assets.TableSync\nattributes:\n  source: shop\n  warehouse: analytics\n  schema: public\n"
    with pytest.raises(ConfigError, match="loaded by a TableSync"):
        load_definitions(_folder(tmp_path, _with(), f"{sync}  tables: [{{table: public.visits, load: replace}}]\n"))
