"""The sensor `repairs`: runs maintenance in mode `repair` where the check `bloat` asked for it, in the repair window.

It keeps no cursor. A check's evaluation asks for one run: its run key says which evaluation that was.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from .bloat import BLOAT, REPAIR_ASKED
from .maintenance import maintenance_check_specs
from .requests import ASSET_JOB
from .run_config import ASKED_TAG
from .table import SyncedTable

REPAIRS = "repairs"
INTERVAL_SECONDS = 300
EVALUATIONS_READ = 5


def build_repair_sensor(tables: Sequence[SyncedTable]) -> dg.SensorDefinition:
    """The sensor of a deployment, for its tables with a repair window."""
    watched = [table for table in tables if table.repair_window is not None]

    def repairs(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look_for_repairs(context.instance, watched, clock())

    return dg.SensorDefinition(
        name=REPAIRS,
        evaluation_fn=repairs,
        job_name=ASSET_JOB,
        description="Rebuilds bloated indexes in the repair window of their table.",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def look_for_repairs(instance: dg.DagsterInstance, tables: Sequence[SyncedTable], now: datetime) -> dg.SensorResult:
    """One tick."""
    open_now = [table for table in tables if table.repair_window and table.repair_window.contains(now)]
    requests = [request for table in open_now if (request := _request(instance, table, now))]
    reason = "no check asks for a repair" if open_now else "outside of the repair windows"
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else dg.SkipReason(reason))


def clock() -> datetime:
    """The present; tests put another in its place."""
    return datetime.now(UTC)


def _request(instance: dg.DagsterInstance, table: SyncedTable, now: datetime) -> dg.RunRequest | None:
    asked = _asked_by(instance, table)
    if asked is None or table.repair_window is None:
        return None
    until = table.repair_window.end_after(now).isoformat()
    return dg.RunRequest(
        run_key=f"{table.maintenance_key.to_user_string()}:{asked}",
        asset_selection=[table.maintenance_key],
        asset_check_keys=[spec.key for spec in maintenance_check_specs(table)],
        run_config={
            "ops": {table.maintenance_key.to_python_identifier(): {"config": {"mode": "repair", "until": until}}}
        },
        tags={ASKED_TAG: "false"},
    )


def _asked_by(instance: dg.DagsterInstance, table: SyncedTable) -> str | None:
    """The run whose evaluation is the latest, if it asks for a repair."""
    check = dg.AssetCheckKey(table.warehouse_key, BLOAT)
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=EVALUATIONS_READ):
        event = record.event.dagster_event if record.event else None
        if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        asked = event.asset_check_evaluation_data.metadata.get(REPAIR_ASKED)
        return record.run_id if asked is not None and asked.value == "true" else None
    return None
