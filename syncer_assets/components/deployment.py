"""A deployment as the command sees it: its tables, its connections, and Dagster's definitions of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

import dagster as dg

from ..assets.api import ApiList
from ..assets.checks import checks_of
from ..assets.file_table import FileTable
from ..assets.keyed_update import KeyedUpdateAsset
from ..assets.partitions import is_dynamic
from ..assets.table import SyncedTable
from ..model.errors import ConfigError
from ..resources.lake import LakeResource
from ..resources.source import SourceResource
from ..resources.warehouse import WarehouseResource
from .api_extract import api_lists
from .connections import Connections
from .file_load import file_tables
from .keyed_update import keyed_updates
from .loading import component_tree, defs_folder, explained, load_tree
from .problems import did_you_mean
from .table_sync import synced_tables


@dataclass(frozen=True)
class Deployment:
    """What a folder of YAML declares. Opening a connection is the caller's: `with deployment.source("shop").open()`."""

    folder: Path
    definitions: dg.Definitions
    connections: Connections
    tables: tuple[SyncedTable, ...]
    apis: tuple[ApiList, ...] = ()
    files: tuple[FileTable, ...] = ()
    updates: tuple[KeyedUpdateAsset, ...] = ()

    @property
    def lake(self) -> LakeResource:
        return self.connections.lake_resource()

    def source(self, name: str) -> SourceResource:
        """The source of that name. Raises ConfigError."""
        return self.connections.source_resource(_known("source", name, list(self.connections.sources)))

    def warehouse(self, name: str) -> WarehouseResource:
        """The warehouse of that name. Raises ConfigError."""
        return self.connections.warehouse_resource(_known("warehouse", name, list(self.connections.warehouses)))

    def select(self, names: Sequence[str]) -> tuple[SyncedTable, ...]:
        """The tables called `orders`, `public.orders` or `shop.orders`, or that a pattern such as `sales.*` fits; all
        if no name is given. Raises ConfigError."""
        if not names:
            return self.tables
        chosen: dict[dg.AssetKey, SyncedTable] = {}
        for name in names:
            found = [table for table in self.tables if name in _names(table)]
            found = found or [table for table in self.tables if any(fnmatchcase(own, name) for own in _names(table))]
            if not found:
                known = [table.spec.table for table in self.tables]
                fix = did_you_mean(name, known, f"known are {', '.join(known)}")
                raise ConfigError(f"there is no table {name!r} in {self.folder}", fix=fix)
            chosen |= {table.lake_key: table for table in found}
        return tuple(chosen.values())

    def assets(self, table: SyncedTable, *, maintenance: bool = True) -> list[dg.AssetsDefinition]:
        """The assets of a table, bound to their resources, in the order of their steps; for `dg.materialize`."""
        keys = [table.lake_key, table.warehouse_key, *([table.maintenance_key] if maintenance else [])]
        return [self._assets_by_key[key] for key in keys]

    def asset(self, key: dg.AssetKey) -> dg.AssetsDefinition:
        """One asset, bound to its resources."""
        return self._assets_by_key[key]

    def checks(self, table: SyncedTable) -> list[dg.AssetChecksDefinition]:
        """The standalone checks of this table alone, bound to their resources; for `dg.materialize` too."""
        bound = self._assets_by_key[table.lake_key].resource_defs  # the same objects, or Dagster runs them apart only
        return list(dg.with_resources(checks_of(table), bound))

    @cached_property
    def _assets_by_key(self) -> dict[dg.AssetKey, dg.AssetsDefinition]:
        assets = self.definitions.resolve_asset_graph().assets_defs
        return {key: asset for asset in assets if not isinstance(asset, dg.AssetChecksDefinition) for key in asset.keys}


def load_deployment(folder: Path | None = None) -> Deployment:
    """The deployment of a folder (None: $SYNCER_DEFS, else the packaged one). Raises ConfigError."""
    tree, definitions = load_tree(folder)
    connections = tree.get_all_components(Connections)
    if not connections:
        raise ConfigError(
            f"there is no syncer_assets.Connections in {defs_folder(folder)}", fix="add one, in a defs.yaml of its own"
        )
    return Deployment(
        defs_folder(folder),
        definitions,
        connections[0],
        tuple(synced_tables(tree)),
        tuple(api_lists(tree)),
        tuple(file_tables(tree)),
        tuple(keyed_updates(tree)),
    )


def load_connections(folder: Path | None = None) -> Connections:
    """The connections alone, for a folder whose tables are still to be discovered. Raises ConfigError."""
    chosen = defs_folder(folder)
    with explained(chosen):
        found = component_tree(chosen).get_all_components(Connections)
    if not found:
        raise ConfigError(
            f"there is no syncer_assets.Connections in {chosen}", fix="add one, in a defs.yaml of its own"
        )
    return found[0]


def add_partition(instance: dg.DagsterInstance, table: SyncedTable, partition: str) -> None:
    """Make a dynamic partition known to Dagster; the others are known already."""
    if is_dynamic(table) and not instance.has_dynamic_partition(table.partitions_name, partition):
        instance.add_dynamic_partitions(table.partitions_name, [partition])


def _names(table: SyncedTable) -> set[str]:
    spec = table.spec
    return {table.name, spec.table, f"{spec.source}.{spec.name}", f"{spec.source}.{spec.table}", table.target.name}


def _known(what: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        fix = did_you_mean(name, known, f"use one of {', '.join(known)}")
        raise ConfigError(f"the {what} {name!r} is not among the connections", fix=fix)
    return name
