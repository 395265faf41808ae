"""`failover` of the lake, a source, a warehouse: what reaches the engine, when, and what is told with its line."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets.model.backoff import DEFAULT, PROFILES, Backoff
from syncer_assets.model.errors import ConfigError
from syncer_assets_tests.assets.results import failure
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs
from syncer_assets_tests.servers import Database, free_ports

TABLES = "- {table: public.items, cursor: id, settle_seconds: 0}"
SHOP, ANALYTICS = "dsn_env: TEST_SHOP_DSN", "dsn_env: TEST_ANALYTICS_DSN"
LAKE = "lake: {url: \"{{ env('TEST_LAKE', 'memory://lake') }}\""
assert all(text in CONNECTIONS for text in (SHOP, ANALYTICS, LAKE))


def written(folder: Path, *, source: str = "normal", warehouse: str = "normal", lake: str = "normal") -> Path:
    text = CONNECTIONS.replace(SHOP, f"{SHOP}, failover: {source}")
    text = text.replace(ANALYTICS, f"{ANALYTICS}, failover: {warehouse}").replace(LAKE, f"{LAKE}, failover: {lake}")
    return write_defs(folder, TABLES, connections=text)


FILES_AND_API = """
type: syncer_assets.FileLoad
attributes: {{source: evo, url: "s3://bucket/raw", warehouse: analytics, failover: {files}, entities: [{members}]}}
---
type: syncer_assets.ApiExtract
attributes:
  {{source: crm, base_url: "https://a.example.com", files: "s3://bucket/api", failover: {api}, endpoints: [{orders}]}}
"""


def with_files_and_api(folder: Path, *, files: str = "normal", api: str = "normal") -> Path:
    write_defs(folder, TABLES)
    (folder / "evo").mkdir()
    members, orders = "{entity: members, pattern: 'members/*.jsonl'}", "{entity: orders, path: /orders}"
    text = FILES_AND_API.format(files=files, api=api, members=members, orders=orders)
    (folder / "evo" / "defs.yaml").write_text(text)
    return folder


def backoffs(deployment: Deployment) -> tuple[Backoff, Backoff]:
    return deployment.source("shop").backoff, deployment.warehouse("analytics").backoff


def test_each_server_has_its_own(tmp_path: Path) -> None:
    own = "{base_seconds: 1, cap_seconds: 60, budget_seconds: 600, attempts: 3}"
    assert backoffs(load_deployment(written(tmp_path / "defs", source="slow", warehouse=own))) == (
        PROFILES["slow"],
        Backoff(base_seconds=1, cap_seconds=60, budget_seconds=600, attempts=3),
    )
    assert backoffs(load_deployment(write_defs(tmp_path / "others", TABLES))) == (DEFAULT, DEFAULT)


def test_the_client_of_the_lake_repeats_requests_for_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_LAKE", "s3://bucket/prefix")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    deployment = load_deployment(written(tmp_path / "defs", lake="{budget_seconds: 77, run_seconds: 80}"))
    config = deployment.lake.open().store.retry_config
    assert config["retry_timeout"] == timedelta(seconds=77)
    assert config["backoff"]["max_backoff"] == timedelta(seconds=DEFAULT.cap_seconds)


def test_files_and_apis_have_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the stores, and of the requests to the API."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    own = "{base_seconds: 1, cap_seconds: 60, budget_seconds: 600}"
    deployment = load_deployment(with_files_and_api(tmp_path / "defs", files="slow", api=own))
    (table,), (source,) = deployment.files, deployment.apis
    assert table.backoff == PROFILES["slow"]
    assert source.api.page_backoff == Backoff(base_seconds=1, cap_seconds=60, budget_seconds=600)
    budgets = [store.retry_config["retry_timeout"] for store in (table.open_store().store, source.files().store)]
    assert budgets == [timedelta(seconds=900), timedelta(seconds=600)]
    plain = load_deployment(with_files_and_api(tmp_path / "plain"))
    assert (plain.files[0].backoff, plain.apis[0].api.page_backoff) == (DEFAULT, DEFAULT)


@pytest.mark.parametrize("which", ["files", "api"])
def test_waits_of_files_and_apis_that_do_not_fit_are_told(tmp_path: Path, which: str) -> None:
    with pytest.raises(ConfigError, match=r"field failover: the waits do not fit: .*base_seconds <= cap_seconds"):
        load_deployment(with_files_and_api(tmp_path / "defs", **{which: "{budget_seconds: 5}"}))


def test_a_change_counts_from_the_next_load_on(tmp_path: Path) -> None:
    """Each run is a process that loads the YAML."""
    folder = written(tmp_path / "defs", source="fast")
    assert backoffs(load_deployment(folder))[0] == PROFILES["fast"]
    file = folder / "connections" / "defs.yaml"
    file.write_text(file.read_text().replace("failover: fast", "failover: slow"))
    assert backoffs(load_deployment(folder))[0] == PROFILES["slow"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("slowly", "sources.shop.failover"),
        ("{base: 1}", "sources.shop.failover.*base"),
        ("{base_seconds: 0}", "base_seconds: 0.0 is too small. Fix: write a number above 0"),
        ("{attempts: 0}", "attempts.*0 is too small"),
        ("{base_seconds: 30}", "shop.failover: the waits do not fit: .*base_seconds <= cap_seconds"),
        ("{budget_seconds: 5}", "shop.failover: the waits do not fit: .*base_seconds <= cap_seconds"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        load_deployment(written(tmp_path / "defs", source=text))


def test_a_step_waits_for_as_long_as_the_yaml_says_and_dagster_adds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_db: Database
) -> None:
    """A warehouse that is not there."""
    source_db.execute("CREATE TABLE items (id bigint PRIMARY KEY); INSERT INTO items VALUES (1)")
    monkeypatch.setenv("TEST_LAKE", f"file://{tmp_path / 'lake'}")
    monkeypatch.setenv("TEST_SHOP_DSN", source_db.dsn)
    monkeypatch.setenv("TEST_ANALYTICS_DSN", f"postgresql://nobody:secret@127.0.0.1:{free_ports(1)[0]}/db")
    own = "{base_seconds: 0.05, cap_seconds: 0.1, budget_seconds: 2}"
    deployment = load_deployment(written(tmp_path / "defs", warehouse=own))
    (table,) = deployment.select(["items"])
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(deployment.assets(table), instance=instance, raise_on_error=False)
        said = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert [event.step_key for event in result.get_step_failure_events()] == ["analytics__shop__items"]
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert "Connection refused" in failure(result, "analytics__shop__items")
    assert len([line for line in said if line.startswith("trying again")]) >= 1
