"""The shop is the same each time, has the shapes that the demo shows, and stays busy while it is read."""

import psycopg
import pytest

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets.demo.shop import COUNTRIES, Writer, fill, open_shop
from syncer_assets_tests.servers import Database, poll

SCALE = 0.01


@pytest.fixture
def shop(database: Database) -> Database:
    fill(database.admin_dsn, scale=SCALE)
    return database


def test_rows_are_as_many_as_told(database: Database) -> None:
    told = fill(database.admin_dsn, scale=SCALE)
    assert told == {"orders": 10_000, "order_items": 20_000, "prealerts": 500, "customers": 500, "countries": COUNTRIES}
    for table, rows in told.items():
        assert database.scalar(f"SELECT count(*) FROM {table}") == rows


def test_orders_lie_in_the_order_of_their_cursor_and_reach_until_now(shop: Database) -> None:
    in_order = (
        "SELECT bool_and(later) FROM (SELECT updated_at > lag(updated_at) OVER (ORDER BY ctid) AS later FROM orders)"
    )
    assert shop.scalar(in_order) is True
    assert shop.scalar("SELECT bool_and(created_at < updated_at) FROM orders") is True
    assert shop.scalar("SELECT count(DISTINCT date_trunc('month', updated_at)) FROM orders") == shop.scalar(
        "SELECT count(*) FROM generate_series(timestamptz '2024-01-01', (SELECT max(updated_at) FROM orders),"
        " '1 month')"
    )
    assert shop.scalar("SELECT now() - max(updated_at) < '1 day' FROM orders") is True


def test_new_rows_come_above_the_sparse_ones(shop: Database) -> None:
    highest = shop.scalar("SELECT max(id) FROM prealerts")
    assert 199_600 < highest <= 200_000
    insert = "INSERT INTO prealerts (tracking, carrier) VALUES ('new', 'DHL') RETURNING id"
    assert shop.scalar(insert) == 200_001


def test_every_item_belongs_to_an_order(shop: Database) -> None:
    assert (
        shop.scalar("SELECT count(*) FROM order_items i LEFT JOIN orders o ON o.id = order_id WHERE o.id IS NULL") == 0
    )


def test_the_same_seed_gives_the_same_rows(source_db: Database, warehouse_db: Database) -> None:
    content = (
        "SELECT md5(string_agg(concat_ws('|', id, customer_id, status, amount, notes), ',' ORDER BY id)) FROM orders"
    )
    for database in (source_db, warehouse_db):
        fill(database.admin_dsn, scale=SCALE)
    assert source_db.scalar(content) == warehouse_db.scalar(content)


def test_opening_keeps_a_shop_or_makes_it_anew(postgres: EmbeddedPostgres) -> None:
    shop = open_shop(postgres, scale=SCALE)
    _execute(shop.shop_dsn, "DELETE FROM orders WHERE id = 1")
    _execute(shop.analytics_dsn, "CREATE TABLE made_by_a_person ()")
    assert open_shop(postgres, fresh=False) == shop
    assert _count(shop.shop_dsn, "orders") == 9_999
    assert open_shop(postgres, scale=SCALE) == shop
    assert _count(shop.shop_dsn, "orders") == 10_000
    with pytest.raises(psycopg.errors.UndefinedTable):
        _count(shop.analytics_dsn, "made_by_a_person")


def test_the_writer_counts_what_it_committed(shop: Database) -> None:
    with Writer(shop.admin_dsn, rows_per_second=2_000) as writer:
        poll(lambda: writer.inserted >= 300 and writer.updated, deadline_seconds=60)
    assert _count(shop.admin_dsn, "orders") == 10_000 + writer.inserted
    assert 0 < shop.scalar("SELECT count(*) FROM orders WHERE status = 'changed'") <= writer.updated


def test_the_writer_tells_of_its_error_when_it_is_stopped(database: Database) -> None:
    writer = Writer(database.admin_dsn).start()
    with pytest.raises(psycopg.errors.UndefinedTable):
        poll(lambda: not writer.running, deadline_seconds=60)
        writer.stop()


def _execute(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def _count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
        assert row
        return row[0]
