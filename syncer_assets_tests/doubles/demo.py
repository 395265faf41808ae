"""`make demo-doubles`: the demo's shop, synced into each double, and the same tables as `make demo` prints.

    python -m syncer_assets_tests.doubles.demo --scale 0.05 redshift

What a double proves and what not: docs/warehouses.md.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg

import syncer_assets
from syncer_assets.cli.reconcile import reconcile_tables, show_reconciliations
from syncer_assets.cli.run import report, sync
from syncer_assets.cli.screen import Screen
from syncer_assets.components.deployment import load_deployment
from syncer_assets.demo.run import DAGSTER_YAML, HASH_KEY
from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import open_shop
from syncer_assets_tests.servers import Database, SeaweedS3

CONNECTIONS = """\
type: syncer_assets.Connections
attributes:
  lake: {{url: "{lake}"}}
  sources:
    shop: {{type: postgres, dsn_env: SHOP_DSN}}
  warehouses:
    analytics: {{type: {type}, dsn_env: ANALYTICS_DSN{options}}}
"""

CHANGES = """
UPDATE orders SET status = 'done', updated_at = clock_timestamp() WHERE id % 50 = 0;
INSERT INTO orders (id, customer_id, status, amount, created_at, updated_at)
SELECT (SELECT max(id) FROM orders) + i, 1, 'new', 12.5, clock_timestamp(), clock_timestamp()
FROM generate_series(1, 500) i;
"""

Place = tuple[str, str, dict[str, str]]
"""The lake's address, further fields of the warehouse's entry, and what the environment needs."""


def main(arguments: list[str] | None = None) -> int:
    """Sync into the doubles that are named, or all; 0 if each of them then equals the shop."""
    parser = argparse.ArgumentParser(prog="demo-doubles", description=__doc__)
    parser.add_argument("warehouses", nargs="*", metavar="WAREHOUSE", help=f"one of {', '.join(DOUBLES)}; default: all")
    parser.add_argument("--scale", type=float, default=0.1, help="size of the shop (default: 0.1, 310,000 rows)")
    given = parser.parse_args(arguments)
    if unknown := set(given.warehouses) - DOUBLES.keys():
        parser.error(f"there is no double of {', '.join(sorted(unknown))}")
    folder, screen = Path(tempfile.mkdtemp(prefix="syncer-doubles-")), Screen()
    try:
        with EmbeddedPostgres(folder / "postgres", durable=False) as server:
            shop = open_shop(server, scale=given.scale)
            return max(run(name, folder / name, server, shop.shop_dsn, screen) for name in given.warehouses or DOUBLES)
    finally:
        shutil.rmtree(folder)


def run(name: str, folder: Path, server: EmbeddedPostgres, shop_dsn: str, screen: Screen) -> int:
    """Two rounds into one double, and the comparison."""
    from syncer_assets.cli.execution import RunOptions

    with DOUBLES[name](folder, server) as (lake, options, needed):
        deploy(folder, name, lake, options)
        os.environ.update(
            {
                "SHOP_DSN": shop_dsn,
                "SYNCER_HASH_KEY": HASH_KEY,
                "SYNCER_DEFS": str(folder / "defs"),
                "DAGSTER_HOME": str(folder / "home"),
                **needed,
            }
        )
        deployment, runs = load_deployment(folder / "defs"), RunOptions()
        outcomes = []
        for title, change in ((f"A double of {name}: everything", False), ("What is new and changed", True)):
            screen.line(title, style="bold")
            if change:
                with psycopg.connect(shop_dsn, autocommit=True) as connection:
                    connection.execute(CHANGES.encode())
            outcomes.append(sync(deployment, deployment.tables, runs, 2, screen))
            report(outcomes[-1], screen)
        found, errors = reconcile_tables(deployment, deployment.tables)
        show_reconciliations(found, screen)
        for error in errors:
            screen.problem(error)
    equal = bool(found) and all(each.equal for each in found.values())
    return 0 if equal and not errors and all(outcome.ok for outcome in outcomes) else 1


def deploy(folder: Path, type: str, lake: str, options: str) -> None:
    """The shipped definitions of the shop, with this lake and warehouse."""
    for part in ("defs/connections", "defs/shop", "home"):
        (folder / part).mkdir(parents=True)
    (folder / "home" / "dagster.yaml").write_text(DAGSTER_YAML)
    (folder / "defs" / "connections" / "defs.yaml").write_text(
        CONNECTIONS.format(lake=lake, type=type, options=options)
    )
    shipped = Path(syncer_assets.__file__).parent / "defs" / "shop" / "defs.yaml"
    shutil.copy(shipped, folder / "defs" / "shop" / "defs.yaml")


@contextmanager
def _redshift(folder: Path, server: EmbeddedPostgres) -> Iterator[Place]:
    """Redshift's double over a lake in SeaweedFS."""
    from syncer_assets_tests.doubles.redshift import RedshiftDouble

    storage = SeaweedS3().start()
    database = Database.create(server, "redshift")
    try:
        with RedshiftDouble(database, storage.create_bucket()) as double:
            bucket = double.bucket
            yield f"{bucket.url}/lake", ", options: {iam_role: default}", {**bucket.env, "ANALYTICS_DSN": double.dsn}
    finally:
        database.drop()
        storage.stop()


@contextmanager
def _snowflake(folder: Path, server: EmbeddedPostgres) -> Iterator[Place]:
    """Snowflake's double; its lake is a folder, whose files are put into the table's stage."""
    from syncer_assets_tests.doubles.snowflake import SnowflakeDouble

    double = SnowflakeDouble().start()
    try:
        dsn = double.dsn(double.account.create_database())
        yield f"file://{folder / 'lake'}", "", {"ANALYTICS_DSN": dsn}
    finally:
        double.stop()


DOUBLES: dict[str, Callable[[Path, EmbeddedPostgres], AbstractContextManager[Place]]] = {
    "redshift": _redshift,
    "snowflake": _snowflake,
}


if __name__ == "__main__":
    sys.exit(main())
