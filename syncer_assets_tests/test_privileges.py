"""Every test gives the product the roles of docs/privileges.md: what the fixtures have made is that, and no more."""

from contextlib import closing
from pathlib import Path

import obstore
import psycopg
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from syncer_assets.model.errors import DbError
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.model.upkeep import MaintenanceRequest, Upkeep
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract, load
from syncer_assets.sync.lake import open_lake
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests import privileges
from syncer_assets_tests.mariadb import MariaDatabase
from syncer_assets_tests.servers import Bucket, Database

SESSIONS = """
SELECT DISTINCT usename FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'syncer_assets%'
"""


def test_the_sessions_of_a_sync_are_the_two_roles(source_db: Database, warehouse_db: Database, lake_dir: Path) -> None:
    source_db.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, status text); INSERT INTO orders VALUES (1, 'a')")
    source, warehouse = PostgresSource("shop", source_db.dsn), PostgresWarehouse("dw", warehouse_db.dsn)
    lake, spec, target = (
        open_lake(f"file://{lake_dir}"),
        TableSpec("shop", "orders", cursor=("id",), settle_seconds=0),
        Target("dw", "shop", "orders"),
    )
    seen: set[tuple[str, str]] = set()

    def emit(event: str, **fields: object) -> None:
        for database in (source_db, warehouse_db):
            seen.update((database.name, role) for (role,) in database.execute(SESSIONS))

    with closing(source), closing(warehouse):
        extract(source, lake, spec, emit=emit)
        load(lake, warehouse, spec, target, emit=emit)
        warehouse.maintain(target, Upkeep(), MaintenanceRequest("repair"), emit=emit)
        emit("the end")
    assert seen == {(database.name, privileges.role_of(database.name)) for database in (source_db, warehouse_db)}


def test_the_server_refuses_the_product_as_a_superuser(source_db: Database, warehouse_db: Database) -> None:
    """Else a fixture could fall back to one, and nobody would notice."""
    source, warehouse = PostgresSource("shop", source_db.admin_dsn), PostgresWarehouse("dw", warehouse_db.admin_dsn)
    for ask in (source.identity, lambda: warehouse.watermarks(Target("dw", "shop", "orders"))):
        with pytest.raises(DbError, match="the product has come as a superuser"):
            ask()


@pytest.mark.parametrize("fixture", ["source_db", "warehouse_db", "database"])
def test_a_role_has_no_attribute_and_no_other_role(request: pytest.FixtureRequest, fixture: str) -> None:
    database: Database = request.getfixturevalue(fixture)
    assert f"{database.role}@" in database.dsn
    attributes = "rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    role = [database.role]
    assert database.execute(f"SELECT {attributes} FROM pg_roles WHERE rolname = %s", role) == [(False,) * 5]
    assert not database.execute("SELECT FROM pg_auth_members WHERE member = %s::regrole", role)
    may = "SELECT has_database_privilege(%s, current_database(), 'CREATE')"
    assert not database.scalar(may, role)


def test_the_role_of_a_mariadb_has_what_the_page_says(maria_db: MariaDatabase) -> None:
    session = maria_db.server.connect(maria_db.name, maria_db.role, privileges.PASSWORD)
    with closing(session), session.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = sorted(grant.partition(" TO ")[0] for (grant,) in cursor.fetchall())
    assert grants == ["GRANT PROCESS ON *.*", f"GRANT SELECT ON `{maria_db.name}`.*"]
    assert maria_db.dsn == maria_db.dsn_as(maria_db.role, privileges.PASSWORD)


@pytest.mark.server
def test_a_bucket_gives_its_key_what_the_policy_allows(s3: Bucket) -> None:
    """Here the server itself refuses: see `faults/test_policy.py` for the conditions that it does not know."""
    product = S3Store(
        s3.name,
        endpoint=s3.endpoint,
        access_key_id=s3.access_key,
        secret_access_key=s3.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    manifest, data = "lake/shop/orders/all/_manifests/00000001.json", "lake/shop/orders/all/data/1-a/part.parquet"
    for path in (manifest, data):
        obstore.put(product, path, b"x")
        assert bytes(obstore.get(product, path).bytes()) == b"x"
    obstore.put(s3.store, "elsewhere/x", b"x")
    for refused in (
        lambda: obstore.delete(product, manifest),
        lambda: obstore.put(product, "elsewhere/x", b""),
        lambda: obstore.get(product, "elsewhere/x"),
        lambda: list(obstore.list(product, prefix="elsewhere")),
    ):
        with pytest.raises((BaseError, PermissionError)):
            refused()
    obstore.delete(product, data)
    assert [each["path"] for each in obstore.list(s3.store, prefix="lake/").collect()] == [manifest]


def test_what_the_administrator_makes_in_a_warehouse_the_loader_gets(warehouse_db: Database) -> None:
    """But not what is temporary."""
    owner = "SELECT relowner::regrole::text FROM pg_class WHERE relname = %s"
    with warehouse_db.connect() as session:
        session.execute("CREATE TABLE shop.made (id int); CREATE TEMP TABLE own (id int); SELECT 1 AS id INTO shop.too")
        owners = [session.execute(owner, [name]).fetchone() for name in ("made", "own", "too")]
    assert owners == [(warehouse_db.role,), ("postgres",), (warehouse_db.role,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), warehouse_db.connect(role=warehouse_db.role) as session:
        session.execute("CREATE SCHEMA other")
