"""What a run recorded, in few words."""

from collections.abc import Mapping

import dagster as dg

from syncer_assets.assets.report import REPORT_KEY


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    """Asset to partition, for every materialisation."""
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {event.asset_key.to_user_string(): event.partition for event in events}


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> Mapping[str, object]:
    """The metadata of an asset's materialisation, as plain values."""
    found = [
        event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == key
    ]
    assert len(found) == 1, f"{key} was materialised {len(found)} times"
    return {name: value.value for name, value in found[0].metadata.items()}


def checks(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, bool]:
    """Check to outcome, for one asset."""
    return {c.check_name: c.passed for c in result.get_asset_check_evaluations() if c.asset_key == key}


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The description of a step's Failure."""
    data = result.failure_data_for_node(step)
    assert data is not None, f"{step} did not fail"
    assert data.user_failure_data is not None, data.error
    return data.user_failure_data.description or ""


def everything_recorded(instance: dg.DagsterInstance, run_ids: list[str]) -> str:
    """All event records of these runs, as text: where a secret must not be."""
    return "\n".join(str(entry.to_json()) for run_id in run_ids for entry in instance.all_logs(run_id))


def run_report(
    definitions: dg.Definitions, instance: dg.DagsterInstance, **config: object
) -> dg.ExecuteInProcessResult:
    """The asset `report`, materialised by a person."""
    return dg.materialize(
        [asset for asset in definitions.resolve_asset_graph().assets_defs if REPORT_KEY in asset.keys],
        instance=instance,
        raise_on_error=False,
        run_config={"ops": {"report": {"config": config}}},
    )
