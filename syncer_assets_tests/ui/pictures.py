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
from syncer_assets.demo.api import DemoApi
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
    folder.mkdir(parents=True, exist_ok=True)
    with synced_shop() as ui, Browser(Path(program)) as browser:
        take_graph(ui, browser, folder / "asset-graph.png")
        take_files(ui, browser, folder / "files.png")
        take_reading(ui, browser, folder / "reading.png")
        take_plots(ui, browser, folder / "plots.png")
        take_checks(ui, browser, "orders", CHECKSUM, folder / "checks.png")
        take_checks(ui, browser, NEGLECTED, BLOAT, folder / "checks-red.png")


@contextmanager
def synced_shop() -> Iterator[DagsterUI]:
    """The UI on the demo shop, with every table synced and every check made."""
    with tempfile.TemporaryDirectory(prefix="syncer-pictures-") as name, ExitStack() as stack:
        root = Path(name)
        server = stack.enter_context(EmbeddedPostgres(root / "postgres", durable=False))
        api = stack.enter_context(DemoApi(SCALE))
        shop = open_shop(server, scale=SCALE)
        places = {"SYNCER_LAKE": f"file://{root / 'lake'}", "SYNCER_FILES": f"file://{root / 'files'}"}
        env = {**shop.env, **api.env, **places, "SYNCER_HASH_KEY": HASH_KEY}
        env["SYNCER_DEFS"] = str(strict_definitions(root / "defs"))
        ui = DagsterUI(root / "home", env)
        stack.callback(ui.stop)
        ui.start()
        for sensor in ui.sensors():  # they would start runs between the checks and the pictures
            ui.stop_sensor(sensor)
        syncer = Path(sys.executable).with_name("syncer")
        subprocess.run([str(syncer), "run", "--chunk-rows", "2000"], env=ui.env, check=True, timeout=SYNC_SECONDS)
        neglect(shop.env["ANALYTICS_DSN"])
        ui.start_daemon()
        checks = [(f"analytics/shop/{table}", check) for table in TABLES for check in (CHECKSUM, FRESHNESS, BLOAT)]
        ui.wait_for_run(ui.execute_checks(*checks), SYNC_SECONDS)
        yield ui


def strict_definitions(folder: Path) -> Path:
    """The shipped ones, with limits of bloat that a small table can reach."""
    shutil.copytree(CHECKOUT / "syncer_assets" / "defs", folder)
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
    """The graph of the shop's assets, in a window that it fills; with the sensors as they are by default."""
    browser.open(f"{ui.url}/assets", "Hide navigation")
    browser.click("Hide navigation")  # from here on, in every picture
    _take_group(ui, browser, "shop", path, height=2200)


def take_files(ui: DagsterUI, browser: Browser, path: Path) -> None:
    """From the API's list to files, to the raw table, to the typed one."""
    _take_group(ui, browser, "feedback", path, height=640)


def take_reading(ui: DagsterUI, browser: Browser, path: Path) -> None:
    """How the sparse table was read: rows among the ids, chunks, rows a second."""
    browser.resize(1500, 800)
    browser.open(f"{ui.url}/assets/lake/shop/prealerts?view=events", "reading", "rows/s")
    browser.evaluate(
        "[...document.querySelectorAll('td')].filter((each) => each.innerText === 'sparse_detections').at(-1)"
        ".scrollIntoView({block: 'start'})"
    )
    browser.wait_until_still()
    browser.picture(path)


def _take_group(ui: DagsterUI, browser: Browser, group: str, path: Path, *, height: int) -> None:
    browser.resize(1500, height)
    browser.open(f"{ui.url}/locations/__repository__@syncer_assets/asset-groups/{group}", "Materialize all")
    browser.wait_until_still()
    browser.double_click(112, height - 140)  # on nothing: fits the graph into the window
    browser.wait_for("Passed")
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
