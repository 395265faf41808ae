"""`syncer_assets.Connections`: where the lake, the sources and the warehouses of a deployment are."""

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from ..assets.alerts import build_alerts_sensor
from ..assets.automation import build_automation_sensor
from ..assets.repairs import build_repair_sensor
from ..assets.report import Reported, build_report_asset
from ..assets.sensors import build_new_rows_sensor
from ..assets.sizes import build_sizes_sensor
from ..assets.status import build_status_asset
from ..model.server import ServerSize
from ..resources.alerts import ALERTS_RESOURCE
from ..resources.lake import LakeResource
from ..resources.lookup import resources_by_key
from ..resources.source import SourceResource
from ..resources.warehouse import WarehouseResource
from .alert_entries import AlertsEntry
from .failover_entry import FAILOVER_DESCRIPTION, FailoverField, backoff_of
from .fields import EnvironmentName, LakeUrl, PositiveFloat
from .redshift_entry import RedshiftEntry
from .sizing_entries import SizingEntry


class LakeEntry(dg.Resolvable, dg.Model):
    """The object store that holds the lake."""

    url: LakeUrl = Field(
        description="file://, s3://bucket/prefix, az:// or gs://. A relative file://./folder counts from the working "
        "directory. Keys and endpoint come from the environment.",
    )
    options: dict[str, str] = Field(default={}, description="The object store's own options; no secrets.")
    failover: FailoverField = Field(default="normal", description=FAILOVER_DESCRIPTION)


class DatabaseEntry(dg.Resolvable, dg.Model):
    """A database, as a source or a warehouse."""

    type: str = Field(description="The kind of database, such as postgres.")
    dsn_env: EnvironmentName = Field(
        description="The NAME of the environment variable that holds the DSN, never the DSN."
    )
    options: dict[str, str | int | float] = Field(default={}, description="Settings of the adapter; no secrets.")
    failover: FailoverField = Field(default="normal", description=FAILOVER_DESCRIPTION)
    insecure: bool = Field(
        default=False,
        description="Whether it may be connected to without verifying its certificate. On this machine nothing is.",
    )

    @property
    def settings(self) -> dict[str, str]:
        """The options as text: Dagster's templates make numbers of quoted ones too."""
        return {name: str(value) for name, value in self.options.items()}


class SourceEntry(DatabaseEntry):
    """A database to read from."""

    sizing: SizingEntry | None = Field(
        default=None, description="The size of a Snowflake's virtual warehouse while a keyed update fetches."
    )


class ServerEntry(dg.Resolvable, dg.Model):
    """What SQL cannot read of a warehouse's server; `syncer doctor` judges settings and growth by it."""

    memory_gb: PositiveFloat | None = Field(default=None, description="The machine's memory.")
    storage_gb: PositiveFloat | None = Field(default=None, description="How large the database may grow.")


class WarehouseEntry(DatabaseEntry):
    """A database to load into."""

    dsn_env: EnvironmentName | None = Field(
        default=None, description="The NAME of the environment variable that holds the DSN, never the DSN."
    )
    connection: RedshiftEntry | None = Field(default=None, description="Of a Redshift, in place of a DSN.")
    server: ServerEntry = Field(default=ServerEntry(), description="What the doctor is told of the machine.")
    sizing: SizingEntry | None = Field(default=None, description="Its size while a load runs: snowflake, redshift.")

    @property
    def size(self) -> ServerSize:
        """What is known of the machine."""
        return ServerSize(self.server.memory_gb, self.server.storage_gb)


class Connections(dg.Component, dg.Resolvable, dg.Model):
    """The connections of a deployment. There is one; every TableSync refers to it by name.

    ```yaml
    type: syncer_assets.Connections
    attributes:
      lake: {url: "s3://bucket/lake"}
      sources:
        shop: {type: postgres, dsn_env: SHOP_DSN}
      warehouses:
        analytics: {type: postgres, dsn_env: ANALYTICS_DSN}
    ```

    - Nothing is connected and no variable is read while definitions load.
    - Resources: `lake`, `source__shop`, `warehouse__analytics`.
    - Brings the sensors of the deployment, `new_rows__<source>` and `automation`, and the assets `report` and
      `status`; the sensor `repairs` where a table has a repair window, the sensor `alerts` where alerts are declared.
    """

    lake: LakeEntry = Field(description="Where the lake is.")
    sources: dict[str, SourceEntry] = Field(description="Databases to read from, by name.")
    warehouses: dict[str, WarehouseEntry] = Field(description="Databases to load into, by name.")
    alerts: AlertsEntry | None = Field(default=None, description="Who is told of failed runs and red checks.")

    def lake_resource(self) -> LakeResource:
        return LakeResource(
            url=self.lake.url, options=self.lake.options, failover=asdict(backoff_of(self.lake.failover))
        )

    def source_resource(self, name: str) -> SourceResource:
        entry = self.sources[name]
        return SourceResource(
            name=name,
            type=entry.type,
            dsn_env=entry.dsn_env,
            options=entry.settings,
            failover=asdict(backoff_of(entry.failover)),
            insecure=entry.insecure,
            sizing=entry.sizing.to_rules().to_json() if entry.sizing else {},
        )

    def warehouse_resource(self, name: str) -> WarehouseResource:
        entry = self.warehouses[name]
        return WarehouseResource(
            name=name,
            type=entry.type,
            dsn_env=entry.dsn_env or "",
            arguments=entry.connection.to_arguments() if entry.connection else {},
            password_env=entry.connection.password_env if entry.connection else "",
            options=entry.settings,
            failover=asdict(backoff_of(entry.failover)),
            insecure=entry.insecure,
            sizing=entry.sizing.to_rules().to_json() if entry.sizing else {},
        )

    def resources(self) -> dict[str, object]:
        """Every resource by its key."""
        databases = resources_by_key(
            self.lake_resource(),
            {name: self.source_resource(name) for name in self.sources},
            {name: self.warehouse_resource(name) for name in self.warehouses},
        )
        return databases | ({ALERTS_RESOURCE: self.alerts.to_resource()} if self.alerts else {})

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from .api_extract import api_lists
        from .file_load import file_tables
        from .keyed_update import keyed_updates
        from .problems import raise_problems
        from .rules import connection_problems
        from .table_sync import synced_tables

        raise_problems(context, connection_problems(self, _all_connections(context)))
        tree = context.component_tree
        tables, files = synced_tables(tree), file_tables(tree)
        reported = Reported(tables, files, api_lists(tree), keyed_updates(tree))
        sensors = [
            build_new_rows_sensor(source, [table for table in tables if table.spec.source == source])
            for source in self.sources
            if any(table.spec.source == source and table.spec.cursor for table in tables)
        ]
        if any(table.repair_window for table in tables):
            sensors.append(build_repair_sensor(tables))
        sized = [[name for name, entry in each.items() if entry.sizing] for each in (self.warehouses, self.sources)]
        if any(sized):
            sensors.append(build_sizes_sensor(*sized))
        if self.alerts:
            sensors.append(build_alerts_sensor(tables, self.alerts.to_rules(), files))
        assets = [build_report_asset(reported)] if reported.groups else []
        return dg.Definitions(
            assets=[*assets, build_status_asset(tables)] if tables else assets,
            resources=self.resources(),
            sensors=[*sensors, build_automation_sensor()],
        )


def _all_connections(context: dg.ComponentLoadContext) -> Sequence[Connections]:
    return context.component_tree.get_all_components(Connections)
