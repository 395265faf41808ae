"""Keyed updates in the command: planned, run, shown and examined; no key or prefix is ever told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer_assets.cli import main
from syncer_assets_tests.assets.test_keyed_update import YAML
from syncer_assets_tests.servers import Database
from syncer_assets_tests.sources.snowflake.double import House
from syncer_assets_tests.sync.keyed import ROWS, Visits

Call = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def visits(house: House, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch) -> Visits:
    monkeypatch.setenv("TEST_HOUSE_DSN", house.dsn)
    monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse_db.dsn)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Visits.create(house, warehouse_db)


@pytest.fixture
def call(tmp_path: Path, visits: Visits, capfd: pytest.CaptureFixture[str]) -> Call:
    """`call("run")`: exit code, the JSON object of the last line, and all that was said."""
    (tmp_path / "defs.yaml").write_text(YAML)

    def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
        capfd.readouterr()
        code = main([*arguments, "--json", "--defs", str(tmp_path)])
        said = capfd.readouterr()
        return code, json.loads(said.out.splitlines()[-1]), said.out + said.err

    return run


def test_a_run_updates_each_partition_and_status_tells_it(call: Call, visits: Visits) -> None:
    code, body, said = call("status")
    assert (code, body["updates"]) == (0, [{"update": "analytics.visits", "partition": None, "never_run": True}])
    code, body, run_said = call("run")
    assert code == 0 and visits.different() == 0
    assert [asset["partition"] for asset in body["assets"]] == ["group-00", "group-01"]
    assert sum(asset["rows"] for asset in body["assets"]) == ROWS
    code, body, status_said = call("status", "--select", "visits")
    assert [part["partition"] for part in body["updates"]] == ["group-00", "group-01"]
    assert sum(part["rows_updated"] for part in body["updates"]) == ROWS
    assert not any(part["is_open"] or part["rows_left"] for part in body["updates"])
    assert call("watermarks")[1]["updates"] == body["updates"]
    (told,) = call("report")[1]["updates"]
    assert (told["update"], told["partitions"], told["unfinished"]) == ("analytics.visits", 2, 0)
    assert told["rows"] == told["rows_updated"] == ROWS and told["seconds"] > 0
    assert call("report", "--since", "2999-01-01")[1]["updates"][0]["rows"] == 0
    assert "SSN0" not in said + run_said + status_said


def test_one_partition_can_be_run_and_another_one_cannot(call: Call) -> None:
    code, body, _ = call("run", "--select", "analytics.visits", "--partition", "group-01", "--full")
    assert (code, [asset["partition"] for asset in body["assets"]]) == (0, ["group-01"])
    code, body, _ = call("run", "--select", "visits", "--partition", "group-02")
    assert code == 2 and "group-00 to group-01" in body["error"]["fix"]


def test_a_plan_tells_the_batches_that_the_run_then_has_and_writes_nothing(call: Call, visits: Visits) -> None:
    code, body, said = call("plan", "--verbose")
    (planned,) = body["updates"]
    assert code == 0
    assert visits.database.scalar("SELECT count(*) FROM pg_tables WHERE schemaname = '_syncer'") == 0
    assert sum(part["rows"] for part in planned["partitions"]) == ROWS
    assert ["visit_id", "VISIT_ID"] in [column[:2] for column in planned["columns"]]
    assert "IN (?" in planned["sql"] and "SSN0" not in said
    assert call("run")[0] == 0
    found = {part["partition"]: part["batches"] for part in call("status")[1]["updates"]}
    assert {part["partition"]: part["batches"] for part in planned["partitions"]} == found
    visits.database.execute(
        "UPDATE _syncer.batch_cycles SET finished_at = NULL WHERE partition_key = 'group-00';"
        " UPDATE _syncer.batches SET done_at = NULL WHERE partition_key = 'group-00' AND number = 1"
    )
    left = call("plan", "--partition", "group-00")[1]["updates"][0]["partitions"]
    assert [(part["reason"], part["batches"]) for part in left] == [("left by a run", 1)]
    assert 0 < left[0]["rows"] < ROWS / 2


def test_the_doctor_looks_at_columns_and_sizing(call: Call, tmp_path: Path, visits: Visits) -> None:
    code, body, _ = call("doctor")
    found = {(each["about"], each["name"]): each for each in body["findings"]}
    assert found["keyed update analytics.visits", "columns"]["level"] == "ok"
    assert ("source house", "sizing") not in found
    visits.database.execute("ALTER TABLE visits ALTER COLUMN amount TYPE integer USING 0")
    text = YAML.replace("dsn_env: TEST_HOUSE_DSN", "dsn_env: TEST_HOUSE_DSN, sizing: {sizes: [{size: LARGE}]}")
    (tmp_path / "defs.yaml").write_text(text)
    code, body, _ = call("doctor")
    found = {(each["about"], each["name"]): each for each in body["findings"]}
    assert code == 1
    assert "'amount' is integer" in found["keyed update analytics.visits", "columns"]["text"]
    assert found["source house", "sizing"]["level"] == "error"  # the double to read from cannot be resized
