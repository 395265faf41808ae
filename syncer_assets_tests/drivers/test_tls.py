"""Another machine is connected to by a verified TLS, or `insecure: true` is named; this machine needs none."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from syncer_assets.components.deployment import load_deployment
from syncer_assets.drivers import tls
from syncer_assets.model.errors import ConfigError
from syncer_assets.sources.registry import open_source
from syncer_assets.warehouses.registry import open_file_warehouse, open_warehouse
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs

LOCAL = ["", "/var/run/postgresql", "@socket", "localhost", "127.0.0.1", "127.3.4.5", "::1", "[::1]", "LOCALHOST"]
REMOTE = ["db", "db.example", "10.0.0.1", "192.168.1.1", "::2", "0.0.0.0", "localhost.example", "1270.0.1"]
TABLE = "- {table: t, key: [id], cursor: id}"


@pytest.fixture(autouse=True)
def no_libpq_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSSLROOTCERT", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_only_this_machine_is_local() -> None:
    assert all(map(tls.is_local, LOCAL)) and not any(map(tls.is_local, REMOTE))


@pytest.mark.parametrize("type", ["postgres", "redshift"])
def test_libpq_verifies_another_machine_by_default(type: str) -> None:
    given = conninfo_to_dict(tls.verified(type, "postgresql://me:it%27s@db.example:5433/shop", "w", insecure=False))
    assert (given["sslmode"], given["password"], given["port"]) == ("verify-full", "it's", "5433")
    assert given["sslrootcert"] == "system" or Path(str(given["sslrootcert"])).is_file()
    own = "postgresql://db/shop?sslrootcert=/own.pem"
    assert conninfo_to_dict(tls.verified(type, own, "w", insecure=False))["sslrootcert"] == "/own.pem"


def test_mysql_verifies_another_machine_by_default() -> None:
    verified = tls.verified("mysql", "mysql://me:x@db:3306/shop", "w", insecure=False)
    assert verified == "mysql://me:x@db:3306/shop?ssl_mode=verify_identity"
    own = tls.verified("mysql", "mysql://me:x@db/shop?ssl_ca=/own.pem", "w", insecure=False)
    assert own == "mysql://me:x@db/shop?ssl_ca=/own.pem&ssl_mode=verify_identity"


LESS = [
    *(("postgres", f"postgresql://me:s3cret@db/x?sslmode={mode}") for mode in ("disable", "allow", "prefer")),
    *(("redshift", f"host=db dbname=x password=s3cret sslmode={mode}") for mode in ("require", "verify-ca")),
    ("postgres", "postgresql://me:s3cret@localhost,db/x?sslmode=prefer"),
    ("postgres", "host=localhost hostaddr=10.0.0.1 password=s3cret sslmode=prefer"),
    ("postgres", "service=shop password=s3cret sslmode=prefer"),
    *(("mysql", f"mysql://me:s3cret@db/x?ssl_mode={mode}") for mode in ("disabled", "PREFERRED", "required")),
    ("mysql", "mysql://me:s3cret@db/x?ssl_mode=verify_ca&ssl_ca=/own.pem"),
    ("snowflake", "snowflake://me:s3cret@account/d/s?protocol=http"),
]


@pytest.mark.parametrize(("type", "dsn"), LESS)
def test_less_has_to_be_named(type: str, dsn: str) -> None:
    """Before anything is connected to; with `insecure` the DSN is taken as it is."""
    with pytest.raises(ConfigError, match=r"^w: .*(ssl_?mode|protocol)=.*Fix: .*`insecure: true`") as refused:
        tls.verified(type, dsn, "w", insecure=False)
    assert "s3cret" not in str(refused.value)
    assert tls.verified(type, dsn, "w", insecure=True) == dsn


@pytest.mark.parametrize(
    ("type", "dsn"),
    [
        ("postgres", "postgresql://me@localhost/x?sslmode=disable"),
        ("postgres", "postgresql://me@/x?host=/var/run/postgresql"),
        ("postgres", "host=127.0.0.1,::1 dbname=x"),
        ("mysql", "mysql://me@127.0.0.1/x?ssl_mode=disabled"),
        ("snowflake", "snowflake://me:x@account/d/s?host=localhost&protocol=http"),
        ("postgres", "postgresql://me:no encoding@db/x"),
        ("mysql", "mysql://[db/x"),
    ],
)
def test_this_machine_and_what_cannot_be_parsed_are_left_as_they_are(type: str, dsn: str) -> None:
    assert tls.verified(type, dsn, "w", insecure=False) == dsn


def test_an_address_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    with pytest.raises(ConfigError, match="sslmode=prefer"):
        tls.verified("postgres", "dbname=x sslmode=prefer", "w", insecure=False)


def test_every_door_to_a_database_asks() -> None:
    for opening in (open_source, open_warehouse, open_file_warehouse):
        with pytest.raises(ConfigError, match="sslmode=require"):
            opening("shop", "postgres", "postgresql://db/x?sslmode=require")
        opening("shop", "postgres", "postgresql://db/x?sslmode=require", insecure=True).close()


def test_the_yaml_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SHOP_DSN", "postgresql://db/x?sslmode=require")
    monkeypatch.setenv("TEST_ANALYTICS_DSN", "postgresql://db/x?sslmode=require")
    for insecure in (False, True):
        entry = f"dsn_env: TEST_{{}}_DSN, insecure: {str(insecure).lower()}"
        connections = CONNECTIONS
        for name in ("SHOP", "ANALYTICS"):
            assert f"dsn_env: TEST_{name}_DSN" in connections
            connections = connections.replace(f"dsn_env: TEST_{name}_DSN", entry.format(name))
        deployment = load_deployment(write_defs(tmp_path / str(insecure), TABLE, connections=connections))
        for resource in (deployment.source("shop"), deployment.warehouse("analytics")):
            if insecure:
                with resource.open():
                    pass
            else:
                with pytest.raises(ConfigError, match="sslmode=require"), resource.open():
                    pass
