"""The sensor `alerts`: tells of failed runs and sensors and red checks, each once, and again while it lasts.

It looks at the runs that ended since its last tick. Its cursor remembers them, and what was told when. A channel that
does not take a message fails the tick, and the next one tells it: an alert may come twice, and is never lost.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain

import dagster as dg

from ..model.alert import Alert
from ..resources.alerts import ALERTS_RESOURCE, AlertsResource
from .failing_sensors import failing_sensors
from .file_table import FileTable
from .requests import ASSET_JOB
from .table import SyncedTable

ALERTS = "alerts"
INTERVAL_SECONDS = 30
RUNS_A_TICK = 200
OVERLAP = timedelta(minutes=5)
"""How long back each tick looks again: a run's end may be committed after that of one that ended later."""
TOLD_AT_ONCE = 20


@dataclass(frozen=True)
class AlertRules:
    """What is told: `warnings` too, or errors only; again after `repeat`; `ui` is the address of the pages."""

    repeat: timedelta = timedelta(hours=24)
    warnings: bool = False
    ui: str | None = None


@dataclass
class Memory:
    """The cursor: up to when runs were looked at, which ones of the overlap, and what was told (trouble -> when)."""

    until: str
    runs: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None, now: datetime) -> "Memory":
        """A first look starts at the present: old trouble is not told."""
        return cls(**json.loads(cursor)) if cursor else cls(now.isoformat())

    def to_cursor(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Known:
    """An asset's table as people and commands name it."""

    title: str
    select: str


def build_alerts_sensor(
    tables: Sequence[SyncedTable], rules: AlertRules, files: Sequence[FileTable] = ()
) -> dg.SensorDefinition:
    """The sensor of a deployment."""
    by_asset = assets_known(tables, files)

    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        channels = getattr(context.resources, ALERTS_RESOURCE)
        assert isinstance(channels, AlertsResource)
        now = datetime.now(UTC)
        memory = Memory.of(context.cursor, now)
        found = look_for_alerts(context.instance, by_asset, rules, memory, now)
        if found:
            channels.send(_shortened(found))
        reason = f"told {len(found)}" if found else "nothing to tell"
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=memory.to_cursor())

    return dg.SensorDefinition(
        name=ALERTS,
        evaluation_fn=alerts,
        job_name=ASSET_JOB,
        description="Tells of failed runs, failing sensors and red checks by webhook and e-mail.",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={ALERTS_RESOURCE},
    )


def assets_known(tables: Sequence[SyncedTable], files: Sequence[FileTable] = ()) -> dict[dg.AssetKey, Known]:
    """Of each asset of these tables and files."""
    known = {key: Known(table.title, table.title) for table in files for key in (table.raw_key, table.core_key)}
    for table in tables:
        name = Known(table.spec.table, f"{table.spec.source}.{table.spec.table}")
        keys = (table.lake_key, table.warehouse_key, table.maintenance_key, table.reconcile_key)
        known |= dict.fromkeys(keys, name)
    return known


def look_for_alerts(
    instance: dg.DagsterInstance, by_asset: dict[dg.AssetKey, Known], rules: AlertRules, memory: Memory, now: datetime
) -> list[Alert]:
    """What is to be told now; `memory` is changed."""
    memory.told = {key: when for key, when in memory.told.items() if not _is_due(when, now, rules.repeat)}
    alerts = []
    for trouble in chain(
        *(_troubles(instance, record.dagster_run, by_asset, rules) for record in _ended_runs(instance, memory)),
        failing_sensors(instance, rules.ui),
    ):
        if isinstance(trouble, str):  # what is well again: it is told at once if it fails anew
            memory.told.pop(trouble, None)
        elif _is_due(memory.told.get(trouble.key), now, rules.repeat):
            memory.told[trouble.key] = now.isoformat()
            alerts.append(trouble)
    return alerts


def _ended_runs(instance: dg.DagsterInstance, memory: Memory) -> Iterator[dg.RunRecord]:
    """In the order of their ends, each once; `memory` learns of them."""
    until = datetime.fromisoformat(memory.until)
    records = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE], updated_after=until - OVERLAP
        ),
        limit=RUNS_A_TICK + len(memory.runs),
        order_by="update_timestamp",
        ascending=True,
    )
    for record in records:
        run_id, at = record.dagster_run.run_id, record.update_timestamp.replace(tzinfo=UTC)
        if run_id not in memory.runs:
            memory.runs[run_id] = at.isoformat()
            until = max(until, at)
            yield record
    memory.until = until.isoformat()
    oldest = (until - 2 * OVERLAP).isoformat()
    memory.runs = {run_id: at for run_id, at in memory.runs.items() if at > oldest}


def _troubles(
    instance: dg.DagsterInstance, run: dg.DagsterRun, by_asset: dict[dg.AssetKey, Known], rules: AlertRules
) -> Iterator[Alert | str]:
    """A run's failure and red checks as alerts, its green checks as the key of a trouble that is over."""
    if run.status == dg.DagsterRunStatus.FAILURE:
        yield from _failures(instance, run, by_asset, rules)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        if entry.dagster_event is not None:
            yield from _check(entry.dagster_event, by_asset, rules)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        if entry.asset_materialization is not None:
            yield from _size(entry.asset_materialization, run, by_asset, rules)


def _failures(
    instance: dg.DagsterInstance, run: dg.DagsterRun, by_asset: dict[dg.AssetKey, Known], rules: AlertRules
) -> Iterator[Alert]:
    """One for each step that failed; a run without such a step failed as a whole."""
    by_step = {key.to_python_identifier(): table for key, table in by_asset.items()}
    logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    events = [entry.dagster_event for entry in logs if entry.dagster_event is not None]
    causes = [(event.step_key or run.job_name, _cause(event)) for event in events]
    for step, cause in causes or [(run.job_name, "its process ended before its steps did")]:
        known, partition = by_step.get(step), run.tags.get("dagster/partition")
        name = known.title if known else step
        yield Alert(
            key=f"run|{name}|{partition}|{cause}",
            title="A run failed",
            table=name,
            partition=partition,
            cause=cause,
            command=f"syncer run{_select(known)}{f' --partition {partition}' if partition and known else ''}",
            page=f"{rules.ui}/runs/{run.run_id}" if rules.ui else None,
        )


def _check(event: dg.DagsterEvent, by_asset: dict[dg.AssetKey, Known], rules: AlertRules) -> Iterator[Alert | str]:
    check, partition = event.asset_check_evaluation_data, event.partition
    known = by_asset.get(check.asset_key)
    key = f"check|{check.asset_key.to_user_string()}|{check.check_name}|{partition}"
    if check.passed:
        yield key
    elif rules.warnings or check.severity == dg.AssetCheckSeverity.ERROR:
        yield Alert(
            key=key,
            title=f"The check {check.check_name} is red",
            table=known.title if known else check.asset_key.to_user_string(),
            partition=partition,
            cause=check.description or "the check gave no reason",
            command=f"syncer status{_select(known)}",
            page=f"{rules.ui}/assets/{'/'.join(check.asset_key.path)}?view=checks" if rules.ui else None,
        )


def _size(
    done: dg.AssetMaterialization, run: dg.DagsterRun, by_asset: dict[dg.AssetKey, Known], rules: AlertRules
) -> Iterator[Alert | str]:
    """A load that could not give the warehouse its size back says so in its metadata."""
    known, key = by_asset.get(done.asset_key), f"size|{done.asset_key.to_user_string()}"
    problem = done.metadata.get("sizing_problem")
    if problem is not None:
        yield Alert(
            key=key,
            title="A warehouse's size was not restored",
            table=known.title if known else done.asset_key.to_user_string(),
            partition=done.partition,
            cause=str(problem.value),
            command=f"syncer doctor{_select(known)}",
            page=f"{rules.ui}/runs/{run.run_id}" if rules.ui else None,
        )
    elif "size_found" in done.metadata:
        yield key


def _select(known: Known | None) -> str:
    return f" --select {known.select}" if known else ""


def _cause(event: dg.DagsterEvent) -> str:
    """The engine's own message; of any other exception its name alone, since its text may hold anything."""
    failure = event.step_failure_data
    if failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    return f"the step ended with {failure.error.cls_name if failure.error else 'no error on record'}"


def _is_due(told: str | None, now: datetime, repeat: timedelta) -> bool:
    return told is None or now - datetime.fromisoformat(told) >= repeat


def _shortened(alerts: Sequence[Alert]) -> list[Alert]:
    """A storm of alerts is one message that a person can read: the first of them, and how many more there are."""
    if len(alerts) <= TOLD_AT_ONCE:
        return list(alerts)
    more = len(alerts) - TOLD_AT_ONCE
    last = Alert("", f"{more} more alerts", "this deployment", None, "see the UI or the command", "syncer status")
    return [*alerts[:TOLD_AT_ONCE], last]
