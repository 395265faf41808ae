"""A deployment of a test's own, and the command on it in this process: starting one costs seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from syncer_assets.cli import main
from syncer_assets_tests.cli.syncer import Ended, Syncer
from syncer_assets_tests.servers import Database

Call = Callable[..., Ended]


@pytest.fixture
def syncer(tmp_path: Path, source_db: Database, warehouse_db: Database) -> Syncer:
    """A deployment of two empty databases under the roles of docs/privileges.md; a call of it is a process."""
    return Syncer.deployed(tmp_path, source_db.dsn, warehouse_db.dsn, TEST_HASH_KEY="0123456789abcdef" * 2)


@pytest.fixture
def call(syncer: Syncer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """`call("run", "--json")` in this process; keywords are variables of the environment, None unsets one."""

    def run(*arguments: str, **env: str | None) -> Ended:
        with monkeypatch.context() as patch:
            patch.chdir(syncer.folder)
            for name, value in {"DAGSTER_HOME": None, "COLUMNS": "120", **syncer.env, **env}.items():
                patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
            capfd.readouterr()
            try:
                code = main([*arguments, "--defs", str(syncer.folder / "defs")])
            except SystemExit as ended:  # argparse: wrong usage, --help
                code = int(str(ended.code))
        said = capfd.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def home(syncer: Syncer) -> str:
    """A DAGSTER_HOME of the test's own."""
    folder = syncer.folder / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return str(folder)
