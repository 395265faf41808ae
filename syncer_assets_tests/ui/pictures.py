"""The pictures of the README, from the real UI: `python -m syncer_assets_tests.ui.pictures [FOLDER]`."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from syncer_assets.assets.checks import BLOAT, CHECKSUM, FRESHNESS
from syncer_assets.demo.run import HASH_KEY
from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import ROWS, open_shop
from syncer_assets_tests.servers import poll
from syncer_assets_tests.ui.browser import Browser
from syncer_assets_tests.ui.dagster_ui import CHECKOUT, DagsterUI

SCALE = 0.2
SYNC_SECONDS = 900
TABLES = (*ROWS, "countries")
NEGLECTED, REWRITES = "prealerts", 5
LIMITS = "{warn: {percent: 30, mb: 0.1}, act: {percent: 50, mb: 0.1}, error: {percent: 60, mb: 0.5}}"


def main(folder: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "chromium is not installed"
    with synced_shop() as ui, Browser(Path(program)) as browser:
        take_graph(ui, browser, folder / "asset-graph.png")
        take_plots(ui, browser, folder / "plots.png")
        take_checks(ui, browser, "orders", CHECKSUM, folder / "checks.png")
        take_checks(ui, browser, NEGLECTED, BLOAT, folder / "checks-red.png")


@contextmanager
def synced_shop() -> Iterator[DagsterUI]:
    """The UI on the demo shop, with every table synced and every check made."""
    with tempfile.TemporaryDirectory(prefix="syncer-pictures-") as name, ExitStack() as stack:
        root = Path(name)
        server = stack.enter_context(EmbeddedPostgres(root / "postgres", durable=False))
        shop = open_shop(server, scale=SCALE)
        env = {**shop.env, "SYNCER_LAKE": f"file://{root / 'lake'}", "SYNCER_HASH_KEY": HASH_KEY}
        env["SYNCER_DEFS"] = str(strict_definitions(root / "defs"))
        ui = DagsterUI(root / "home", env)
        stack.callback(ui.stop)
        ui.start()
        for sensor in ui.sensors():  # they would start runs between the checks and the pictures
            ui.stop_sensor(sensor)
        syncer = Path(sys.executable).with_name("syncer")
        subprocess.run([str(syncer), "run"], env=ui.env, check=True, timeout=SYNC_SECONDS)
        neglect(shop.env["ANALYTICS_DSN"])
        ui.start_daemon()
        checks = [(f"analytics/shop/{table}", check) for table in TABLES for check in (CHECKSUM, FRESHNESS, BLOAT)]
        ui.wait_for_run(ui.execute_checks(*checks), SYNC_SECONDS)
        yield ui


def strict_definitions(folder: Path) -> Path:
    """The shop's, with limits of bloat that a small table can reach. With a second group the graph would be closed."""
    shutil.copytree(CHECKOUT / "syncer_assets" / "defs", folder, ignore=shutil.ignore_patterns("bronze"))
    path = folder / "shop" / "defs.yaml"
    path.write_text(path.read_text().replace("  schema: shop\n", f"  schema: shop\n  bloat: {LIMITS}\n"))
    return folder


def neglect(dsn: str) -> None:
    """One table of the warehouse written again and again, and a row of it lost: its checks are red."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        table = sql.Identifier("shop", NEGLECTED)
        connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(table))
        for _ in range(REWRITES):
            connection.execute(sql.SQL("UPDATE {} SET id = id").format(table))
        connection.execute(sql.SQL("DELETE FROM {0} WHERE id = (SELECT min(id) FROM {0})").format(table))
        connection.execute(sql.SQL("ANALYZE {}").format(table))


def take_graph(ui: DagsterUI, browser: Browser, path: Path) -> None:
    """The graph of all assets, in a window that it fills; with the sensors as they are by default."""
    browser.resize(1500, 2040)
    browser.open(f"{ui.url}/asset-groups", "Hide navigation", "Materialize all")
    browser.click("Hide navigation")
    browser.evaluate("document.querySelector('[aria-label=panel_show_right]').closest('button').click()")
    browser.wait_until_still()
    browser.double_click(112, 1900)  # on nothing: fits the graph into the window
    browser.wait_for("4 / 4 Passed", "1 / 1 Passed")
    browser.wait_until_still()
    browser.picture(path)


def take_plots(ui: DagsterUI, browser: Browser, path: Path) -> None:
    """The plots of orders in the lake, a point a month: four of them, of rows and speed, fill the window."""
    browser.resize(1600, 730)
    browser.open(f"{ui.url}/assets/lake/shop/orders?view=overview", "rows_per_second")
    browser.click("Plots")
    browser.wait_for("highest data point")
    poll(lambda: browser.evaluate("document.querySelectorAll('canvas').length >= 12"), 60)
    browser.evaluate(
        "[...document.querySelectorAll('div')].filter((each) => each.innerText === 'rows').at(-1)"
        ".scrollIntoView({block: 'start'})"
    )
    browser.wait_until_still()
    browser.picture(path)


def take_checks(ui: DagsterUI, browser: Browser, table: str, check: str, path: Path) -> None:
    """The checks of a table in the warehouse, one of them opened."""
    browser.resize(1500, 760)
    browser.open(f"{ui.url}/assets/analytics/shop/{table}?view=checks&checkDetail={check}", CHECKSUM, BLOAT)
    browser.wait_until_still()
    browser.picture(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKOUT / "docs")
