"""The `new_rows` sensors: one a source, so that a source which does not answer holds up no other.

A tick asks the source once a table for its cursor's maximum, compares with the marks in the lake, and requests the
partitions that have something to read. It keeps no cursor: lake and run history hold all it needs to know.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import dagster as dg

from ..model.errors import SyncError
from ..resources.lake import LAKE_RESOURCE
from ..resources.lookup import lake_of, source_of
from ..resources.source import source_resource
from .names import sensor_name
from .partitions import add_partitions, is_dynamic
from .requests import ASSET_JOB, MAXIMUM_TAG, REQUEST_TAG, maximum_tag, request_tags, sync_request
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sources.base import Source
    from ..sync.lake import Lake
    from ..sync.pending import Pending

INTERVAL_SECONDS = 30
REQUESTS_PER_TICK = 50
WAIT_AT_MOST_SECONDS = 900.0
RUNS_REMEMBERED = 8
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_new_rows_sensor(source: str, tables: Sequence[SyncedTable]) -> dg.SensorDefinition:
    """The sensor of one source. Tables without a cursor have nothing to compare: they need a schedule."""
    watched = [table for table in tables if table.spec.cursor]

    def new_rows(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look_for_new_rows(context, source, watched)

    return dg.SensorDefinition(
        name=sensor_name(source),
        evaluation_fn=new_rows,
        job_name=ASSET_JOB,
        description=f"Requests the partitions of {source} that have rows above their marks.",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={LAKE_RESOURCE, source_resource(source)},
    )


def look_for_new_rows(
    context: dg.SensorEvaluationContext, source: str, tables: Sequence[SyncedTable]
) -> dg.SensorResult:
    """One tick. Raises a SyncError if the source as a whole cannot be read; a single table's error is logged."""
    by_name = {table.spec.table: table for table in tables}
    with source_of(context, source).open() as opened:
        lake = lake_of(context).open()
        found, errors = _pending(opened, lake, tables)
        for error in errors:
            context.log.error(str(error))
        if errors and len(errors) == len(tables):
            raise errors[0]
        due = [(by_name[item.spec.table], item) for item in found]
        added = _new_partitions(context.instance, lake, due)
    requests = list(islice(_requests(context.instance, due), REQUESTS_PER_TICK))
    for table, keys in added:
        context.log.info(f"{table.lake_key.to_user_string()}: {len(keys)} new partitions, up to {keys[-1]}")
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[add_partitions(table, keys) for table, keys in added],
        skip_reason=None if requests else _nothing_to_do(len(due), errors),
    )


def _pending(source: "Source", lake: "Lake", tables: Sequence[SyncedTable]) -> tuple[list["Pending"], list[SyncError]]:
    """What is there to read, and the errors of tables that could not be looked at."""
    from ..sync.pending import pending_and_errors

    return pending_and_errors(source, lake, [table.spec for table in tables])


def _new_partitions(
    instance: dg.DagsterInstance, lake: "Lake", due: Sequence[tuple[SyncedTable, "Pending"]]
) -> list[tuple[SyncedTable, list[str]]]:
    """The partitions that Dagster does not know yet: those with rows to read, and those that the lake has."""
    wanted: dict[str, tuple[SyncedTable, set[str]]] = {}
    for table, item in due:
        if is_dynamic(table):
            known = wanted.setdefault(table.partitions_name, (table, set()))
            known[1].add(item.partition)
    new = []
    for name, (table, keys) in wanted.items():
        keys |= set(lake.partitions(table.spec.source, table.spec.table))
        if missing := sorted(keys - set(instance.get_dynamic_partitions(name))):
            new.append((table, missing))
    return new


def _requests(instance: dg.DagsterInstance, due: Sequence[tuple[SyncedTable, "Pending"]]) -> Iterator[dg.RunRequest]:
    """A run for each that is pending, unless it is under way or was asked for a short while ago.

    Repeats are runs that failed, and those that left the same maximum to be read again: its rows have arrived, but a
    transaction below them is still open.
    """
    under_way = {run.tags.get(REQUEST_TAG) for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))}
    for table, item in _in_turn(due):
        tags = request_tags(table, item.partition)
        if tags[REQUEST_TAG] not in under_way:
            after = after_which_run(instance, tags, maximum_tag(item.maximum))
            if after:
                yield sync_request(table, item, after)


def after_which_run(instance: dg.DagsterInstance, tags: Mapping[str, str], state: str) -> str | None:
    """Which run of these tags a new one for `state` (its MAXIMUM_TAG) comes after; None while it has to wait."""
    records = instance.get_run_records(
        dg.RunsFilter(tags=dict(tags)), limit=RUNS_REMEMBERED, order_by="id", ascending=False
    )
    if not records:
        return "first"
    if any(not record.dagster_run.is_finished for record in records):
        return None
    repeats = 0
    for record in records:
        asked_for = record.dagster_run.tags.get(MAXIMUM_TAG)
        if record.dagster_run.is_success and asked_for != state:
            break
        repeats += 1
    ended = records[0].end_time or records[0].create_timestamp.timestamp()
    if time.time() - ended < wait_seconds(repeats):
        return None
    return records[0].dagster_run.run_id[:8]


def wait_seconds(repeats: int) -> float:
    """How long after the last of `repeats` runs for the same state the next one is requested: 30 s, 90 s, 210 s .."""
    return min(INTERVAL_SECONDS * (2**repeats - 1), WAIT_AT_MOST_SECONDS)


def _in_turn(due: Sequence[tuple[SyncedTable, "Pending"]]) -> list[tuple[SyncedTable, "Pending"]]:
    """The first partition of each table, then the second: a table with many of them holds up no other."""
    turn: Counter[dg.AssetKey] = Counter()
    turns = []
    for table, _ in due:
        turns.append(turn[table.lake_key])
        turn[table.lake_key] += 1
    return [pair for _, pair in sorted(zip(turns, due, strict=True), key=lambda numbered: numbered[0])]


def _nothing_to_do(due: int, errors: Sequence[SyncError]) -> dg.SkipReason:
    if errors:
        return dg.SkipReason("; ".join(str(error) for error in errors)[:2000])
    if due:
        return dg.SkipReason(f"{due} partitions have rows to read, and were asked for already")
    return dg.SkipReason("nothing new to read")
