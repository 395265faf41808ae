"""The checks that are red now, by table and partition: Dagster's UI shows the latest evaluation only (DESIGN 4)."""

import os
from collections.abc import Sequence

import dagster as dg

from ..assets.table import SyncedTable
from ..model.partition import UNPARTITIONED
from .command import table_title
from .execution import open_instance

EVALUATIONS_MOST = 2_000


def red_checks(tables: Sequence[SyncedTable]) -> dict[str, dict[str, list[str]]]:
    """Table title -> partition -> names of the checks whose last evaluation did not pass.

    Empty without DAGSTER_HOME: then nothing remembers them.
    """
    if not os.environ.get("DAGSTER_HOME"):
        return {}
    found: dict[str, dict[str, list[str]]] = {}
    with open_instance() as instance:
        for table in tables:
            red = _red_checks_of(instance, table)
            if red:
                found[table_title(table)] = red
    return found


def _red_checks_of(instance: dg.DagsterInstance, table: SyncedTable) -> dict[str, list[str]]:
    latest: dict[tuple[str, str], bool] = {}
    for key in (table.lake_key, table.warehouse_key):
        records = instance.get_event_records(
            dg.EventRecordsFilter(event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION, asset_key=key),
            limit=EVALUATIONS_MOST,
        )
        for record in records:  # the newest first
            event = record.event_log_entry.dagster_event
            if event is None:
                continue
            check = event.asset_check_evaluation_data
            place = (check.partition or UNPARTITIONED, f"{key.path[0]}:{check.check_name}")
            latest.setdefault(place, check.passed)
    red: dict[str, list[str]] = {}
    for (partition, name), passed in latest.items():
        if not passed:
            red.setdefault(partition, []).append(name)
    return red
