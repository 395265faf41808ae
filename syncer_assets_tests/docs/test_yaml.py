"""Every YAML block of the documentation loads: a whole component, some tables, or some fields of one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from syncer_assets.assets.maintenance import MaintenanceConfig
from syncer_assets.assets.reconcile import ReconcileConfig
from syncer_assets.assets.run_config import LakeConfig
from syncer_assets.components.connections import Connections
from syncer_assets.components.entries import TableEntry
from syncer_assets.components.keyed_update import KeyedUpdate
from syncer_assets.components.loading import load_definitions
from syncer_assets.components.table_sync import TableSync
from syncer_assets_tests.docs.pages import PAGES, Block, blocks

BLOCKS = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]
CONFIGS = {"lake": LakeConfig, "maintenance": MaintenanceConfig, "reconcile": ReconcileConfig}
TYPES = {"house": "snowflake", "docs/warehouses.md": "redshift"}
"""What the source of an example, or the warehouse of a page's tables, is where it is no PostgreSQL."""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_yaml_block_loads(block: Block, tmp_path: Path) -> None:
    written = yaml.safe_load(block.text)
    if isinstance(written, dict) and "ops" in written:
        for op, run in written["ops"].items():
            CONFIGS[op.partition("__")[0]](**run["config"])
        return
    component = _component(written)
    attributes = component["attributes"]
    others = [] if _is(component, Connections) else [_connections(attributes, TYPES.get(block.page, "postgres"))]
    for number, each in enumerate([component, *others]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "defs.yaml").write_text(yaml.safe_dump(each))
    load_definitions(tmp_path)


def _component(written: Any) -> dict[str, Any]:
    """The component that a block is, or is a part of."""
    if isinstance(written, list):
        return _table_sync({"tables": written})
    if "type" in written:
        return _completed(written)
    for component in (Connections, TableSync, KeyedUpdate, TableEntry):
        if written.keys() <= component.model_fields.keys():
            break
    else:
        raise AssertionError(f"{', '.join(written)} are the fields of nothing")
    if component is Connections:
        return _completed({"type": "syncer_assets.Connections", "attributes": written})
    if component is TableSync:
        return _table_sync(written)
    if component is TableEntry:
        return _table_sync({"tables": [{"table": "public.orders", **written}]})
    given = {"name": "visits", "source": "house", "warehouse": "analytics", "target": "public.visits"}
    key = {"key": {"visit_id": "VISIT_ID"}, "window": {"column": "VISIT_DATE", "years": 2}}
    return {"type": "syncer_assets.KeyedUpdate", "attributes": {**given, **key, **written}}


def _table_sync(attributes: dict[str, Any]) -> dict[str, Any]:
    """Some fields of tables may be all that is shown of them."""
    cursors = [{} if "load" in table else {"cursor": "updated_at"} for table in attributes["tables"]]
    tables = [{**cursor, **table} for cursor, table in zip(cursors, attributes["tables"], strict=True)]
    given = {"source": "shop", "warehouse": "analytics", "schema": "shop"}
    return {"type": "syncer_assets.TableSync", "attributes": {**given, **attributes, "tables": tables}}


def _completed(component: dict[str, Any]) -> dict[str, Any]:
    """Connections may show a part of themselves."""
    if not _is(component, Connections):
        return component
    given = {"lake": {"url": "s3://bucket/lake"}, "sources": {}, "warehouses": {}}
    return {**component, "attributes": {**given, **component["attributes"]}}


def _is(component: dict[str, Any], kind: type) -> bool:
    return component["type"].endswith(f".{kind.__name__}")


def _connections(attributes: dict[str, Any], warehouse_type: str) -> dict[str, Any]:
    """Connections with the source and the warehouse that the component names."""
    source, warehouse = attributes.get("source"), attributes.get("warehouse")
    sources = {source: {"type": TYPES.get(source, "postgres"), "dsn_env": "SOURCE_DSN"}} if source else {}
    options = {"iam_role": "default"} if warehouse_type == "redshift" else {}
    entry = {"type": warehouse_type, "dsn_env": "WAREHOUSE_DSN", "options": options}
    warehouses = {warehouse: entry} if warehouse else {}
    return _completed(
        {"type": "syncer_assets.Connections", "attributes": {"sources": sources, "warehouses": warehouses}}
    )
