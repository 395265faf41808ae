"""Checks that an asset reports about its own materialisation: what the engine asserted before it committed."""

import warnings
from collections.abc import Sequence

import dagster as dg

from ..model.errors import AssertionFailed
from ..model.report import CheckResult
from .metadata import plain_metadata
from .partitions import partitions_def
from .table import SyncedTable

LAKE_CHECKS = {
    "row_count": "Rows written are the rows of the window that was read; nothing is committed before they agree.",
    "reached_ceiling": "The loop read up to the ceiling that was fixed before its first chunk.",
    "rows_outside_partitions": "No row has a cursor value that lies in no partition.",
    "cursor_protected": "Rows committed late, below the ceiling, cannot be missed; a warning says why they may.",
}
_LOADED = "Staged rows are the manifests' rows, and every staged key is in the target at that version or a newer one."


def lake_check_specs(table: SyncedTable) -> list[dg.AssetCheckSpec]:
    """The checks of the lake's asset."""
    return [
        _spec(table, table.lake_key, name, description, blocking=name != "cursor_protected")
        for name, description in LAKE_CHECKS.items()
    ]


def warehouse_check_specs(table: SyncedTable) -> list[dg.AssetCheckSpec]:
    """The checks of the warehouse's asset."""
    return [_spec(table, table.warehouse_key, "row_count", _LOADED, blocking=True)]


def check_results(
    specs: Sequence[dg.AssetCheckSpec], reported: Sequence[CheckResult], *, nothing_new: bool
) -> list[dg.AssetCheckResult]:
    """One result for each declared check; what the engine had no reason to look at passes and says so.

    Raises AssertionFailed if the engine reports a failure that no check is declared for: it must not be lost.
    """
    by_name = {result.name: result for result in reported}
    for name in by_name.keys() - {spec.name for spec in specs}:
        if not by_name[name].passed and by_name[name].severity == "ERROR":
            raise AssertionFailed(f"{name} did not pass: {by_name[name].description}")
    idle = "nothing new to read" if nothing_new else "does not apply to this run"
    return [_result(by_name.get(spec.name) or CheckResult(spec.name, passed=True, description=idle)) for spec in specs]


def _spec(table: SyncedTable, key: dg.AssetKey, name: str, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    """With the asset's partitions: the UI then keeps a result a partition, and a green one does not hide a red one."""
    with warnings.catch_warnings():  # partitions of checks are a preview, and each step would say so in its log
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=key, description=description, blocking=blocking, partitions_def=partitions_def(table)
        )


def _result(result: CheckResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=result.name,
        passed=result.passed,
        severity=dg.AssetCheckSeverity(result.severity),
        description=result.description or None,
        metadata=plain_metadata(result.metadata),
    )
