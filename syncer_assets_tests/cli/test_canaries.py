"""What a deployment keeps and answers after good and bad runs: no password, no key, no value of a row."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from syncer_assets.model.errors import SyncError
from syncer_assets.warehouses.registry import open_warehouse
from syncer_assets_tests.canaries import PASSWORD, assert_unsaid, forms, kept, said
from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer
from syncer_assets_tests.faults.test_secrets import BAD_VALUES
from syncer_assets_tests.servers import Database, free_ports

KEY = "C4naryHmacKey 'of' 32 characters!"
VALUE = "C4naryRowValue"
SECRETS = {"password": PASSWORD, "key": KEY}
TABLES = """\
{table: public.countries, load: replace, columns: {hash: [secret], truncate: {cut: 3}, mask: {masked: {text: x}}}}
"""
QUERY = """
{
  runsOrError { ... on Runs { results { runId runConfigYaml tags { key value } status
    eventConnection { events { ... on MessageEvent { message } ... on StepEvent { stepKey }
      ... on ErrorEvent { error { message stack causes { message } } }
      ... on MaterializationEvent { metadataEntries { label description ... on TextMetadataEntry { text } } } } } } } }
  repositoriesOrError { ... on RepositoryConnection { nodes { name
    allTopLevelResourceDetails { name configuredValues { key value } } } } }
}
"""


GRAPHQL = "from dagster_graphql.cli import main; main()"


def asking(database: Database, dsn: str) -> str:
    """The DSN of a role whose password is the canary, for which the server asks."""
    role = str(conninfo_to_dict(dsn)["user"])
    with suppress(psycopg.errors.DuplicateObject):
        database.execute("CREATE ROLE password")
    literal = PASSWORD.replace("'", "''")
    database.execute(f"ALTER ROLE {role} PASSWORD '{literal}'; GRANT password TO {role}")
    return database.dsn_as(role, PASSWORD)


def test_the_search_finds_what_it_looks_for() -> None:
    for form in forms(PASSWORD):
        assert said(SECRETS, f"<{form}>")
    assert not said(SECRETS, "C4n@ry")


@pytest.mark.timeout(400)
def test_nothing_that_a_deployment_keeps_or_says_has_a_secret_or_a_value(
    syncer: Syncer, call: Call, home: str, source_db: Database, warehouse_db: Database
) -> None:
    source_db.execute(
        "CREATE TABLE countries (code text PRIMARY KEY, name text, secret text, cut text, masked text);"
        f"INSERT INTO countries SELECT g, v, v, 'x' || v, v FROM generate_series(1, 60) g, (SELECT '{VALUE}' AS v) v"
    )
    syncer.declare(TABLES)
    env = {
        "TEST_SOURCE_DSN": asking(source_db, syncer.env["TEST_SOURCE_DSN"]),
        "TEST_WAREHOUSE_DSN": asking(warehouse_db, syncer.env["TEST_WAREHOUSE_DSN"]),
        "SYNCER_HASH_KEY": KEY,
        "DAGSTER_HOME": home,
    }
    good = call("run", "--json", **env)
    assert good.code == 0, good.stderr
    source_db.execute("UPDATE countries SET name = name || '.'")
    BAD_VALUES["check"](source_db, warehouse_db)
    bad_value = call("run", "--json", **env)
    assert bad_value.code == 1 and "countries_name_check" in bad_value.errors[0]
    wrong = call("run", "--json", **env | {"TEST_SOURCE_DSN": env["TEST_SOURCE_DSN"].replace("@/", "x@/")})
    assert wrong.code == 1 and "password authentication failed" in wrong.errors[0]
    texts = [text for ended in (good, bad_value, wrong) for text in (ended.stdout, ended.stderr)]
    answered = graphql(syncer, env)
    assert "warehouse__analytics" in answered and "countries_name_check" in answered
    secrets = SECRETS | {"value": VALUE}
    assert_unsaid(secrets, *texts, answered)
    files = dict(kept(Path(home)))
    assert any(name.endswith(".db") for name in files)
    assert_unsaid(secrets, *files.values())
    lake = dict(kept(syncer.folder / "lake"))
    assert_unsaid(SECRETS, *lake.values())
    assert_unsaid(secrets, *(body for name, body in lake.items() if name.endswith(".json")))
    ledger = warehouse_db.execute("SELECT t::text FROM _syncer.loads t UNION SELECT t::text FROM _syncer.watermarks t")
    assert_unsaid(secrets, repr(ledger))


def graphql(syncer: Syncer, env: dict[str, str]) -> str:
    """What Dagster's API answers about every run and every resource."""
    environment = {**syncer.env, **env, "SYNCER_DEFS": str(syncer.folder / "defs")}
    done = subprocess.run(
        [sys.executable, "-c", GRAPHQL, "-m", "syncer_assets.definitions", "-t", QUERY],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **environment},
        cwd=syncer.folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert '"errors"' not in done.stdout, done.stdout[:2000]
    return done.stdout + done.stderr


def broken_dsns() -> dict[str, str]:
    """DSNs of a Redshift that lead nowhere, with the password."""
    encoded = quote(PASSWORD, safe="")
    return {
        "refused": f"postgresql://me:{encoded}@127.0.0.1:{free_ports(1)[0]}/dw",
        "no such host": f"postgresql://me:{encoded}@nowhere.invalid/dw",
        "not encoded": f"postgresql://me:{PASSWORD}@nowhere.invalid/dw",
        "less than verified": f"postgresql://me:{encoded}@nowhere.invalid/dw?sslmode=require",
    }


@pytest.mark.parametrize("kind", ["refused", "no such host", "not encoded", "less than verified"])
def test_a_redshift_that_cannot_be_reached_says_no_password(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        warehouse = open_warehouse("dw", "redshift", broken_dsns()[kind], iam_role="default", lake="s3://b/l")
        told = repr(warehouse.doctor())
    except SyncError as error:
        told = f"{error!r} {vars(error)}"
    assert "dw" in told
    assert_unsaid(SECRETS, told, "".join(capfd.readouterr()))
