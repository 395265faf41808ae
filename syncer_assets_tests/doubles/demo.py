"""`make demo-doubles`: the demo's shop, synced into each double, and the same tables as `make demo` prints.

    python -m syncer_assets_tests.doubles.demo --scale 0.05 redshift

What a double proves and what not: docs/warehouses.md.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import psycopg

import syncer_assets
from syncer_assets.cli.execution import RunOptions
from syncer_assets.cli.reconcile import reconcile_tables, show_reconciliations
from syncer_assets.cli.run import report, sync
from syncer_assets.cli.screen import Screen
from syncer_assets.components.deployment import load_deployment
from syncer_assets.demo.run import DAGSTER_YAML, HASH_KEY
from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import open_shop
from syncer_assets_tests.servers import Bucket, Database, SeaweedS3

CONNECTIONS = """\
type: syncer_assets.Connections
attributes:
  lake: {{url: "{lake}"}}
  sources:
    shop: {{type: postgres, dsn_env: SHOP_DSN}}
  warehouses:
    analytics: {{type: {type}, dsn_env: ANALYTICS_DSN{options}}}
"""

WORKERS = 2

CHANGES = """
UPDATE orders SET status = 'done', updated_at = clock_timestamp() WHERE id % 50 = 0;
INSERT INTO orders (id, customer_id, status, amount, created_at, updated_at)
SELECT (SELECT max(id) FROM orders) + i, 1, 'new', 12.5, clock_timestamp(), clock_timestamp()
FROM generate_series(1, 500) i;
INSERT INTO prealerts (tracking, carrier) SELECT 'TR' || i, 'DHL' FROM generate_series(1, 26) i;
"""

Place = tuple[str, dict[str, str]]
"""Further fields of the warehouse's entry, and what the environment needs."""


def main(arguments: list[str] | None = None) -> int:
    """Sync into the doubles that are named, or all; 0 if each of them then equals the shop."""
    parser = argparse.ArgumentParser(prog="demo-doubles", description=__doc__)
    parser.add_argument("warehouses", nargs="*", metavar="WAREHOUSE", help=f"one of {', '.join(DOUBLES)}; default: all")
    parser.add_argument("--scale", type=float, default=0.1, help="size of the shop (default: 0.1, 310,000 rows)")
    parser.add_argument("--select", metavar="TABLE", default="", help="only this table")
    given = parser.parse_args(arguments)
    if unknown := set(given.warehouses) - DOUBLES.keys():
        parser.error(f"there is no double of {', '.join(sorted(unknown))}")
    folder, storage, ended = Path(tempfile.mkdtemp(prefix="syncer-doubles-")), SeaweedS3(), []
    try:
        storage.start()
        with EmbeddedPostgres(folder / "postgres", durable=False) as server:
            for name in given.warehouses or DOUBLES:
                shop = open_shop(server, scale=given.scale)
                ended.append(run(name, folder / name, server, storage.create_bucket(), shop.shop_dsn, given.select))
    finally:
        storage.stop()
        shutil.rmtree(folder)
    return max(ended)


def run(
    name: str,
    folder: Path,
    server: EmbeddedPostgres,
    bucket: Bucket,
    shop_dsn: str,
    select: str = "",
    writer_dsn: str = "",
) -> int:
    """Two rounds into one double, and the comparison. The shop is changed through `writer_dsn`, else `shop_dsn`."""
    screen, started, outcomes = Screen(), time.monotonic(), []
    needed = {"SHOP_DSN": shop_dsn, "SYNCER_HASH_KEY": HASH_KEY, "DAGSTER_HOME": str(folder / "home"), **bucket.env}
    with DOUBLES[name](bucket, server) as (options, dsn), patch.dict(os.environ, {**needed, **dsn}):
        deploy(folder, name, f"{bucket.url}/lake", options)
        deployment = load_deployment(folder / "defs")
        tables = [table for table in deployment.tables if select in ("", table.spec.name)]
        for title, changes in ((f"A double of {name}: everything", ""), ("What is new and changed", CHANGES)):
            screen.line(title, style="bold")
            with psycopg.connect(writer_dsn or shop_dsn, autocommit=True) as connection:
                connection.execute(changes.encode())
            outcomes.append(sync(deployment, tables, RunOptions(), WORKERS, screen))
            report(outcomes[-1], screen)
            screen.line(f"{outcomes[-1].seconds:.1f} s")
        found, errors = reconcile_tables(deployment, tables)
        show_reconciliations(found, screen)
        for error in errors:
            screen.problem(error)
    screen.line(f"{name}: {time.monotonic() - started:.1f} s in all")
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
def _redshift(bucket: Bucket, server: EmbeddedPostgres) -> Iterator[Place]:
    """Redshift's double: it reads the bucket by the manifest that each COPY names."""
    from syncer_assets_tests.doubles.redshift import RedshiftDouble

    database = Database.create(server, "redshift")
    try:
        with RedshiftDouble(database, bucket) as double:
            yield ", options: {iam_role: default}", {"ANALYTICS_DSN": double.dsn}
    finally:
        database.drop()


@contextmanager
def _snowflake(bucket: Bucket, server: EmbeddedPostgres) -> Iterator[Place]:
    """Snowflake's double: it reads the bucket through an external stage."""
    from syncer_assets_tests.doubles.snowflake import SnowflakeDouble

    double = SnowflakeDouble().start()
    try:
        database = double.account.create_database()
        double.account.let_read(bucket)
        double.query(database, f'CREATE STAGE "PUBLIC"."LAKE" URL = \'{bucket.url}/lake/\'')
        yield f", options: {{stage: {database}.PUBLIC.LAKE}}", {"ANALYTICS_DSN": double.dsn(database)}
    finally:
        double.stop()


DOUBLES: dict[str, Callable[[Bucket, EmbeddedPostgres], AbstractContextManager[Place]]] = {
    "redshift": _redshift,
    "snowflake": _snowflake,
}


if __name__ == "__main__":
    sys.exit(main())
