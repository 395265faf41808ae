"""A demo shop, its warehouse and a folder with definitions, on which a page's commands are run."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from psycopg import sql

from syncer_assets_tests.docs.shell import Shell
from syncer_assets_tests.servers import Database

DEFS = {
    "connections/defs.yaml": """\
type: syncer_assets.Connections
attributes:
  lake: {url: "file://./lake"}
  sources:
    shop: {type: postgres, dsn_env: SHOP_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: ANALYTICS_DSN}
""",
    "shop/defs.yaml": """\
type: syncer_assets.TableSync
attributes:
  source: shop
  warehouse: analytics
  schema: shop
  tables:
    - table: public.orders
      cursor: updated_at
      partitions: {by: time, every: month, start: "2024-01-01"}
      deletes: hard
    - {table: public.order_items, cursor: id, deletes: hard}
    - {table: public.customers, cursor: updated_at}
    - {table: public.countries, load: replace}
""",
}
COMPARED = {
    "orders": "id, customer_id, status, amount, updated_at",
    "order_items": "id, order_id, sku, qty, price",
    "customers": "id, name, country, updated_at",
    "countries": "*",
}


@dataclass
class Site:
    """`warehouse` is another one after a restore."""

    folder: Path
    source: Database
    warehouse: Database
    shell: Shell

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def assert_equal(self, when: str) -> None:
        """Both sides have the same rows; those that the source keeps changing are none."""
        for table, columns in COMPARED.items():
            if columns == "*":
                columns = ", ".join(
                    name
                    for (name,) in self.source.execute(
                        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [table]
                    )
                )
            ours = self.warehouse.execute(f"SELECT {columns} FROM shop.{table} ORDER BY 1")
            theirs = self.source.execute(f"SELECT {columns} FROM public.{table} ORDER BY 1")
            assert ours == theirs, f"{table} differs {when}"


def copy_of(database: Database, purpose: str) -> Database:
    """Another database with the same content and the same OIDs, as a restored snapshot has."""
    copy = Database(database.server, f"{purpose}_{uuid4().hex[:10]}", database.role)
    command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(copy.name), sql.Identifier(database.name))
    with Database(database.server, "postgres").connect() as connection:
        connection.execute(command)
    return copy
