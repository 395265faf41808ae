"""Files, and a warehouse for them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from syncer_assets.cli import main
from syncer_assets_tests.files.deployed import Evo
from syncer_assets_tests.files.rig import Files
from syncer_assets_tests.servers import Database


@pytest.fixture
def files(tmp_path: Path, warehouse_db: Database) -> Files:
    folder = tmp_path / "members"
    folder.mkdir()
    return Files(folder, warehouse_db)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as on_disk:
        yield on_disk


@pytest.fixture
def evo(tmp_path: Path, warehouse_db: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Evo:
    return Evo.deployed(tmp_path, warehouse_db, instance, monkeypatch)


@pytest.fixture
def call(evo: Evo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """`call("run")`: exit code, and the JSON object of the last line."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        capfd.readouterr()
        code = main([*arguments, "--json", "--defs", str(Path(evo.folder).parent / "defs")])
        return code, json.loads(capfd.readouterr().out.splitlines()[-1])

    return run
