"""Runs a keyed update through Dagster in this process, partition by partition."""

import dagster as dg

from ..assets.keyed_update import KeyedUpdateAsset
from ..assets.run_config import ASKED_TAG
from ..components.deployment import Deployment
from .execution import HOPELESS, RunOptions, Tell, collect, quiet, told
from .left_runs import PROCESS_TAG, process_tag
from .outcomes import TableOutcome
from .work import title_of


def update_keyed(
    deployment: Deployment, update: KeyedUpdateAsset, options: RunOptions, instance: dg.DagsterInstance, tell: Tell
) -> TableOutcome:
    """Update each partition, or the one that was asked for. What fails is told as a problem, never raised."""
    outcome = TableOutcome(title_of(update))
    with told(outcome, update.spec.target.name, options, tell):
        if options.partition is not None:
            update.check_partition(options.partition)
        keys = [options.partition] if options.partition else update.spec.group_keys()
        for number, key in enumerate(keys):
            tell("partition", {"key": key, "number": number, "total": len(keys)})
            if not _update_partition(deployment, update, key, options, instance, outcome):
                break
    return outcome


def _update_partition(
    deployment: Deployment,
    update: KeyedUpdateAsset,
    key: str,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> bool:
    """False if the others need not be tried."""
    asset = deployment.asset(update.key)
    config: dict[str, object] = {"mode": "full" if options.full else "auto"}
    config |= {name: value for name, value in options.reading if name == "workers"}
    shown = key if update.spec.is_grouped else None
    result = dg.materialize(
        [asset],
        partition_key=shown,
        instance=instance,
        raise_on_error=False,
        run_config={**quiet(options), "ops": {asset.op.name: {"config": config}}},
        tags={PROCESS_TAG: process_tag(), ASKED_TAG: "true" if options.partition or options.full else "false"},
    )
    outcome.partitions += 1
    problems = collect(result, update.spec.target.name, shown, outcome)
    return not any(problem.kind in HOPELESS for problem in problems)
