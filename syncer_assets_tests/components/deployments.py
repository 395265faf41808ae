"""Deployments for tests: a folder with the YAML of one source, one warehouse and some tables."""

from pathlib import Path
from textwrap import dedent, indent

import pytest

from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets_tests.servers import Database

CONNECTIONS = """
type: syncer_assets.Connections
attributes:
  lake: {url: "{{ env('TEST_LAKE', 'memory://lake') }}"}
  sources:
    shop: {type: postgres, dsn_env: TEST_SHOP_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}
"""


def write_defs(folder: Path, tables: str, *, connections: str = CONNECTIONS, head: str = "") -> Path:
    """A folder of definitions: `tables` are the entries of the TableSync, `head` further fields of it."""
    (folder / "connections").mkdir(parents=True)
    (folder / "connections" / "defs.yaml").write_text(connections)
    (folder / "shop").mkdir()
    (folder / "shop" / "defs.yaml").write_text(
        "type: syncer_assets.TableSync\nattributes:\n  source: shop\n  warehouse: analytics\n"
        + indent(dedent(head), "  ")
        + "  tables:\n"
        + indent(dedent(tables).strip("\n"), "    ")
        + "\n"
    )
    return folder


def deploy(
    folder: Path,
    tables: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    source: Database | None = None,
    warehouse: Database | None = None,
    head: str = "",
) -> Deployment:
    """The deployment of such a folder, with its environment set for the databases that are given."""
    for variable in ("TEST_SHOP_DSN", "TEST_ANALYTICS_DSN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TEST_LAKE", f"file://{folder / 'lake'}")
    if source:
        monkeypatch.setenv("TEST_SHOP_DSN", source.dsn)
    if warehouse:
        monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse.dsn)
    return load_deployment(write_defs(folder / "defs", tables, head=head))
