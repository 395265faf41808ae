"""What the UI shows of every asset: owners, kinds, columns, where each column comes from, and pictures."""

from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.events import event_line
from syncer_assets.assets.reading_picture import SAMPLES_MOST, ReadingPicture, bars, thinned
from syncer_assets.components.loading import load_definitions
from syncer_assets.model.report import silent
from syncer_assets_tests.assets.conftest import FIRST_ITEMS, JANUARY, Shop
from syncer_assets_tests.assets.results import metadata
from syncer_assets_tests.servers import Database

EVERYTHING = """
type: syncer_assets.Connections
attributes:
  lake: {url: "memory://lake"}
  sources:
    shop: {type: postgres, dsn_env: TEST_SHOP_DSN}
    house: {type: snowflake, dsn_env: TEST_HOUSE_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}
---
type: syncer_assets.TableSync
attributes:
  source: shop
  warehouse: analytics
  owners: ["team:shop"]
  tables:
    - {table: public.orders, cursor: updated_at, partitions: {by: time, every: month, start: "2026-01-01"}}
    - {table: public.countries, load: replace}
---
type: syncer_assets.ApiExtract
attributes:
  source: crm
  base_url: https://api.example.com
  files: memory://files
  owners: ["team:crm"]
  endpoints: [{entity: reviews, path: /reviews}]
---
type: syncer_assets.FileLoad
attributes:
  source: crm
  url: memory://files
  warehouse: analytics
  owners: ["team:crm"]
  entities:
    - entity: reviews
      pattern: "crm/reviews/**/*.jsonl.gz"
      id: id
      core: {columns: {stars: {path: stars, type: bigint}}}
---
type: syncer_assets.KeyedUpdate
attributes: {name: visits, source: house, warehouse: analytics, target: public.visits, table: PUBLIC.VISITS, key: id,
  owners: ["team:house"]}
---
type: syncer_assets.KeyedUpdate
attributes: {name: more_visits, source: house, warehouse: analytics, target: public.more, table: PUBLIC.VISITS, key: id,
  owners: ["team:house"]}
"""
OF_ALL = {"report", "status"}
"""They are about every table, and are of none."""
BY_MATERIALISATION = {"analytics", "lake", "source", "keyed_update"}
"""What the columns are is known when the table was looked at."""
WITHOUT_COLUMNS = {"maintenance", "reconcile", *OF_ALL}


def test_every_asset_of_every_component_says_what_it_is_whose_and_where(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text(EVERYTHING)
    graph = load_definitions(tmp_path).resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    places = {key.path[0] for key in keys}
    assert places == {"api", "raw", "core", *BY_MATERIALISATION, *WITHOUT_COLUMNS}
    for key in keys:
        node, place = graph.get(key), key.path[0]
        assert node.description and node.kinds and node.owners and node.group_name != "default", key
        assert "dagster/code_references" in node.metadata, f"{key} does not lead to its YAML"
        assert bool(node.code_version) == (place != "source"), key
        assert ("dagster/table_name" in node.metadata) == (place not in OF_ALL), key
        assert ("dagster/storage_kind" in node.metadata) == (place not in OF_ALL), key
        known = place not in BY_MATERIALISATION | WITHOUT_COLUMNS
        assert ("dagster/column_schema" in node.metadata) == known, key
        if place in ("raw", "core"):
            assert "dagster/column_lineage" in node.metadata, key


def test_each_column_says_which_column_it_comes_from(shop: Shop) -> None:
    table, result = shop.table("orders"), shop.run("orders", JANUARY)
    assert lineage(result, table.warehouse_key)["status"] == [(table.lake_key, "status")]
    assert lineage(result, table.lake_key) == {
        name: [(table.source_key, name)] for name in ("id", "status", "updated_at")
    }, "notes are excluded"


def test_the_columns_of_the_source_are_told_once_and_again_when_they_change(shop: Shop) -> None:
    key = shop.table("countries").source_key

    def told() -> list[list[str]]:
        records = shop.instance.fetch_materializations(key, limit=10).records
        found = [record.asset_materialization for record in reversed(records)]
        schemas = [each.metadata["dagster/column_schema"].value for each in found if each]
        return [[column.name for column in schema.columns] for schema in schemas if isinstance(schema, dg.TableSchema)]

    shop.run("countries")
    shop.run("countries")
    assert told() == [["code", "name"]]
    shop.source.execute("ALTER TABLE countries ADD region text")
    shop.run("countries")
    assert told() == [["code", "name"], ["code", "name", "region"]]


def test_a_sync_shows_where_its_rows_lie_among_the_ids(shop: Shop, source_db: Database) -> None:
    source_db.execute("DELETE FROM items WHERE id > 60; INSERT INTO items (id, sku) VALUES (99, 'last')")
    result = shop.run("items", FIRST_ITEMS, config={"chunk_rows": 20})
    picture = str(metadata(result, shop.table("items").lake_key)["reading"])
    assert "61 rows in ids 1 .. 99: 62 % of the ids, 3 chunks" in picture
    rows = next(line for line in picture.splitlines() if line.startswith("rows  "))[8:]
    chunks = next(line for line in picture.splitlines() if line.startswith("chunks"))[8:]
    assert len(rows) == len(chunks) == 64
    assert rows[:38].strip() and not rows[41:63].strip() and rows[63] != " ", "ids 61 to 98 are a gap"
    assert chunks.count("┤") == 3
    assert "rows/s" in picture


def test_a_picture_of_many_chunks_keeps_every_row_and_little_memory() -> None:
    picture = ReadingPicture(silent)
    for chunk in range(2_000):
        first = 1_000 * chunk
        ids = (*((first + 100 * number, 100) for number in range(10)), (first + 999, 0))
        picture.hear("chunk read", rows_found=1_000, ids=ids)
    assert len(picture.samples) <= SAMPLES_MOST
    drawn = picture.to_markdown()
    assert drawn and "2,000,000 rows in ids 0 .. 1,99" in drawn and "2,000 chunks" in drawn


def test_thinning_keeps_the_sum_of_the_rows_whatever_their_order() -> None:
    samples = [(5, 2), (1, 3), (9, 1)]
    assert thinned(samples) == [(1, 5), (9, 1)]
    assert sum(rows for _, rows in thinned([*samples, (11, 4)])) == 10


def test_nothing_that_was_read_is_no_picture_and_a_time_cursor_has_no_ids() -> None:
    picture = ReadingPicture(silent)
    picture.hear("chunk read", rows_found=0, ids=())
    assert picture.to_markdown() is None
    for _ in range(2):
        picture.hear("chunk read", rows_found=10, seconds=0.5, ids=())
    drawn = picture.to_markdown()
    assert drawn and "rows/s  ██" in drawn and "at most 20, a column is a chunk" in drawn and "ids" not in drawn


def test_samples_stand_for_the_ids_up_to_the_next_one() -> None:
    """Rows between two samples are no gap, and a gap that a sample ends at is one."""
    picture = ReadingPicture(silent)
    picture.hear("chunk read", rows_found=640, ids=(*((10 * number, 10) for number in range(64)), (639, 0)))
    drawn = picture.to_markdown()
    assert drawn and f"rows    {'█' * 64}" in drawn and "100 % of the ids" in drawn


@pytest.mark.parametrize(("values", "drawn"), [([0, 1, 1000], " ▁█"), ([], ""), ([0, 0], "  "), ([7], "█")])
def test_a_bar_shows_that_there_is_something(values: list[float], drawn: str) -> None:
    assert bars(values) == drawn


def test_ids_for_the_picture_stay_out_of_the_log() -> None:
    assert event_line("chunk read", rows_found=2, ids=((1, 1), (2, 1))) == "chunk read rows_found=2"


def lineage(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, list[tuple[dg.AssetKey, str]]]:
    """By column: the asset and the column that it comes from."""
    found = metadata(result, key)["dagster/column_lineage"]
    assert isinstance(found, dg.TableColumnLineage)
    return {column: [(dep.asset_key, dep.column_name) for dep in deps] for column, deps in found.deps_by_column.items()}
