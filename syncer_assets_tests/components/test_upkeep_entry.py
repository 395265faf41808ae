"""The YAML of a table's upkeep, as the engine and the sensors take it."""

from datetime import time
from pathlib import Path

from syncer_assets.assets.table import Cron, SyncedTable
from syncer_assets.components.deployment import load_deployment
from syncer_assets.model.table import IndexSpec
from syncer_assets.model.upkeep import BloatLimit, BloatLimits, RepairLimits, RepairWindow, Upkeep
from syncer_assets_tests.components.deployments import write_defs

FULL = """
- table: public.orders
  cursor: id
  indexes: [{columns: [a, b], unique: true, where: "a > 0"}, {expression: lower(email)}]
  storage:
    fillfactor: 85
    autovacuum_enabled: true
    autovacuum_vacuum_scale_factor: 0.02
    autovacuum_vacuum_threshold: 1000
  bloat:
    cron: "0 4 * * *"
    timezone: Europe/Berlin
    warn: {percent: 10, mb: 1}
    act: {percent: 20, mb: 2}
    error: {percent: 30, mb: 3}
  repair:
    window: "22:30-05:00"
    timezone: Europe/Berlin
    free_space_mb: 5000
    lock_timeout: 500ms
    longest_transaction: 1h
    max_replication_lag_mb: 10
"""


def table_of(folder: Path, tables: str, head: str = "") -> SyncedTable:
    return load_deployment(write_defs(folder / "defs", tables, head=head)).tables[0]


def test_every_field_reaches_the_engine(tmp_path: Path) -> None:
    table = table_of(tmp_path, FULL)
    indexes = (IndexSpec(("a", "b"), "a > 0", True), IndexSpec((), None, False, "lower(email)"))
    assert table.spec.indexes == indexes
    assert table.upkeep == Upkeep(
        indexes,
        (
            ("fillfactor", "85"),
            ("autovacuum_enabled", "true"),
            ("autovacuum_vacuum_threshold", "1000"),
            ("autovacuum_vacuum_scale_factor", "0.02"),
        ),
        BloatLimits(BloatLimit(10, 1), BloatLimit(20, 2), BloatLimit(30, 3)),
        RepairLimits(5000, 0.5, 3600, 10),
    )
    assert table.bloat == Cron("0 4 * * *", "Europe/Berlin")
    assert table.repair_window == RepairWindow(time(22, 30), time(5), "Europe/Berlin")


def test_what_is_not_said_is_the_default(tmp_path: Path) -> None:
    table = table_of(tmp_path, "- {table: public.orders, cursor: id}")
    assert table.upkeep == Upkeep()
    assert (table.bloat, table.repair_window) == (None, None)


def test_a_component_says_it_for_all_its_tables(tmp_path: Path) -> None:
    head = 'bloat: "0 4 * * *"\nrepair: {window: "01:00-05:00"}\n'
    assert table_of(tmp_path / "a", "- {table: public.orders, cursor: id}", head).bloat == Cron("0 4 * * *")
    own = table_of(tmp_path / "b", '- {table: public.orders, cursor: id, bloat: "0 5 * * *", repair: {}}', head)
    assert (own.bloat, own.repair_window) == (Cron("0 5 * * *"), None)
