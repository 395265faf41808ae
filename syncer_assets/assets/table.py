"""A table as the asset factories take it: what the engine needs, and what Dagster shows."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta

import dagster as dg

from .. import __version__
from ..model.table import TableSpec, Target
from ..model.upkeep import RepairWindow, Upkeep
from ..resources.lake import LAKE_RESOURCE
from ..resources.source import source_resource
from ..resources.warehouse import warehouse_resource
from . import names

DEFAULT_FRESHNESS = timedelta(hours=24)


@dataclass(frozen=True)
class Cron:
    """When to run: a cron expression, counted in a time zone."""

    expression: str
    timezone: str = "UTC"


@dataclass(frozen=True)
class Reconcile:
    """When a table is compared with its source by itself (None: by hand), and whether it is repaired then."""

    cron: Cron | None = None
    repair: bool = False


@dataclass(frozen=True)
class SyncedTable:
    """One table of the YAML. `name` is its name in asset keys (`assets.names` has the rule).

    `freshness` None means that nobody declared a limit: the check then warns after a day.
    """

    name: str
    spec: TableSpec
    target: Target
    source_type: str = "postgres"
    warehouse_type: str = "postgres"
    lake_url: str = ""
    group: str = "default"
    owners: tuple[str, ...] = ()
    description: str | None = None
    freshness: timedelta | None = None
    schedule: Cron | None = None
    checksum: Cron | None = None
    reconcile: Reconcile | None = None
    bloat: Cron | None = None
    upkeep: Upkeep = field(default_factory=Upkeep)
    repair_window: RepairWindow | None = None

    @property
    def source_key(self) -> dg.AssetKey:
        return names.source_key(self.spec.source, self.name)

    @property
    def lake_key(self) -> dg.AssetKey:
        return names.lake_key(self.spec.source, self.name)

    @property
    def warehouse_key(self) -> dg.AssetKey:
        return names.warehouse_key(self.target.warehouse, self.target.schema, self.name)

    @property
    def maintenance_key(self) -> dg.AssetKey:
        return names.maintenance_key(self.target.warehouse, self.target.schema, self.name)

    @property
    def reconcile_key(self) -> dg.AssetKey:
        return names.reconcile_key(self.target.warehouse, self.target.schema, self.name)

    @property
    def pool(self) -> str:
        return names.pool(self.spec.source, self.name)

    @property
    def load_pool(self) -> str:
        return names.load_pool(self.spec.source, self.name)

    @property
    def partitions_name(self) -> str:
        return names.partitions_name(self.spec.source, self.name)

    @property
    def is_partitioned(self) -> bool:
        return self.spec.partitions.by != "none"

    @property
    def resource_keys(self) -> set[str]:
        """The keys of the resources that reach lake, source and warehouse."""
        return {LAKE_RESOURCE, source_resource(self.spec.source), warehouse_resource(self.target.warehouse)}

    @property
    def code_version(self) -> str:
        """Changes with the package, and with what the YAML says about which rows and columns arrive and how."""
        spec = self.spec
        meaning = (spec.key, spec.cursor, spec.load, spec.partitions, spec.columns, spec.null_cursor, spec.cursor_zone)
        return f"{__version__}-{hashlib.sha256(repr(meaning).encode()).hexdigest()[:8]}"
