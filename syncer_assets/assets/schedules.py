"""Schedules declared in YAML: each tick requests what its tables have to read.

The time-partitioned table requests its current partition and every other that is pending, the id-partitioned one
its last, a table without partitions itself. If the source does not answer, the runs are requested all the same: a
red run is seen, a tick that asked for nothing is not.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from ..model.errors import SyncError
from ..model.partition import UNPARTITIONED
from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, source_of
from ..resources.source import source_resource
from .partitions import is_dynamic
from .requests import ASSET_JOB, table_request
from .table import Cron, SyncedTable


def build_schedule(name: str, cron: Cron, tables: Sequence[SyncedTable]) -> dg.ScheduleDefinition:
    """A schedule for tables of one source."""

    def requests(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        yield from request_tables(context, tables)

    return dg.ScheduleDefinition(
        name=name,
        cron_schedule=cron.expression,
        execution_timezone=cron.timezone,
        execution_fn=requests,
        job_name=ASSET_JOB,
        description=f"Syncs {', '.join(table.spec.table for table in tables)}."[:500],
        default_status=dg.DefaultScheduleStatus.RUNNING,
        required_resource_keys={LAKE_RESOURCE, *(source_resource(table.spec.source) for table in tables)},
    )


def request_tables(context: dg.ScheduleEvaluationContext, tables: Sequence[SyncedTable]) -> list[dg.RunRequest]:
    """One tick."""
    moment = context.scheduled_execution_time
    requests = []
    for table in tables:
        keys = _certain_partitions(context.instance, table, moment) | _pending_partitions(context, table)
        if is_dynamic(table) and keys:
            context.instance.add_dynamic_partitions(table.partitions_name, sorted(keys))
        requests += [table_request(table, key, moment.isoformat()) for key in sorted(keys)]
    return requests


def _certain_partitions(instance: dg.DagsterInstance, table: SyncedTable, moment: datetime) -> set[str]:
    """What is requested whatever the source says."""
    scheme = table.spec.partitions
    if not table.is_partitioned:
        return {UNPARTITIONED}
    if is_dynamic(table):
        return set(sorted(instance.get_dynamic_partitions(table.partitions_name))[-1:])
    keys = scheme.keys(None, moment.astimezone(UTC))
    return set(keys if scheme.by == "prefix" else keys[-1:])


def _pending_partitions(context: dg.ScheduleEvaluationContext, table: SyncedTable) -> set[str]:
    """The partitions that have something to read; none if the source does not answer."""
    from ..sync.pending import pending

    if not (table.spec.cursor and table.is_partitioned):
        return set()
    try:
        with source_of(context, table.spec.source).open() as source:
            return {item.partition for item in pending(source, lake_of(context).open(), [table.spec])}
    except SyncError as error:
        context.log.error(str(error))
        return set()
