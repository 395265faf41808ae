"""What keeps the warehouse's table in shape: indexes, storage, statistics; in a repair VACUUM and REINDEX, too."""

from datetime import datetime
from typing import Literal

import dagster as dg
import pydantic

from ..model.upkeep import MaintenanceReport, MaintenanceRequest
from ..resources.lookup import warehouse_of
from ..resources.warehouse import warehouse_resource
from .automation import AFTER_LOADS
from .events import log_emitter
from .failures import RETRY_POLICY, engine_errors
from .kinds import database_kind
from .metadata import Metadata, plain_metadata
from .orphan import end_with_parent
from .run_config import asked_by_person
from .table import SyncedTable

AS_DECLARED = "as_declared"
NAMES_TOLD = 20
BAR_MOST = 40


class MaintenanceConfig(dg.Config):
    """What this run does."""

    mode: Literal["analyze", "repair"] = pydantic.Field(
        default="analyze",
        description=(
            "analyze: declared indexes and storage, ANALYZE; "
            "repair: also VACUUM, REINDEX CONCURRENTLY of bloated indexes, DROP of ours that are declared no longer."
        ),
    )
    until: str | None = pydantic.Field(
        default=None, description="repair: no index is begun to be rebuilt after this time (ISO, with its zone)."
    )

    def to_request(self, *, always_analyze: bool) -> MaintenanceRequest:
        """The engine's form."""
        return MaintenanceRequest(self.mode, always_analyze, datetime.fromisoformat(self.until) if self.until else None)


def build_maintenance_asset(table: SyncedTable) -> dg.AssetsDefinition:
    """The asset. It has no partitions: in a run of one it is materialised along, in a backfill once at the end."""

    @dg.asset(
        key=table.maintenance_key,
        deps=[table.warehouse_key],
        check_specs=maintenance_check_specs(table),
        required_resource_keys={warehouse_resource(table.target.warehouse)},
        group_name=table.group,
        owners=list(table.owners),
        kinds={database_kind(table.warehouse_type), "maintenance"},
        description=f"Statistics, indexes and bloat of {table.target.name} in {table.target.warehouse}.",
        code_version=table.code_version,
        metadata={
            "dagster/table_name": table.target.name,
            "dagster/storage_kind": database_kind(table.warehouse_type),
        },
        automation_condition=AFTER_LOADS,
        pool=table.load_pool,
        retry_policy=RETRY_POLICY,
    )
    def maintenance(context: dg.AssetExecutionContext, config: MaintenanceConfig) -> dg.MaterializeResult:
        return maintain(context, table, config)

    return maintenance


def maintenance_check_specs(table: SyncedTable) -> list[dg.AssetCheckSpec]:
    """The check that tells of drift between the YAML and the table."""
    description = "Indexes and storage parameters are as the YAML declares them."
    return [dg.AssetCheckSpec(AS_DECLARED, asset=table.maintenance_key, description=description)]


def maintain(context: dg.AssetExecutionContext, table: SyncedTable, config: MaintenanceConfig) -> dg.MaterializeResult:
    """What a step does: let the warehouse bring the table into the declared shape, and report it."""
    from ..sync.retry import retrying

    end_with_parent()
    request = config.to_request(always_analyze=asked_by_person(context.run.tags))
    emit, resource = log_emitter(context.log), warehouse_of(context, table.target.warehouse)
    with engine_errors(), resource.open() as warehouse:
        report = retrying(  # each attempt looks at the catalogue first: nothing is made twice
            lambda: warehouse.maintain(table.target, table.upkeep, request, emit=emit), resource.backoff, emit
        )
    return dg.MaterializeResult(
        asset_key=table.maintenance_key,
        metadata={"mode": request.mode, **_metadata(report), **_size(report)},
        check_results=[
            dg.AssetCheckResult(
                check_name=AS_DECLARED,
                passed=not report.drift,
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(report.drift) or None,
            )
        ],
    )


def _metadata(report: MaintenanceReport) -> Metadata:
    done = {
        "indexes_created": report.indexes_created,
        "indexes_dropped": report.indexes_dropped,
        "indexes_rebuilt": report.indexes_rebuilt,
        "leftovers_dropped": report.leftovers_dropped,
    }
    names = [f"{what.replace('_', ' ')}: {', '.join(found[:NAMES_TOLD])}" for what, found in done.items() if found]
    return plain_metadata(
        {
            **report.facts,
            **{what: len(found) for what, found in done.items()},
            "indexes": "; ".join(names),
            "storage_set": "; ".join(report.storage_set),
            "analyzed": report.analyzed,
            "vacuumed": report.vacuumed,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "bytes_reclaimed": report.bytes_reclaimed,
            "skipped": "; ".join(report.skipped),
            "drift": "; ".join(report.drift),
        }
    )


def _size(report: MaintenanceReport) -> Metadata:
    """What a repair made of the table and its indexes, as bars."""
    if not report.bytes_before or not report.bytes_after:
        return {}
    most = max(report.bytes_before, report.bytes_after)

    def line(name: str, size: int) -> str:
        bar = "█" * max(1, round(BAR_MOST * size / most))
        return f"{name:<7} {bar:<{BAR_MOST}} {size / 2**20:,.1f} MB"

    lines = [line("before", report.bytes_before), line("after", report.bytes_after)]
    return {"size": dg.MetadataValue.md("\n".join(["```", *lines, "```"]))}
