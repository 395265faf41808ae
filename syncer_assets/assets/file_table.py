"""An entity of files as the asset factories take it: what the engine needs, and what Dagster shows."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from .. import __version__
from ..model.backoff import DEFAULT, Backoff
from ..model.files import FileSpec
from ..resources.warehouse import warehouse_resource
from . import names
from .partitions import time_partitions

if TYPE_CHECKING:
    from ..sources.json_lines import FileStore


RECORD, DOCUMENT = "record", "raw_data"
RAW_COLUMNS = (
    (DOCUMENT, "jsonb", "The document, as it came."),
    ("source_file", "text", "The file that it came with."),
    ("run_id", "text", "The run that loaded it."),
    ("_loaded_at", "timestamptz", "When it was first loaded."),
    ("_updated_at", "timestamptz", "When it last changed."),
)
"""Beside the `id`, as the warehouse makes the table."""


@dataclass(frozen=True)
class FileTable:
    """One entity of the YAML, whose files are below `url`. `name` is its name in asset keys."""

    name: str
    spec: FileSpec
    url: str
    options: dict[str, str] = field(default_factory=dict)
    backoff: Backoff = DEFAULT
    group: str = "default"
    owners: tuple[str, ...] = ()
    description: str | None = None
    made_by: tuple[dg.AssetKey, ...] = ()
    """The assets that write the files."""

    @property
    def raw_key(self) -> dg.AssetKey:
        return names.raw_key(self.spec.source, self.name)

    @property
    def core_key(self) -> dg.AssetKey:
        return names.core_key(self.spec.source, self.name)

    @property
    def title(self) -> str:
        """As people know it."""
        return f"{self.spec.source}.{self.spec.entity}"

    def is_named(self, names: Collection[str]) -> bool:
        """Whether one of the names means it: `members`, `evo.members` or `raw/evo/members`."""
        return not {self.name, self.title, self.raw_key.to_user_string()}.isdisjoint(names)

    @property
    def pool(self) -> str:
        return names.pool(self.spec.source, self.name)

    @property
    def partitions_name(self) -> str:
        return names.partitions_name(self.spec.source, self.name)

    @property
    def partitions_def(self) -> dg.PartitionsDefinition | None:
        scheme = self.spec.partitions
        match scheme.by:
            case "none":
                return None
            case "time":
                return time_partitions(scheme)
            case _:
                return dg.DynamicPartitionsDefinition(name=self.partitions_name)

    @property
    def is_dynamic(self) -> bool:
        return isinstance(self.partitions_def, dg.DynamicPartitionsDefinition)

    def has_begun(self, partition: str) -> bool:
        """Whether Dagster has the partition: files of a time that has not begun wait for it."""
        partitions = self.partitions_def
        return partitions is None or self.is_dynamic or partitions.has_partition_key(partition)

    @property
    def resource_keys(self) -> set[str]:
        return {warehouse_resource(self.spec.target.warehouse)}

    @property
    def code_version(self) -> str:
        """Changes with the package, and with what the YAML says about which documents arrive and how."""
        spec = self.spec
        meaning = (spec.pattern.text, spec.id, spec.partitions, spec.newest, spec.limits, spec.core)
        return f"{__version__}-{hashlib.sha256(repr(meaning).encode()).hexdigest()[:8]}"

    @property
    def raw_schema(self) -> dg.TableSchema:
        """The columns of the raw table."""
        columns = [("id", self.spec.id.type, "The document's, or a hash of file and line."), *RAW_COLUMNS]
        not_null = dg.TableColumnConstraints(nullable=False)
        return dg.TableSchema([dg.TableColumn(name, type, text, not_null) for name, type, text in columns])

    def open_store(self) -> "FileStore":
        """The folder or bucket. Raises ConfigError where a folder is not there."""
        from ..sources.json_lines import open_store

        return open_store(self.url, self.backoff, **self.options)
