"""A source's options reach its adapter as text, however the YAML writes their numbers."""

from pathlib import Path

import pytest

from syncer_assets.components.deployment import load_connections
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs


@pytest.mark.parametrize("written", ["600", '"600"'])
def test_options_are_text(tmp_path: Path, written: str) -> None:
    options = f"{{max_statement_time: {written}, sql_mode: ANSI, identity: shop}}"
    mysql = "shop: {type: mysql, dsn_env: TEST_SHOP_DSN, options: " + options + "}"
    connections = CONNECTIONS.replace("shop: {type: postgres, dsn_env: TEST_SHOP_DSN}", mysql)
    folder = write_defs(tmp_path / "defs", "- {table: orders, cursor: id}", connections=connections)
    resource = load_connections(folder).source_resource("shop")
    assert resource.type == "mysql"
    assert resource.options == {"max_statement_time": "600", "sql_mode": "ANSI", "identity": "shop"}
