"""`syncer_assets.TableSync`: tables of one source that are kept in step in one schema of a warehouse."""

from collections.abc import Sequence

import dagster as dg
import pydantic
from pydantic import Field

from ..assets.checks import build_checks
from ..assets.lake import build_lake_asset
from ..assets.maintenance import build_maintenance_asset
from ..assets.names import asset_names, python_name
from ..assets.reconcile import build_reconcile_asset
from ..assets.schedules import build_schedule
from ..assets.source_table import build_source_table
from ..assets.table import SyncedTable
from ..assets.warehouse import build_warehouse_asset
from ..model.table import Target, own_name
from ..model.upkeep import Upkeep
from .connections import Connections
from .entries import TableEntry
from .fields import CronExpression, Duration, parse_duration
from .schedule_entries import ReconcileEntry, ScheduleEntry, cron_of, reconcile_of
from .upkeep_entries import BloatEntry, RepairEntry, bloat_of, cron_of_bloat


class TableSync(dg.Component, dg.Resolvable, dg.Model):
    """Tables of a source, kept in step in the lake and in a warehouse.

    ```yaml
    type: syncer_assets.TableSync
    attributes:
      source: shop
      warehouse: analytics
      schema: shop
      tables:
        - {table: public.orders, cursor: updated_at, partitions: {by: time, every: month, start: "2024-01-01"}}
        - {table: public.countries, load: replace}
    ```

    - A table makes five assets: `source/shop/orders`, `lake/shop/orders`, `analytics/shop/orders`,
      `maintenance/analytics/shop/orders` and `reconcile/analytics/shop/orders`; `assets.names` says how they are named.
    - The lake's and the warehouse's asset have the same partitions, inline blocking checks, and each a pool
      of the table's: `sync__shop__orders` for reads, `load__shop__orders` for loads and care.
    - New rows are looked for by the sensor `new_rows__shop`; a `schedule` is needed by tables without a cursor only.
    """

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    source: str = Field(description="A source of Connections.")
    warehouse: str = Field(description="A warehouse of Connections.")
    schema_: str | None = Field(
        default=None, alias="schema", description="The schema in the warehouse; the source's name."
    )
    tables: list[TableEntry] = Field(description="The tables.")
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="When to sync all tables that have no schedule of their own."
    )
    checksum: CronExpression | ScheduleEntry | None = Field(
        default=None, description="When the check `checksum` runs, for tables that do not say it themselves."
    )
    bloat: CronExpression | BloatEntry | None = Field(
        default=None, description="When the check `bloat` runs and from which levels on it tells, likewise."
    )
    repair: RepairEntry | None = Field(default=None, description="When bloated indexes are rebuilt, likewise.")
    reconcile: CronExpression | ReconcileEntry | None = Field(
        default=None, description="When source and warehouse are compared, and repaired, likewise."
    )
    freshness: Duration | None = Field(default=None, description="The lag that the check `freshness` allows, likewise.")
    group: str | None = Field(default=None, description="The asset group in the UI, likewise; the source's name.")
    owners: list[str] | None = Field(default=None, description="Owners of the assets, likewise.")

    @property
    def target_schema(self) -> str:
        """The schema in the warehouse."""
        return self.schema_ or self.source

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from .problems import raise_problems
        from .rules import table_problems

        syncs = context.component_tree.get_all_components(TableSync)
        connections = context.component_tree.get_all_components(Connections)
        raise_problems(context, table_problems(self, connections, syncs))
        return definitions_of(synced_tables_of(self, connections[0], syncs), self)


def definitions_of(tables: Sequence[SyncedTable], sync: TableSync) -> dg.Definitions:
    """Assets, checks and schedules of one component."""
    shared = [table for table, entry in zip(tables, sync.tables, strict=True) if entry.schedule is None]
    own = [table for table, entry in zip(tables, sync.tables, strict=True) if entry.schedule is not None]
    name = python_name(f"{sync.source}__{sync.warehouse}__{sync.target_schema}")
    cron = cron_of(sync.schedule)
    schedules = [build_schedule(f"sync__{name}", cron, shared)] if cron and shared else []
    schedules += [
        build_schedule(f"sync__{name}__{table.name}", table.schedule, [table]) for table in own if table.schedule
    ]
    return dg.Definitions(
        assets=[
            asset
            for table in tables
            for asset in (
                build_source_table(table),
                build_lake_asset(table),
                build_warehouse_asset(table),
                build_maintenance_asset(table),
                build_reconcile_asset(table),
            )
        ],
        asset_checks=build_checks(name, tables),
        schedules=schedules,
    )


def synced_tables(tree: dg.ComponentTree) -> list[SyncedTable]:
    """Every table of a deployment, as the asset factories and the command take them."""
    syncs = tree.get_all_components(TableSync)
    connections = tree.get_all_components(Connections)
    if not connections:
        return []
    return [table for sync in syncs for table in synced_tables_of(sync, connections[0], syncs)]


def synced_tables_of(sync: TableSync, connections: Connections, syncs: Sequence[TableSync]) -> list[SyncedTable]:
    """The tables of one component. Names depend on all tables of its source."""
    names = table_names(sync.source, syncs)
    source, warehouse = connections.sources.get(sync.source), connections.warehouses.get(sync.warehouse)
    tables = []
    for entry in sync.tables:
        spec = entry.to_spec(sync.source)
        freshness = entry.freshness or sync.freshness
        bloat, repair = bloat_of(entry.bloat or sync.bloat), entry.repair or sync.repair or RepairEntry()
        tables.append(
            SyncedTable(
                name=entry.name or names[entry.table],
                spec=spec,
                target=Target(sync.warehouse, sync.target_schema, own_name(spec.table, source.type if source else "")),
                source_type=source.type if source else "",
                warehouse_type=warehouse.type if warehouse else "",
                lake_url=connections.lake.url,
                group=entry.group or sync.group or python_name(sync.source),
                owners=tuple(sync.owners or () if entry.owners is None else entry.owners),
                description=entry.description,
                freshness=parse_duration(freshness) if freshness else None,
                schedule=cron_of(entry.schedule or sync.schedule),
                checksum=cron_of(entry.checksum or sync.checksum),
                reconcile=reconcile_of(entry.reconcile or sync.reconcile),
                bloat=cron_of_bloat(bloat),
                upkeep=Upkeep(spec.indexes, entry.storage.to_storage(), bloat.to_limits(), repair.to_limits()),
                repair_window=repair.to_window(),
            )
        )
    return tables


def table_names(source: str, syncs: Sequence[TableSync]) -> dict[str, str]:
    """The asset name of each table of a source that does not name itself."""
    return asset_names(
        entry.table for sync in syncs if sync.source == source for entry in sync.tables if not entry.name
    )
