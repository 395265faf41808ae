"""The files that an API's pages are written to are known to the FileLoad that reads them."""

from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.components.loading import load_definitions

CONNECTIONS = """
type: syncer_assets.Connections
attributes:
  lake: {url: 'memory://lake'}
  sources: {}
  warehouses: {analytics: {type: postgres, dsn_env: TEST_DSN}}
"""
API = """
type: syncer_assets.ApiExtract
attributes:
  source: crm
  base_url: https://api.example.com
  files: memory://files/
  endpoints:
    - {entity: orders, path: /orders}
    - {entity: orders_old, path: /old}
    - {entity: days, path: '/{start}', partitions: {start: '2024-01-01'}}
"""
FILES = """
type: syncer_assets.FileLoad
attributes:
  source: crm
  url: URL
  warehouse: analytics
  entities:
    - ENTRY
"""


def parents(folder: Path, entry: str, url: str = "memory://files") -> set[str]:
    """The assets that the raw table depends on."""
    texts = {"connections": CONNECTIONS, "api": API, "files": FILES.replace("URL", url).replace("ENTRY", entry)}
    for name, text in texts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "defs.yaml").write_text(text)
    definitions = load_definitions(folder)
    dg.Definitions.validate_loadable(definitions)
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["raw", "crm", "e"]))
    return {key.to_user_string() for key in node.parent_keys}


@pytest.mark.parametrize(
    ("entry", "url", "found"),
    [
        ("{entity: e, pattern: 'crm/orders/*/*.gz'}", "s3://b", set()),
        ("{entity: e, pattern: 'crm/orders/all/*.gz'}", "s3://b/f", set()),
        ("{entity: e, pattern: 'crm/orders/**/*.jsonl.gz'}", "memory://files", {"api/crm/orders"}),
        ("{entity: e, pattern: 'crm/orders_old/*/*.jsonl.gz'}", "memory://files", {"api/crm/orders_old"}),
        ("{entity: e, pattern: 'crm/other/*.jsonl.gz'}", "memory://files", set()),
        (
            "{entity: e, pattern: 'crm/days/{date:%Y-%m-%d}/*.gz', partitions: {by: time, start: '2024-01-01'}}",
            "memory://files",
            {"api/crm/days"},
        ),
        ("{entity: e, pattern: 'crm/days/{prefix}/*.gz', partitions: {by: prefix}}", "memory://files", set()),
    ],
)
def test_a_raw_table_depends_on_the_lists_that_write_its_files(
    entry: str, url: str, found: set[str], tmp_path: Path
) -> None:
    assert parents(tmp_path / "defs", entry, url) == found


def test_the_shipped_way_is_one_graph() -> None:
    graph = load_definitions().resolve_asset_graph()
    way = [dg.AssetKey([place, "feedback", "reviews"]) for place in ("api", "raw", "core")]
    for before, after in pairwise(way):
        assert before in graph.get(after).parent_keys
