"""Files, and a warehouse for them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

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
