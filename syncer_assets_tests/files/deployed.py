"""A deployment with files, as YAML below a folder."""

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from syncer_assets.assets.file_table import FileTable
from syncer_assets.components.deployment import Deployment, load_deployment
from syncer_assets_tests.servers import Database

CONNECTIONS = """
type: syncer_assets.Connections
attributes:
  lake: {url: "{{ env('TEST_LAKE', 'memory://lake') }}"}
  sources: {}
  warehouses:
    analytics: {type: postgres, dsn_env: TEST_ANALYTICS_DSN}
"""
HEAD = """
type: syncer_assets.FileLoad
attributes:
  source: evo
  url: "{{ env('TEST_FILES', 'file:///nowhere') }}"
  warehouse: analytics
  entities:
"""
MEMBERS = """
    - entity: members
      pattern: "members/{date:%Y/%m/%d}/*.jsonl.gz"
      partitions: {by: time, every: day, start: "2024-01-01"}
      id: idMember
      reject_limit: 0.5
      core:
        columns:
          branch_id: {path: idBranch, type: integer, required: true}
          name: {path: person.name}
"""


def write_defs(folder: Path, entities: str) -> Path:
    """A folder of definitions; `entities` is YAML, indented as MEMBERS is."""
    for name, text in (("connections", CONNECTIONS), ("evo", HEAD + entities)):
        (folder / name).mkdir(parents=True)
        (folder / name / "defs.yaml").write_text(text)
    return folder


@dataclass(frozen=True)
class Evo:
    """Files, the deployment that loads them, and what runs there were."""

    folder: Path
    deployment: Deployment
    warehouse: Database
    instance: dg.DagsterInstance
    runs: list[str] = field(default_factory=list)

    @classmethod
    def deployed(
        cls,
        folder: Path,
        warehouse: Database,
        instance: dg.DagsterInstance,
        monkeypatch: pytest.MonkeyPatch,
        entities: str = MEMBERS,
    ) -> "Evo":
        (folder / "files").mkdir()
        monkeypatch.setenv("TEST_LAKE", f"file://{folder / 'lake'}")
        monkeypatch.setenv("TEST_FILES", f"file://{folder / 'files'}")
        monkeypatch.setenv("TEST_ANALYTICS_DSN", warehouse.dsn)
        return cls(folder / "files", load_deployment(write_defs(folder / "defs", entities)), warehouse, instance)

    @property
    def table(self) -> FileTable:
        return self.deployment.files[0]

    def put(self, path: str, documents: Iterable[Mapping[str, object]] | bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(documents, bytes):
            documents = gzip.compress("".join(json.dumps(document) + "\n" for document in documents).encode())
        file.write_bytes(documents)

    def run(
        self, partition: str | None, *, core: bool = True, mode: str = "auto", tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """What a person does in the UI."""
        keys = [self.table.raw_key, *([self.table.core_key] if core else [])]
        result = dg.materialize(
            [self.deployment.asset(key) for key in keys],
            partition_key=partition,
            instance=self.instance,
            raise_on_error=False,
            tags=tags,
            run_config={"ops": {self.table.raw_key.to_python_identifier(): {"config": {"mode": mode}}}},
        )
        self.runs.append(result.run_id)
        return result
