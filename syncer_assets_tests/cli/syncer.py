"""The command as people start it: a process of its own, with an environment of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECTIONS = """\
type: syncer_assets.Connections
attributes:
  lake: {url: "{{ env('TEST_LAKE') }}"}
  sources:
    shop: {type: SOURCE_TYPE, dsn_env: TEST_SOURCE_DSN}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_WAREHOUSE_DSN}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended. `result` is the JSON object of its last line."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def errors(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


@dataclass(frozen=True)
class Syncer:
    """A deployment in a folder, and the command on it."""

    folder: Path
    env: Mapping[str, str]

    @classmethod
    def deployed(cls, folder: Path, source_dsn: str, warehouse_dsn: str, **env: str) -> "Syncer":
        """A deployment with connections and no tables. The source's type is what its DSN begins with."""
        kind = "mysql" if source_dsn.startswith("mysql:") else "postgres"
        (folder / "defs" / "connections").mkdir(parents=True)
        (folder / "defs" / "connections" / "defs.yaml").write_text(CONNECTIONS.replace("SOURCE_TYPE", kind))
        connections = {
            "TEST_SOURCE_DSN": source_dsn,
            "TEST_WAREHOUSE_DSN": warehouse_dsn,
            "TEST_LAKE": f"file://{folder / 'lake'}",
        }
        return cls(folder, {**connections, **env})

    def declare(self, tables: str) -> None:
        """The entries of the tables, as YAML in flow style, one a line."""
        lines = [line.strip() for line in tables.strip().splitlines()]
        text = "type: syncer_assets.TableSync\nattributes:\n  source: shop\n  warehouse: analytics\n  schema: shop\n"
        path = self.folder / "defs" / "shop" / "defs.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "  tables:\n" + "".join(f"    - {line}\n" for line in lines))

    def __call__(self, *arguments: str, timeout: float = 110) -> Ended:
        """Run `syncer ARGUMENTS --defs ..` to its end."""
        checkout = str(Path(__file__).parents[2])
        env = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "SYNCER_DEFS")}
        done = subprocess.run(
            [sys.executable, "-m", "syncer_assets.cli", *arguments, "--defs", str(self.folder / "defs")],
            cwd=self.folder,
            env={**env, "PYTHONPATH": checkout, "COLUMNS": "120", **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Ended(done.returncode, done.stdout, done.stderr)
