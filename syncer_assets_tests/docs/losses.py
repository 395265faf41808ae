"""What is lost or broken before a recipe of the documentation is followed, and what a run then says."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.components.deployment import load_deployment
from syncer_assets_tests.docs.site import Site, copy_of

FEBRUARY = "2024-02-01"


@dataclass(frozen=True)
class Loss:
    """`says` is what `syncer run` of `table` answers to the loss; None: it goes on by itself, or nobody notices."""

    happen: Callable[[Site, pytest.MonkeyPatch], None]
    says: str | None = None
    table: str = "orders"

    def strike(self, site: Site, patch: pytest.MonkeyPatch) -> None:
        self.happen(site, patch)
        if self.says:
            with pytest.MonkeyPatch.context() as capturing:
                said = site.shell.problems_of(["run", "--select", self.table], capturing)
            assert any(re.search(self.says, line) for line in said), said


def _new_rows(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.source.execute(
        "UPDATE orders SET status = 'changed', updated_at = timestamptz '2024-03-30 00:00+00' WHERE id = 1950"
    )


def _lost_lake(site: Site, patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(site.lake)


def _lost_object(site: Site, patch: pytest.MonkeyPatch) -> None:
    """February is read again since a row of it changed, and its new file is lost before it is loaded."""
    site.source.execute(
        "UPDATE orders SET status = 'lost' WHERE updated_at >= '2024-02-10' AND updated_at < '2024-02-11'"
    )
    before = _files(site)
    with site.shell.environment(patch):
        deployment = load_deployment()
        table = deployment.select(["orders"])[0]
        assert dg.materialize([deployment.asset(table.lake_key)], partition_key=FEBRUARY).success
    (new,) = _files(site) - before
    new.unlink()


def _dropped_target(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.warehouse.execute("DROP TABLE shop.orders")


def _target_made_anew(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.warehouse.execute(
        "CREATE TABLE shop.copy (LIKE shop.orders INCLUDING ALL); INSERT INTO shop.copy SELECT * FROM shop.orders;"
        "DROP TABLE shop.orders; ALTER TABLE shop.copy RENAME TO orders"
    )


def _older_warehouse(site: Site, patch: pytest.MonkeyPatch) -> None:
    """A snapshot of before the last change, under another address."""
    snapshot = copy_of(site.warehouse, "snapshot")
    _new_rows(site, patch)
    site.shell.run("syncer run --select orders", patch)
    site.warehouse = snapshot
    site.shell.env["ANALYTICS_DSN"] = snapshot.dsn


def _older_source(site: Site, patch: pytest.MonkeyPatch) -> None:
    """The newest tenth of the rows is gone, and the sequence is as it was before them."""
    site.source.execute(
        "DELETE FROM order_items WHERE id > 3600; SELECT setval('order_items_id_seq', 3600); ANALYZE order_items"
    )


def _changed_by_hand(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.warehouse.execute(
        "UPDATE shop.orders SET status = 'by hand' WHERE id = 7; DELETE FROM shop.orders WHERE id = 8"
    )


def _files(site: Site) -> set[Path]:
    return set((site.lake / "shop").rglob("*.parquet"))


HOW_TO = "docs/how-to.md"
LOSSES = {
    (HOW_TO, "A run was killed, a server was lost", 1): Loss(_new_rows),
    (HOW_TO, "The lake was lost", 1): Loss(_lost_lake, "the marks in the warehouse belong to lake generation"),
    (HOW_TO, "An object of the lake was lost or changed", 1): Loss(_lost_object, "is missing"),
    (HOW_TO, "A target was dropped", 1): Loss(_dropped_target, "the warehouse table was dropped after it was loaded"),
    (HOW_TO, "A target was dropped", 2): Loss(_target_made_anew, "`syncer adopt`"),
    (HOW_TO, "The warehouse was restored from a backup", 1): Loss(_older_warehouse),
    (HOW_TO, "The source was truncated, or restored to an earlier day", 1): Loss(
        _older_source, "lies below what was proven final", "order_items"
    ),
    (HOW_TO, "A checksum is red", 1): Loss(_changed_by_hand),
}
"""By page, heading, and the number of the block below it."""
