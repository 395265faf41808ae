"""The checks that are red now, by table and partition: Dagster's UI shows the latest evaluation only (DESIGN 4)."""

import os
from collections.abc import Sequence

import dagster as dg

from ..assets.inline_checks import lake_check_specs, warehouse_check_specs
from ..assets.table import SyncedTable
from ..model.partition import UNPARTITIONED
from .command import table_title
from .execution import open_instance

EVALUATIONS_MOST = 1_000
PARTITION_TAG = "dagster/partition"
EVALUATED = dg.DagsterEventType.ASSET_CHECK_EVALUATION


def red_checks(tables: Sequence[SyncedTable]) -> dict[str, dict[str, list[str]]]:
    """Table title -> partition -> names of the checks whose last evaluation did not pass.

    Empty without DAGSTER_HOME: then nothing remembers them.
    """
    if not os.environ.get("DAGSTER_HOME"):
        return {}
    with open_instance() as instance:
        found = {table_title(table): _red_checks_of(instance, table) for table in tables}
    return {title: red for title, red in found.items() if red}


def _red_checks_of(instance: dg.DagsterInstance, table: SyncedTable) -> dict[str, list[str]]:
    red: dict[str, list[str]] = {}
    for spec in (*lake_check_specs(table), *warehouse_check_specs(table)):
        for partition, passed in _latest(instance, spec.key).items():
            if not passed:
                red.setdefault(partition, []).append(f"{spec.asset_key.path[0]}:{spec.name}")
    return red


def _latest(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dict[str, bool]:
    """Whether a check passed when it was last made, by partition: that is in the tags of the run."""
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=EVALUATIONS_MOST)
    runs = list({record.run_id for record in history})
    tags = {run.run_id: run.tags for run in instance.get_runs(dg.RunsFilter(run_ids=runs))} if runs else {}
    latest: dict[str, bool] = {}
    for record in history:  # the newest first
        entry = record.event
        if entry is not None and entry.dagster_event is not None and entry.dagster_event.event_type == EVALUATED:
            partition = tags.get(record.run_id, {}).get(PARTITION_TAG, UNPARTITIONED)
            latest.setdefault(partition, entry.dagster_event.asset_check_evaluation_data.passed)
    return latest
