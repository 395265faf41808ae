"""The asset of a keyed update: one run of a partition's batches, its checks, and the schedule that asks for it."""

import warnings
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import dagster as dg
import pydantic

from .. import __version__
from ..model.errors import ConfigError
from ..model.keyed_update import UNGROUPED, KeyedReport, KeyedUpdateSpec
from ..model.table import WORKERS_MOST
from ..resources.lookup import source_of, warehouse_of
from ..resources.source import source_resource
from ..resources.warehouse import warehouse_resource
from . import names
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .inline_checks import check_results
from .kinds import database_kind
from .metadata import Metadata, plain_metadata
from .orphan import end_with_parent
from .requests import ASSET_JOB
from .run_config import ASKED_TAG
from .table import Cron

CHECKS = {
    "row_count": "Each batch's rows are updated, unchanged, or not in the table; asserted before its COMMIT.",
    "rows_without_prefix": "No row of the source lies outside of the batches.",
    "key_indexed": "An index of the table serves the batches.",
    "as_declared": "Indexes are as the YAML declares them.",
}
TOLD = (
    *("batches", "batches_done_before", "batch_rows_most", "rows_without_prefix", "workers", "bytes", "retries"),
    *("seconds", "rows_per_second", "fetch_seconds", "write_seconds", "longest_batch_seconds", "indexes_created"),
    *("analyzed", "since", "until", "changed_after"),
)


@dataclass(frozen=True)
class KeyedUpdateAsset:
    """A keyed update of the YAML, as Dagster shows it."""

    spec: KeyedUpdateSpec
    source_type: str
    warehouse_type: str
    group: str
    owners: tuple[str, ...] = ()
    description: str | None = None
    schedule: Cron | None = None
    synced_as: dg.AssetKey | None = None
    """The source's table, where a TableSync has it, too."""

    @property
    def source_key(self) -> dg.AssetKey | None:
        """The table that it reads; None where that is a query."""
        if self.spec.table is None:
            return None
        name = names.asset_names([self.spec.table])[self.spec.table]
        return self.synced_as or names.source_key(self.spec.source, name)

    @property
    def key(self) -> dg.AssetKey:
        return names.keyed_update_key(self.spec.target.warehouse, self.spec.name)

    @property
    def title(self) -> str:
        """As people know it."""
        return f"{self.spec.target.warehouse}.{self.spec.name}"

    def is_named(self, names: Collection[str]) -> bool:
        """Whether one of the names means it: `visits`, `analytics.visits`, `public.visits`, or its asset key."""
        spec = self.spec
        return not {spec.name, self.title, spec.target.name, self.key.to_user_string()}.isdisjoint(names)

    def check_partition(self, key: str) -> None:
        """Raises ConfigError where it has no such partition."""
        keys = self.spec.group_keys()
        if key not in keys:
            there = f"use one of {keys[0]} to {keys[-1]}" if self.spec.is_grouped else "leave it out"
            raise ConfigError(f"there is no partition {key!r}", table=self.spec.target.name, fix=there)

    @property
    def pool(self) -> str:
        return names.keyed_update_pool(self.spec.target.warehouse, self.spec.name)

    @property
    def partitions_def(self) -> dg.StaticPartitionsDefinition | None:
        return dg.StaticPartitionsDefinition(self.spec.group_keys()) if self.spec.is_grouped else None


class KeyedUpdateConfig(dg.Config):
    """How this run updates its partition."""

    mode: Literal["auto", "full"] = pydantic.Field(
        default="auto",
        description="auto: go on with batches that a killed run left, and fetch only what changed where `changed` is "
        "declared; full: every batch, every row.",
    )
    workers: int | None = pydantic.Field(
        default=None, ge=1, le=WORKERS_MOST, description="Batches at a time, instead of the declared number."
    )


def build_keyed_update_asset(update: KeyedUpdateAsset) -> dg.AssetsDefinition:
    """The asset. No BackfillPolicy: a backfill is one run a partition, so that each check names its partition."""
    spec = update.spec

    @dg.asset(
        key=update.key,
        deps=[update.source_key] if update.source_key else [],
        partitions_def=update.partitions_def,
        check_specs=keyed_check_specs(update),
        required_resource_keys={source_resource(spec.source), warehouse_resource(spec.target.warehouse)},
        group_name=update.group,
        owners=list(update.owners),
        kinds={database_kind(update.source_type), database_kind(update.warehouse_type)},
        description=_description(update),
        code_version=f"{__version__}-{spec.fingerprint()[:8]}",
        metadata={
            "dagster/table_name": spec.target.name,
            "dagster/storage_kind": database_kind(update.warehouse_type),
        },
        pool=update.pool,
        retry_policy=RETRY_POLICY,
    )
    def keyed(context: dg.AssetExecutionContext, config: KeyedUpdateConfig) -> dg.MaterializeResult:
        return update_partition(context, config, update)

    return keyed


def keyed_check_specs(update: KeyedUpdateAsset) -> list[dg.AssetCheckSpec]:
    """The checks that the asset reports itself."""
    with warnings.catch_warnings():  # partitions of checks are a preview, and each step would say so in its log
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name,
                asset=update.key,
                description=description,
                blocking=name == "row_count",
                partitions_def=update.partitions_def,
            )
            for name, description in CHECKS.items()
        ]


def update_partition(
    context: dg.AssetExecutionContext, config: KeyedUpdateConfig, update: KeyedUpdateAsset
) -> dg.MaterializeResult:
    """What a step does: bring the partition's rows up to date, and report it."""
    from ..sync.keyed_update import keyed_update

    end_with_parent()
    spec = replace(update.spec, workers=config.workers) if config.workers else update.spec
    compute, updated = source_of(context, spec.source), warehouse_of(context, spec.target.warehouse)
    with (
        engine_errors(),
        compute.open() as source,
        updated.open() as warehouse,
    ):
        report = keyed_update(
            source,
            warehouse,
            spec,
            context.partition_key if spec.is_grouped else UNGROUPED,
            mode=config.mode,
            run_id=context.run.run_id,
            sizer=compute.sizer(),
            emit=log_emitter(context.log),
            backoff=compute.backoff.or_longer(updated.backoff),
        )
    return dg.MaterializeResult(
        asset_key=update.key,
        metadata=keyed_metadata(report) | _columns(report, update),
        check_results=check_results(keyed_check_specs(update), report.checks, nothing_new=False),
    )


def keyed_metadata(report: KeyedReport) -> Metadata:
    """What a materialisation shows: counts, seconds, and what the source says that it cost. No key, no prefix."""
    counts = report.counts
    return plain_metadata(
        {
            "rows": counts.fetched,
            "rows_updated": counts.updated,
            "rows_unchanged": counts.unchanged,
            "rows_unmatched": counts.unmatched,
            "target_rows_updated": counts.target_rows,
            **{name: getattr(report, name) for name in TOLD},
            **report.source_effort,
        }
    )


def _columns(report: KeyedReport, update: KeyedUpdateAsset) -> Metadata:
    """The columns that are kept, and those of the source that they are kept like."""
    what = update.spec.table or "the query"
    schema = [dg.TableColumn(name, type, f"`{column}` of {what}") for name, type, column in report.columns]
    metadata: Metadata = {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(schema))}
    if update.source_key:
        deps = {name: [dg.TableColumnDep(update.source_key, column)] for name, _, column in report.columns}
        metadata["dagster/column_lineage"] = dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps))
    return metadata


def build_keyed_source(update: KeyedUpdateAsset, made: Container[dg.AssetKey | None]) -> list[dg.AssetSpec]:
    """The table that it reads, as an external asset, unless another component has made that."""
    if update.source_key is None or update.source_key in made:
        return []
    kind = database_kind(update.source_type)
    return [
        dg.AssetSpec(
            update.source_key,
            description=f"{update.spec.table} in the source {update.spec.source}.",
            group_name=update.group,
            owners=list(update.owners),
            kinds={kind, "source"},
            metadata={"dagster/table_name": update.spec.table, "dagster/storage_kind": kind},
        )
    ]


def build_keyed_schedule(update: KeyedUpdateAsset, cron: Cron) -> dg.ScheduleDefinition:
    """Each tick asks for every partition."""

    def requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        moment = context.scheduled_execution_time.isoformat()
        for key in update.spec.group_keys():
            yield dg.RunRequest(
                run_key=f"{update.key.to_user_string()}:{key}:{moment}",
                partition_key=key if update.spec.is_grouped else None,
                asset_selection=[update.key],
                asset_check_keys=[check.key for check in keyed_check_specs(update)],
                tags={ASKED_TAG: "false"},
            )

    return dg.ScheduleDefinition(
        name=f"keyed_update__{names.python_name(update.spec.target.warehouse)}__{update.spec.name}",
        cron_schedule=cron.expression,
        execution_timezone=cron.timezone,
        execution_fn=requests,
        job_name=ASSET_JOB,
        description=f"Updates {update.spec.target.name}.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


def _description(update: KeyedUpdateAsset) -> str:
    spec = update.spec
    what = spec.table or "a query"
    window = ""
    if spec.window:
        window = f", of a rolling window of {spec.window.column}"
    about = (
        f"Columns of {spec.target.name} in {spec.target.warehouse}, kept like those of {what} in {spec.source} by"
        f" {', '.join(spec.key)}{window}. Only rows that differ are written."
    )
    return "\n\n".join(part for part in (update.description, about) if part)
