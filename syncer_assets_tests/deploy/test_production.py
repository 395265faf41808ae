"""What deploy/ ships starts as it is, and brings a table through."""

import re
from collections.abc import Iterator
from typing import Any, LiteralString

import obstore
import psycopg
import pytest
import yaml

from syncer_assets.demo.server import EmbeddedPostgres
from syncer_assets_tests import privileges
from syncer_assets_tests.components.deployments import write_defs
from syncer_assets_tests.deploy.production import DEPLOY, Production, command_of, variables_of
from syncer_assets_tests.servers import Bucket, SeaweedS3, free_ports, poll

TABLES = "- {table: public.items, cursor: id, settle_seconds: 0}"
LOADED = "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop' AND tablename = 'items'"
UNFINISHED = "SELECT count(*) FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')"
PASSWORD = "kept-in-the-environment"
CONNECTIONS = """
type: syncer_assets.Connections
attributes:
  lake: {url: "{{ env('TEST_LAKE') }}"}
  sources:
    shop: {type: postgres, dsn_env: SHOP_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: ANALYTICS_DSN}
"""

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One that listens on loopback, with a login that needs its password, and the databases of a deployment."""
    settings = {"listen_addresses": "127.0.0.1", "port": str(free_ports(1)[0])}
    with EmbeddedPostgres(tmp_path_factory.mktemp("pg"), durable=False, settings=settings) as postgres:
        with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE dagster LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("CREATE DATABASE dagster OWNER dagster")
        with psycopg.connect(postgres.create_database("warehouse"), autocommit=True) as connection:
            privileges.make_loader(connection, "warehouse")
        with psycopg.connect(postgres.create_database("shop"), autocommit=True) as connection:
            privileges.make_reader(connection, "shop")
            connection.execute("CREATE TABLE items (id bigserial PRIMARY KEY, sku text)")
            connection.execute("INSERT INTO items (sku) SELECT 'SKU-' || i FROM generate_series(1, 350) i")
        yield postgres


def query(server: EmbeddedPostgres, database: str, text: LiteralString) -> list[Any]:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        return connection.execute(text).fetchall()


@pytest.fixture(scope="module")
def bucket(s3_server: SeaweedS3) -> Bucket:
    return s3_server.create_bucket()


@pytest.fixture(scope="module")
def production(
    server: EmbeddedPostgres, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    port = re.search(r"port=(\d+)", server.dsn())
    assert port is not None
    env = {
        "SYNCER_DEFS": str(write_defs(folder / "defs", TABLES, connections=CONNECTIONS)),
        "DAGSTER_PG_HOST": "127.0.0.1",
        "DAGSTER_PG_PORT": port[1],
        "DAGSTER_PG_USER": "dagster",
        "DAGSTER_PG_PASSWORD": PASSWORD,
        "DAGSTER_PG_DB": "dagster",
        "SYNCER_LOGS_BUCKET": bucket.name,
        "SYNCER_LOGS_ENDPOINT": bucket.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        **bucket.env,
        "TEST_LAKE": f"{bucket.url}/lake",
    }
    databases = {"SHOP_DSN": "shop", "ANALYTICS_DSN": "warehouse"}
    secrets = {name: server.dsn(each, user=privileges.role_of(each)) for name, each in databases.items()}
    deployed = Production(folder / "home", env, secrets)
    try:
        yield deployed.start()
    finally:
        deployed.stop()
        print(deployed.logs())  # pytest shows it where something failed


@pytest.mark.timeout(400)
def test_the_shipped_deployment_brings_a_table_through(
    production: Production, server: EmbeddedPostgres, bucket: Bucket
) -> None:
    production.wait_for_run(production.materialize(["lake/shop/items"]))
    poll(lambda: query(server, "warehouse", LOADED) == [(1,)], deadline_seconds=180, every_seconds=0.5)  # automation
    poll(lambda: query(server, "dagster", UNFINISHED) == [(0,)], deadline_seconds=180, every_seconds=0.5)
    assert query(server, "warehouse", "SELECT count(*), max(sku) FROM shop.items") == [(350, "SKU-99")]
    production.wait_for_run(production.materialize(["analytics/shop/items"]))
    assert production.check("analytics/shop/items", "row_count")["status"] == "SUCCEEDED"
    [(runs,)] = query(server, "dagster", "SELECT count(*) FROM runs WHERE status = 'SUCCESS'")
    assert runs >= 2, "Dagster's records are not in PostgreSQL"

    def logs() -> list[str]:
        return [meta["path"] for page in obstore.list(bucket.store, prefix="compute-logs") for meta in page]

    assert poll(logs, deadline_seconds=60, every_seconds=0.5), "no log in the bucket"


@pytest.mark.timeout(400)
def test_the_health_checks_of_the_notes_tell_life_from_death(production: Production) -> None:
    assert production.code_server_is_healthy() and production.webserver_answers()
    assert poll(production.daemon_is_alive, deadline_seconds=90, every_seconds=1.0)
    elsewhere = production.port
    production.port = free_ports(1)[0]
    assert not production.code_server_is_healthy(), "a port without a server counts as healthy"
    production.port = elsewhere


def test_the_environment_files_name_all_that_the_instance_reads() -> None:
    read = set(re.findall(r"\{env: (\w+)\}", (DEPLOY / "dagster.yaml").read_text()))
    assert read and read <= variables_of("syncer.env.example")
    assert variables_of("connections.env.example").isdisjoint(variables_of("syncer.env.example"))


def test_units_and_workspace_agree() -> None:
    address = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"][0]["grpc_server"]
    assert f"--host {address['host']} --port {address['port']} " in command_of("code") + " "
    for process in ("daemon", "webserver"):
        assert command_of(process).endswith("--workspace /opt/syncer/deploy/workspace.yaml")
    assert "--host 127.0.0.1 " in command_of("webserver"), "the UI has no login: loopback only"
    assert "EnvironmentFile=/etc/syncer/connections.env" in (DEPLOY / "systemd" / "syncer-code.service").read_text()
    for process in ("daemon", "webserver"):
        assert "connections.env" not in (DEPLOY / "systemd" / f"syncer-{process}.service").read_text()
