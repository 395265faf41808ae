"""A Redshift in the YAML: how it is reached, whence it loads, and what is wrong is told."""

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from syncer_assets.components.deployment import load_deployment
from syncer_assets.components.loading import load_definitions
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs

TABLE = "- {table: t, key: [id], cursor: id}"
BY_ARGUMENTS = (
    "{type: redshift, connection: {host: c1.example, user: loader, password_env: RS_PASSWORD, database: dw,"
    " connect_timeout: 7}, options: {iam_role: default}}"
)


def connections(warehouse: str, lake: str = "s3://bucket/lake") -> str:
    old = "{type: postgres, dsn_env: TEST_ANALYTICS_DSN}"
    return CONNECTIONS.replace("{{ env('TEST_LAKE', 'memory://lake') }}", lake).replace(old, warehouse)


def test_arguments_in_place_of_a_dsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RS_PASSWORD", "it's a secret")
    deployment = load_deployment(write_defs(tmp_path, TABLE, connections=connections(BY_ARGUMENTS)))
    resource = deployment.warehouse("analytics")
    assert "secret" not in repr(resource)
    with resource.open() as warehouse:
        assert repr(warehouse) == "RedshiftWarehouse('analytics')"
        given = conninfo_to_dict(warehouse._sessions.dsn)  # type: ignore[attr-defined]  # what it would connect with
    assert given == {
        "host": "c1.example",
        "port": "5439",
        "user": "loader",
        "password": "it's a secret",
        "dbname": "dw",
        "sslmode": "verify-full",
        "sslrootcert": given["sslrootcert"],
        "connect_timeout": "7",
    }


def test_the_variable_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RS_PASSWORD", raising=False)
    deployment = load_deployment(write_defs(tmp_path, TABLE, connections=connections(BY_ARGUMENTS)))
    with pytest.raises(ConfigError, match="RS_PASSWORD is not set"), deployment.warehouse("analytics").open():
        pass


@pytest.mark.parametrize(
    ("warehouse", "lake", "message"),
    [
        (
            "{type: redshift, dsn_env: D, options: {iam_role: default}}",
            "file://./lake",
            r"loads from S3 only.*s3:// url",
        ),
        ("{type: redshift, dsn_env: D}", "s3://b/l", "`iam_role` is missing"),
        ("{type: redshift, dsn_env: D, options: {iam_role: x, lake: y}}", "s3://b/l", "'lake' is not known"),
        ("{type: redshift, options: {iam_role: default}}", "s3://b/l", "nothing says how it is reached"),
        (BY_ARGUMENTS.replace("redshift,", "postgres,"), "s3://b/l", "`connection` means nothing for postgres"),
        (BY_ARGUMENTS.replace("redshift,", "redshift, dsn_env: D,"), "s3://b/l", "there is a `dsn_env` as well"),
        (BY_ARGUMENTS.replace("host:", "hst:"), "s3://b/l", "`hst` is not a field"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, warehouse: str, lake: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_definitions(write_defs(tmp_path, TABLE, connections=connections(warehouse, lake)))


def test_sort_key_and_distribution_reach_the_upkeep(tmp_path: Path) -> None:
    table = "- {table: t, key: [id], cursor: id, storage: {sort_key: [at, id], distribution: key(id)}}"
    deployment = load_deployment(write_defs(tmp_path, table, connections=connections(BY_ARGUMENTS)))
    assert deployment.tables[0].upkeep.storage == (("sort_key", "at, id"), ("distribution", "key(id)"))


@pytest.mark.parametrize(
    ("warehouse", "storage", "message"),
    [
        (BY_ARGUMENTS, "{fillfactor: 80}", "'fillfactor' means nothing to a warehouse of type redshift"),
        (
            "{type: postgres, dsn_env: D}",
            "{sort_key: [id]}",
            "'sort_key' means nothing to a warehouse of type postgres",
        ),
    ],
)
def test_storage_of_another_warehouse_is_told(tmp_path: Path, warehouse: str, storage: str, message: str) -> None:
    table = f"- {{table: t, key: [id], cursor: id, storage: {storage}}}"
    with pytest.raises(ConfigError, match=message):
        load_definitions(write_defs(tmp_path, table, connections=connections(warehouse)))
