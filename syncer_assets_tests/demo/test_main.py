"""`python -m syncer_assets.demo COMMAND..` lends the demo's databases to a command."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "syncer_assets.demo", sys.executable, "-c"]


def test_databases_named_in_the_environment_are_used_and_no_server_is_started(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ['SHOP_DSN'], os.environ['ANALYTICS_DSN']); sys.exit(3)"
    named = {"SHOP_DSN": "mine", "ANALYTICS_DSN": "theirs"}
    done = subprocess.run(
        [*COMMAND, script], cwd=tmp_path, env={**_environment(), **named}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "mine theirs\n")
    assert list(tmp_path.iterdir()) == []


def _environment() -> dict[str, str]:
    checkout = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": checkout}
