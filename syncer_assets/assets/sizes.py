"""The sensor `sizes`: puts a warehouse, or what a source is read with, back to its size where a run ended that held a
larger one.

A load does that itself, however it ends, unless it is killed. This looks at the runs that failed or were cancelled
since its last tick; asked again for a run that left nothing, the warehouse does nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg

from ..model.errors import SyncError
from ..model.report import Emit
from ..resources.lookup import source_of, warehouse_of
from ..resources.source import source_resource
from ..resources.warehouse import warehouse_resource
from .events import event_line
from .requests import ASSET_JOB

Restore = Callable[[str | None, Emit], bool]

SIZES = "sizes"
INTERVAL_SECONDS = 60
RUNS_A_TICK = 200
OVERLAP = timedelta(minutes=2)
"""How long back each tick looks again: a run's end may be committed after that of one that ended later."""
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def build_sizes_sensor(warehouses: Sequence[str], sources: Sequence[str] = ()) -> dg.SensorDefinition:
    """The sensor of a deployment, for its warehouses and sources with `sizing`."""

    def sizes(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look_for_sizes(context, warehouses, sources)

    return dg.SensorDefinition(
        name=SIZES,
        evaluation_fn=sizes,
        job_name=ASSET_JOB,
        description="Restores the size of a warehouse, or of a source's compute, after a run that was killed.",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={*map(warehouse_resource, warehouses), *map(source_resource, sources)},
    )


def look_for_sizes(
    context: dg.SensorEvaluationContext, warehouses: Sequence[str], sources: Sequence[str] = ()
) -> dg.SensorResult:
    """One tick. What cannot be asked fails it, and the next one looks at the same runs again."""
    now = datetime.now(UTC)
    since = datetime.fromisoformat(context.cursor) if context.cursor else now
    runs = context.instance.get_run_records(
        dg.RunsFilter(statuses=ENDED_BADLY, updated_after=since - OVERLAP), limit=RUNS_A_TICK
    )
    failed: list[SyncError] = []

    def emit(event: str, **fields: object) -> None:
        context.log.info(event_line(event, **fields))

    places = [*((_of_warehouse, name) for name in warehouses), *((_of_source, name) for name in sources)]
    for opened, name in places if runs else ():
        try:
            with opened(context, name) as restore:
                for run in runs:
                    restore(run.dagster_run.run_id, emit)
        except SyncError as error:
            context.log.error(str(error))
            failed.append(error)
    if failed:
        raise failed[0]
    reason = f"looked after {len(runs)} runs that ended badly" if runs else "no run ended badly"
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=now.isoformat())


@contextmanager
def _of_warehouse(context: dg.SensorEvaluationContext, name: str) -> Iterator[Restore]:
    with warehouse_of(context, name).open() as warehouse:
        yield lambda run_id, emit: warehouse.restore_size(run_id, emit=emit)


@contextmanager
def _of_source(context: dg.SensorEvaluationContext, name: str) -> Iterator[Restore]:
    sizer = source_of(context, name).sizer()
    yield sizer.restore if sizer else lambda run_id, emit: True
