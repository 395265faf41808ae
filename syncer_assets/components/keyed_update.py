"""`syncer_assets.KeyedUpdate`: columns of a warehouse table that are kept like those of a source, by key."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import dagster as dg
import pydantic
from pydantic import Field

from ..assets.keyed_update import (
    KeyedUpdateAsset,
    build_keyed_schedule,
    build_keyed_source,
    build_keyed_update_asset,
)
from ..assets.names import python_name
from ..model.keyed_update import BatchSettings, KeyedUpdateSpec, RollingWindow
from ..model.table import Target
from .connections import Connections
from .fields import CronExpression, Duration, PositiveInt, Share, Workers, between, parse_duration
from .schedule_entries import ScheduleEntry, cron_of
from .upkeep_entries import IndexEntry

Count = Annotated[int, between(0, 1_000_000)]
Groups = Annotated[int, between(1, 1000)]
Characters = Annotated[int, between(1, 64)]
SessionCount = Annotated[int, between(2, 1000)]


class PrefixEntry(dg.Resolvable, dg.Model):
    """What batches are cut by."""

    column: str | None = Field(
        default=None, description="The source's column; the first key column unless it is given."
    )
    length: Characters = Field(default=3, description="How many first characters make a prefix, to begin with.")
    list_: Annotated[list[str], Field(default=[], alias="list", description="The prefixes, if they are known.")]
    expression: str | None = Field(
        default=None, description="What `{prefix}` in the query tests, in the source's SQL; the column itself."
    )

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: pydantic.BaseModel) -> "PrefixEntry":
        """As Dagster does it, but for quoted numbers, which it makes numbers of."""
        raw = model.model_dump(by_alias=True, exclude_unset=True)
        return cls.model_validate(context.resolve_value(raw) if "{{" in repr(raw) else raw)


class WindowEntry(dg.Resolvable, dg.Model):
    """The rolling window: rows of the last years, months and days, and up to some days ahead."""

    column: str = Field(description="The source's date or timestamp column.")
    years: Count = Field(default=0, description="Years back from today.")
    months: Count = Field(default=0, description="Months further back.")
    days: Count = Field(default=0, description="Days further back.")
    ahead_days: Count | None = Field(default=None, description="Days ahead of today; open unless they are given.")

    def to_window(self) -> RollingWindow:
        return RollingWindow(self.column, self.years, self.months, self.days, self.ahead_days)


class BatchEntry(dg.Resolvable, dg.Model):
    """How large batches get."""

    rows: PositiveInt = Field(
        default=BatchSettings.rows, description="Prefixes with more rows are split, smaller ones joined up to it."
    )
    longest: Characters = Field(default=BatchSettings.longest, description="Characters that a prefix may grow to.")


class ChangedEntry(dg.Resolvable, dg.Model):
    """The change cursor: only rows that changed since the last finished cycle are fetched."""

    column: str = Field(description="The source's timestamp column that each change renews.")
    lag: Duration = Field(default="15m", description="How late a change may become visible.")


class KeyedUpdate(dg.Component, dg.Resolvable, dg.Model):
    """A keyed update: batches of key prefixes are fetched as Arrow, staged by COPY, and rows that differ are updated.

    ```yaml
    type: syncer_assets.KeyedUpdate
    attributes:
      name: visits
      source: house                    # of type snowflake
      warehouse: analytics             # of type postgres
      target: public.visits
      table: PUBLIC.VISITS             # or `query:`
      key: {visit_id: VISIT_ID}
      prefix: {column: SSN, length: 3}
      window: {column: VISIT_DATE, years: 2, days: 45}
      workers: 8
      indexes: [{columns: [visit_id], unique: true}]
    ```

    - One asset, `keyed_update/analytics/visits`, with `partitions` groups of prefixes as its partitions.
    - Keys and prefixes are in no log line, metadata or error: partitions are numbered groups.
    - Nothing is inserted or deleted: keys that the table lacks are counted as `rows_unmatched`.
    """

    model_config = pydantic.ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(description="Its name in the asset key and in the ledger.")
    source: str = Field(description="A source of Connections, of type snowflake.")
    warehouse: str = Field(description="A warehouse of Connections, of type postgres.")
    target: str = Field(description="The warehouse's table, as schema.table. It has to exist.")
    table: str | None = Field(default=None, description="The source's table, as SCHEMA.TABLE.")
    query: str | None = Field(
        default=None,
        description="Instead of a table: a SELECT, in which {prefix} stands for a condition, {since} and {until} for "
        "the window's bounds.",
    )
    key: str | list[str] | dict[str, str] = Field(
        description="The columns that rows are matched by: target: source, or names that both sides have."
    )
    columns: list[str] | dict[str, str] | None = Field(
        default=None, description="The columns to update: target: source, or names; all that both sides have."
    )
    prefix: PrefixEntry = Field(default=PrefixEntry(), description="What batches are cut by.")  # type: ignore[call-arg]  # an alias
    window: WindowEntry | None = Field(default=None, description="The rows that count.")
    changed: ChangedEntry | None = Field(default=None, description="The change cursor.")
    batch: BatchEntry = Field(default=BatchEntry(), description="How large batches get.")
    partitions: Groups = Field(default=1, description="In how many groups the prefixes are cut for re-runs.")
    workers: Workers = Field(default=KeyedUpdateSpec.workers, description="Batches at a time, 1 to 16.")
    connection_limit: SessionCount = Field(
        default=KeyedUpdateSpec.connection_limit, description="Sessions that a run opens at most in each database."
    )
    indexes: list[IndexEntry] = Field(default=[], description="Indexes of the table, made CONCURRENTLY.")
    analyze_above: Share = Field(
        default=KeyedUpdateSpec.analyze_above, description="ANALYZE where a larger share of the rows changed."
    )
    schedule: CronExpression | ScheduleEntry | None = Field(
        default=None, description="A cron expression, or {cron, timezone}."
    )
    description: str | None = Field(default=None, description="What it is for, in the UI.")
    group: str | None = Field(default=None, description="The asset group in the UI; the source's name.")
    owners: list[str] = Field(default=[], description='Owners, as e-mail addresses or "team:name".')

    def to_spec(self) -> KeyedUpdateSpec:
        """The engine's form."""
        key = _mapping(self.key)
        schema, _, table = self.target.rpartition(".")
        prefixes = tuple(self.prefix.list_)
        return KeyedUpdateSpec(
            name=self.name,
            source=self.source,
            target=Target(self.warehouse, schema or "public", table),
            key=key,
            prefix_column=self.prefix.column or next(iter(key.values()), ""),
            table=self.table,
            query=self.query,
            prefix_expression=self.prefix.expression,
            columns=None if self.columns is None else _mapping(self.columns),
            length=self.prefix.length,
            prefixes=prefixes,
            groups=self.partitions,
            window=self.window.to_window() if self.window else None,
            changed=self.changed.column if self.changed else None,
            changed_lag=parse_duration(self.changed.lag if self.changed else "15m"),
            batch=BatchSettings(self.batch.rows, self.batch.longest),
            workers=self.workers,
            connection_limit=self.connection_limit,
            indexes=tuple(index.to_spec() for index in self.indexes),
            analyze_above=self.analyze_above,
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        from .keyed_rules import keyed_problems
        from .problems import raise_problems
        from .table_sync import TableSync, synced_tables

        tree = context.component_tree
        connections = tree.get_all_components(Connections)
        updates = tree.get_all_components(KeyedUpdate)
        raise_problems(context, keyed_problems(self, connections, updates, tree.get_all_components(TableSync)))
        tables = synced_tables(tree)
        synced = {(table.spec.source, table.spec.table): table.source_key for table in tables}
        update = replace(keyed_update_of(self, connections), synced_as=synced.get((self.source, self.table or "")))
        before = [keyed_update_of(each, connections) for each in updates[: updates.index(self)]]
        made = {each.source_key for each in (*tables, *before)}
        return dg.Definitions(
            assets=[build_keyed_update_asset(update), *build_keyed_source(update, made)],
            schedules=[build_keyed_schedule(update, update.schedule)] if update.schedule else [],
        )


def keyed_updates(tree: dg.ComponentTree) -> list[KeyedUpdateAsset]:
    """Every keyed update of a deployment."""
    connections = tree.get_all_components(Connections)
    return [keyed_update_of(component, connections) for component in tree.get_all_components(KeyedUpdate)]


def keyed_update_of(component: KeyedUpdate, connections: Sequence[Connections]) -> KeyedUpdateAsset:
    """The component as the asset factory takes it."""
    return KeyedUpdateAsset(
        spec=component.to_spec(),
        source_type=connections[0].sources[component.source].type,
        warehouse_type=connections[0].warehouses[component.warehouse].type,
        group=component.group or python_name(component.source),
        owners=tuple(component.owners),
        description=component.description,
        schedule=cron_of(component.schedule),
    )


def _mapping(value: str | list[str] | dict[str, str]) -> dict[str, str]:
    """Target column to source column; a single name stands for both."""
    if isinstance(value, dict):
        return dict(value)
    return {name: name for name in ([value] if isinstance(value, str) else value)}
