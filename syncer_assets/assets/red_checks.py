"""The checks that are red now, by table and partition: Dagster's UI shows the latest evaluation only (DESIGN 4)."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ..model.partition import UNPARTITIONED
from .bloat import BLOAT
from .checksum import CHECKSUM
from .freshness import FRESHNESS
from .inline_checks import lake_check_specs, warehouse_check_specs
from .maintenance import AS_DECLARED, maintenance_check_specs
from .table import SyncedTable

EVALUATIONS_MOST = 1_000
PARTITION_TAG = "dagster/partition"
EVALUATED = dg.DagsterEventType.ASSET_CHECK_EVALUATION
STANDALONE = (CHECKSUM, FRESHNESS, BLOAT)
WHOLE_TABLE = (*STANDALONE, AS_DECLARED)


def red_checks_of(instance: dg.DagsterInstance, tables: Sequence[SyncedTable]) -> list[dict[str, list[str]]]:
    """For each table: partition -> names of the checks whose last evaluation did not pass.

    Checks of a whole table are told with the partition `all`. Their last evaluation comes with that of all others by
    one question; only what is made by partition is looked up by itself.
    """
    names = [list(_checks(table)) for table in tables]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key for keys in names for key in keys])
    found = []
    for table, keys in zip(tables, names, strict=True):
        red: dict[str, list[str]] = {}
        for key in keys:
            record = latest.get(key)
            if record is None:
                continue  # never made
            passed = _passed(record.event)
            whole = key.name in WHOLE_TABLE or not table.is_partitioned
            made = {UNPARTITIONED: passed} if whole and passed is not None else _by_partition(instance, key, whole)
            for partition in (partition for partition, passed in made.items() if not passed):
                red.setdefault(partition, []).append(_name(key))
        found.append(red)
    return found


def red_checks_of_asset(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], *, partitioned: bool
) -> dict[str, list[str]]:
    """The same of checks that one asset reports itself."""
    red: dict[str, list[str]] = {}
    for key in keys:
        for partition, passed in _by_partition(instance, key, not partitioned).items():
            if not passed:
                red.setdefault(partition, []).append(_name(key))
    return red


def _checks(table: SyncedTable) -> Iterator[dg.AssetCheckKey]:
    for spec in (*lake_check_specs(table), *warehouse_check_specs(table), *maintenance_check_specs(table)):
        yield spec.key
    for name in STANDALONE:
        yield dg.AssetCheckKey(table.warehouse_key, name)


def _name(key: dg.AssetCheckKey) -> str:
    return f"{key.asset_key.path[0]}:{key.name}"


def _by_partition(instance: dg.DagsterInstance, check: dg.AssetCheckKey, whole: bool) -> dict[str, bool]:
    """Whether a check passed when it was last made, by partition: that is in the tags of the run."""
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=EVALUATIONS_MOST)
    runs = list({record.run_id for record in history}) if not whole else []
    tags = {run.run_id: run.tags for run in instance.get_runs(dg.RunsFilter(run_ids=runs))} if runs else {}
    latest: dict[str, bool] = {}
    for record in history:  # the newest first
        passed = _passed(record.event)
        if passed is not None:
            latest.setdefault(tags.get(record.run_id, {}).get(PARTITION_TAG, UNPARTITIONED), passed)
    return latest


def _passed(entry: dg.EventLogEntry | None) -> bool | None:
    """None where it was planned and not made yet."""
    event = entry.dagster_event if entry else None
    if event is None or event.event_type != EVALUATED:
        return None
    return event.asset_check_evaluation_data.passed
