"""The demo shop: five tables such as people have, filled in seconds, and a writer that keeps the shop busy."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from .server import EmbeddedPostgres

ROWS = {"orders": 1_000_000, "order_items": 2_000_000, "prealerts": 50_000, "customers": 50_000}
COUNTRIES = 249


@dataclass(frozen=True)
class Shop:
    """The two databases of the demo: the shop's own, and an analyst's that is empty at first."""

    shop_dsn: str
    analytics_dsn: str

    @property
    def env(self) -> dict[str, str]:
        """What the shipped definitions read from the environment."""
        return {"SHOP_DSN": self.shop_dsn, "ANALYTICS_DSN": self.analytics_dsn}


def open_shop(server: EmbeddedPostgres, *, scale: float = 1.0, fresh: bool = True) -> Shop:
    """Makes the databases `shop` (filled) and `analytics` (empty) anew, or without `fresh` only where missing."""
    shop = Shop(
        shop_dsn=server.create_database("shop", fresh=fresh),
        analytics_dsn=server.create_database("analytics", fresh=fresh),
    )
    if not is_filled(shop.shop_dsn):
        fill(shop.shop_dsn, scale=scale)
    return shop


def fill(dsn: str, *, scale: float = 1.0, seed: float = 0.42) -> dict[str, int]:
    """Creates and fills the tables in one transaction, `scale` times ROWS each; returns the rows of each table."""
    rows = {table: max(1, round(count * scale)) for table, count in ROWS.items()}
    with psycopg.connect(dsn, autocommit=True) as connection:
        with connection.transaction():
            connection.execute(_script("shop.sql").format(**rows, seed=seed).encode())
            connection.execute(_script("countries.sql").encode())
        connection.execute("VACUUM (ANALYZE)")
    return {**rows, "countries": COUNTRIES}


def is_filled(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT to_regclass('public.countries') IS NOT NULL").fetchone() == (True,)


class Writer:
    """Inserts orders, and changes a few, at a steady rate in short transactions of its own, until told to stop.

    `inserted` and `updated` count committed rows. An error in the thread is raised by `stop`.
    """

    INSERT = """
        INSERT INTO orders (customer_id, status, amount, created_at)
        SELECT 1 + floor(random() * 50000), 'new', round((5 + 400 * random() ^ 3)::numeric, 2), now()
        FROM generate_series(1, %s)"""
    UPDATE = """
        UPDATE orders SET status = 'changed', updated_at = now()
        WHERE id = (SELECT 1 + floor(random() * max(id))::bigint FROM orders)"""

    def __init__(self, dsn: str, *, rows_per_second: int = 500, transactions_per_second: int = 20) -> None:
        self.inserted = 0
        self.updated = 0
        self._dsn = dsn
        self._rows = max(1, rows_per_second // transactions_per_second)
        self._pause_seconds = self._rows / rows_per_second
        self._stopped = threading.Event()
        self._error: psycopg.Error | None = None
        self._thread = threading.Thread(target=self._run, name="shop-writer", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends after the transaction under way."""
        self._stopped.set()
        self._thread.join()
        if self._error:
            raise self._error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                due = time.monotonic()
                while not self._stopped.wait(due - time.monotonic()):
                    due += self._pause_seconds
                    with connection.transaction():
                        inserted = connection.execute(self.INSERT, [self._rows]).rowcount
                        updated = connection.execute(self.UPDATE).rowcount
                    self.inserted += inserted
                    self.updated += updated
        except psycopg.Error as error:
            self._error = error


def _script(name: str) -> str:
    return Path(__file__).with_name(name).read_text()
