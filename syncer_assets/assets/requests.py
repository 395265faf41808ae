"""What sensors and schedules ask for: runs of a table's assets."""

import hashlib
from typing import TYPE_CHECKING

import dagster as dg

from .inline_checks import lake_check_specs, warehouse_check_specs
from .maintenance import maintenance_check_specs
from .partitions import dagster_partition
from .run_config import ASKED_TAG
from .table import SyncedTable

if TYPE_CHECKING:
    from ..sync.pending import Pending

# Dagster's own job that holds every asset. A job a table would take 17 s to load for 500 tables; a test holds the name.
ASSET_JOB = "__ASSET_JOB"

REQUEST_TAG = "syncer/request"
MAXIMUM_TAG = "syncer/maximum"


def sync_request(table: SyncedTable, item: "Pending", after_run: str) -> dg.RunRequest:
    """A run that brings a partition into lake and warehouse; maintenance follows by automation, once for many of them.

    One run for each state of source and lake, and, as that may fail, for each run that came before.
    """
    return dg.RunRequest(
        run_key=f"{item.fingerprint}:{after_run}",
        partition_key=dagster_partition(table, item.partition),
        asset_selection=[table.lake_key, table.warehouse_key],
        asset_check_keys=_inline_checks(table),
        tags={ASKED_TAG: "false", **request_tags(table, item.partition), MAXIMUM_TAG: maximum_tag(item.maximum)},
    )


def table_request(table: SyncedTable, partition: str, moment: str) -> dg.RunRequest:
    """A run of all of a table's assets with their inline checks. `moment` is the tick that asks."""
    return dg.RunRequest(
        run_key=f"{table.lake_key.to_user_string()}:{partition}:{moment}",
        partition_key=dagster_partition(table, partition),
        asset_selection=[table.lake_key, table.warehouse_key, table.maintenance_key],
        asset_check_keys=[*_inline_checks(table), *(check.key for check in maintenance_check_specs(table))],
        tags={ASKED_TAG: "false", **request_tags(table, partition)},
    )


def request_tags(table: SyncedTable, partition: str) -> dict[str, str]:
    """The tags by which earlier runs of the same request are found."""
    return {REQUEST_TAG: _tag(f"{table.lake_key.to_user_string()}|{partition}")}


def maximum_tag(maximum: str) -> str:
    """A cursor's maximum as the tag of a run."""
    return _tag(maximum)


def _inline_checks(table: SyncedTable) -> list[dg.AssetCheckKey]:
    """Named, so that the standalone checks do not ride along."""
    return [check.key for check in (*lake_check_specs(table), *warehouse_check_specs(table))]


def _tag(text: str) -> str:
    """Tags are short: a long text is cut, and told apart by its hash."""
    return text if len(text) <= 120 else f"{text[:100]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
