"""The `new_files` sensors: one a source. A tick lists the files and compares them with the ledger in the warehouse.

It keeps no cursor: a file that comes late, or is replaced, differs from the ledger however old its name is.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from ..model.errors import SyncError
from ..model.partition import UNPARTITIONED
from ..resources.lookup import warehouse_of
from .file_table import FileTable
from .files import raw_check_specs
from .names import file_sensor_name
from .requests import ASSET_JOB, MAXIMUM_TAG, REQUEST_TAG
from .run_config import ASKED_TAG
from .sensors import REQUESTS_PER_TICK, after_which_run

if TYPE_CHECKING:
    from ..sync.files import PendingFiles

INTERVAL_SECONDS = 60


def build_new_files_sensor(source: str, tables: Sequence[FileTable]) -> dg.SensorDefinition:
    """The sensor of one source."""

    def new_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return look_for_new_files(context, tables)

    return dg.SensorDefinition(
        name=file_sensor_name(source),
        evaluation_fn=new_files,
        job_name=ASSET_JOB,
        description=f"Requests the partitions of {source} that have files which the ledger does not know as they are.",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={key for table in tables for key in table.resource_keys},
    )


def look_for_new_files(context: dg.SensorEvaluationContext, tables: Sequence[FileTable]) -> dg.SensorResult:
    """One tick. An entity that cannot be looked at is logged; raises its SyncError if none can."""
    from ..sync.files import pending_files

    requests, added, errors = [], [], []
    for table in tables:
        try:
            with warehouse_of(context, table.spec.target.warehouse).open_files() as warehouse:
                pending = pending_files(table.open_store(), warehouse, table.spec)
        except SyncError as error:
            context.log.error(str(error))
            errors.append(error)
            continue
        found = [each for each in pending if table.has_begun(each.partition)]
        known = set(context.instance.get_dynamic_partitions(table.partitions_name)) if table.is_dynamic else set()
        if table.is_dynamic and (new := [each.partition for each in found if each.partition not in known]):
            added.append(dg.DynamicPartitionsDefinition(name=table.partitions_name).build_add_request(new))
        requests += [request for each in found if (request := _request(context.instance, table, each))]
    if errors and len(errors) == len(tables):
        raise errors[0]
    return dg.SensorResult(
        run_requests=requests[:REQUESTS_PER_TICK],
        dynamic_partitions_requests=added,
        skip_reason=None if requests else dg.SkipReason("no file is new"),
    )


def _request(instance: dg.DagsterInstance, table: FileTable, pending: "PendingFiles") -> dg.RunRequest | None:
    """A run of the raw asset; the core table follows by automation, once for many of them."""
    key = table.raw_key.to_user_string()
    state = hashlib.sha256(repr([(file.path, file.etag) for file in pending.files]).encode()).hexdigest()[:16]
    tags = {REQUEST_TAG: f"{key}|{pending.partition}"[:120]}
    after = after_which_run(instance, tags, state)
    if after is None:
        return None
    return dg.RunRequest(
        run_key=f"{key}:{pending.partition}:{state}:{after}",
        partition_key=None if pending.partition == UNPARTITIONED else pending.partition,
        asset_selection=[table.raw_key],
        asset_check_keys=[spec.key for spec in raw_check_specs(table)],
        tags={ASKED_TAG: "false", **tags, MAXIMUM_TAG: state},
    )
