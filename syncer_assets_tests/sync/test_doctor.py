"""What the doctor finds, at the level of the engine."""

from contextlib import closing
from pathlib import Path

import pytest

from syncer_assets.sources.registry import open_source
from syncer_assets.sync.doctor import examine_dagster_home, examine_environment, examine_lake, examine_table
from syncer_assets.sync.lake import Lake
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of, transaction


def test_a_lake_that_keeps_the_protocol_is_left_as_it_was(rig: Rig, lake_dir: Path) -> None:
    assert [finding.level for finding in examine_lake(rig.lake)] == ["ok"]
    assert [path for path in lake_dir.rglob("*") if path.is_file()] == []


def test_a_store_that_overwrites_is_an_error(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite(lake: Lake, path: str, body: bytes) -> bool:
        assert lake.root
        (lake.root / path).parent.mkdir(parents=True, exist_ok=True)
        (lake.root / path).write_bytes(body)
        return True

    monkeypatch.setattr(Lake, "put_if_absent", overwrite)
    (finding,) = examine_lake(rig.lake)
    assert (finding.level, finding.name) == ("error", "put-if-absent")


def test_a_superuser_and_an_old_prepared_transaction_are_warnings(rig: Rig) -> None:
    rig.database.execute("ALTER EVENT TRIGGER only_the_roles DISABLE")
    with closing(open_source("shop", "postgres", rig.database.admin_dsn)) as source:
        checks = {check.name: check for check in source.doctor()}
    assert (checks["connection"].passed, checks["version"].passed, checks["role"].passed) == (True, True, False)
    assert checks["role"].severity == "WARN"
    assert checks["open transactions"].passed
    rig.database.execute(ORDERS)
    with transaction(rig.database, "INSERT INTO orders DEFAULT VALUES"):
        assert {check.name: check for check in rig.source.doctor()}["open transactions"].passed, "not an hour old"


def test_a_table_that_the_yaml_does_not_fit_is_an_error(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    (finding,) = examine_table(rig.source, spec_of(cursor=("upd",)))
    assert finding.level == "error"
    assert finding.text.startswith("`cursor` names the column 'upd'")


def test_variables_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_DSN", "postgresql://u:s3cret@h/d")
    monkeypatch.setenv("SHORT_KEY", "short")
    monkeypatch.delenv("B_DSN", raising=False)
    found = examine_environment([("A_DSN", "source a"), ("B_DSN", "source b")], ["SHORT_KEY"])
    assert [finding.level for finding in found] == ["ok", "error", "error"]
    assert not any("s3cret" in finding.text or "short" in finding.text for finding in found)


def test_dagster_home_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert examine_dagster_home()[0].level == "warning"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nothing"))
    assert examine_dagster_home()[0].level == "error"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert examine_dagster_home()[0].level == "warning"
    (tmp_path / "dagster.yaml").write_text("")
    assert examine_dagster_home()[0].level == "ok"
