"""`syncer_assets.FileLoad`: files of JSON documents in a folder or bucket, loaded into a warehouse."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pydantic
from pydantic import Field

from ..assets.api import ApiList
from ..assets.core import build_core_asset
from ..assets.file_sensor import build_new_files_sensor
from ..assets.file_table import FileTable
from ..assets.files import build_raw_asset
from ..assets.names import python_name
from ..model.file_pattern import FilePattern
from .api_extract import api_lists
from .connections import Connections
from .failover_entry import FAILOVER_DESCRIPTION, FailoverField, backoff_of
from .fields import LakeUrl
from .file_entries import FileEntry


class FileLoad(dg.Component, dg.Resolvable, dg.Model):
    """Files of JSON documents, kept in step in raw tables, and core tables made of them.

    ```yaml
    type: syncer_assets.FileLoad
    attributes:
      source: evo
      url: "s3://bucket/bronze"
      warehouse: analytics
      entities:
        - entity: members
          pattern: "members/{date:%Y/%m/%d}/*.jsonl.gz"
          partitions: {by: time, every: day, start: "2024-01-01"}
          id: idMember
          core:
            columns:
              branch_id: {path: idBranch, type: integer, required: true}
              name: {path: firstName}
    ```

    - An entity makes the assets `raw/evo/members` and, with `core:`, `core/evo/members`, with inline checks.
    - New, changed and late files are looked for by the sensor `new_files__evo`; the ledger knows which are loaded.
    """

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    source: str = Field(description="A name for these files, in asset keys.")
    url: LakeUrl = Field(
        description="The folder or bucket: file://, s3://bucket/prefix, az:// or gs://. Keys come from the environment."
    )
    options: dict[str, str] = Field(default={}, description="The object store's own options; no secrets.")
    failover: FailoverField = Field(default="normal", description=FAILOVER_DESCRIPTION)
    warehouse: str = Field(description="A warehouse of Connections, of type postgres.")
    schema_: str | None = Field(default=None, alias="schema", description="The schema of raw tables; stg.")
    core_schema: str = Field(default="core", description="The schema of core tables.")
    entities: list[FileEntry] = Field(description="The entities.")
    group: str | None = Field(default=None, description="The asset group in the UI; the source's name.")
    owners: list[str] | None = Field(default=None, description="Owners of the assets, likewise.")

    _folder: Path = pydantic.PrivateAttr(default=Path())

    @classmethod
    def load(cls, attributes: pydantic.BaseModel | None, context: dg.ComponentLoadContext) -> "FileLoad":
        """As Dagster does it, and remembers where the YAML lies: queries are files beside it."""
        loaded = super().load(attributes, context)
        assert isinstance(loaded, FileLoad)
        loaded._folder = context.path if context.path.is_dir() else context.path.parent
        return loaded

    @property
    def folder(self) -> Path:
        """Where the YAML lies."""
        return self._folder

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from .file_rules import file_problems
        from .problems import raise_problems

        loads = context.component_tree.get_all_components(FileLoad)
        connections = context.component_tree.get_all_components(Connections)
        raise_problems(context, file_problems(self, connections, loads, self.folder))
        tables = file_tables_of(self, api_lists(context.component_tree))
        raw = [build_raw_asset(table) for table in tables]
        core = [build_core_asset(table, table.spec.core) for table in tables if table.spec.core]
        return dg.Definitions(
            assets=[*raw, *core], sensors=[build_new_files_sensor(self.source, tables)] if tables else []
        )


def file_tables(tree: dg.ComponentTree) -> list[FileTable]:
    """Every entity of files of a deployment."""
    lists = api_lists(tree)
    return [table for load in tree.get_all_components(FileLoad) for table in file_tables_of(load, lists)]


def file_tables_of(load: FileLoad, lists: Sequence[ApiList] = ()) -> list[FileTable]:
    """The entities of one component, as the asset factories and the command take them. `lists` may write the files."""
    return [
        FileTable(
            name=python_name(entry.entity),
            spec=entry.to_spec(load.source, load.warehouse, load.schema_ or "stg", load.core_schema, load.folder),
            url=load.url.rstrip("/"),
            options=load.options,
            backoff=backoff_of(load.failover),
            group=entry.group or load.group or python_name(load.source),
            owners=tuple(load.owners or () if entry.owners is None else entry.owners),
            description=entry.description,
            made_by=_made_by(load, entry, lists),
        )
        for entry in load.entities
    ]


def _made_by(load: FileLoad, entry: FileEntry, lists: Sequence[ApiList]) -> tuple[dg.AssetKey, ...]:
    """The lists of APIs whose files match, where the partitions of both can be told of one another."""
    folder = FilePattern(entry.pattern).folder
    by_time = entry.partitions is None or entry.partitions.by == "time"
    return tuple(each.key for each in lists if by_time and each.writes_into(load.url, folder))
