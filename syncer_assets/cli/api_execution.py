"""Runs a list of an API through Dagster in this process: partition by partition what is not closed."""

from datetime import UTC, datetime

import dagster as dg

from ..assets.api import ApiList
from ..assets.run_config import ASKED_TAG
from ..components.deployment import Deployment
from ..model.errors import ConfigError
from ..model.partition import UNPARTITIONED
from .execution import HOPELESS, RunOptions, Tell, collect, quiet, told
from .left_runs import PROCESS_TAG, process_tag
from .outcomes import TableOutcome


def read_list(
    deployment: Deployment, source: ApiList, options: RunOptions, instance: dg.DagsterInstance, tell: Tell
) -> TableOutcome:
    """Read what is due into files. What fails is told as a problem, never raised."""
    outcome = TableOutcome(source.key.to_user_string())
    with told(outcome, source.endpoint.entity, options, tell):
        keys = due_keys(source, options)
        for number, key in enumerate(keys):
            tell("partition", {"key": key, "number": number, "total": len(keys)})
            if not _read_partition(deployment, source, key, options, instance, outcome):
                break
    return outcome


def due_keys(source: ApiList, options: RunOptions) -> list[str]:
    """The partition asked for; with `full` all; else those that are not closed, or the last so that it is checked."""
    from ..sync.api.extract import due_partitions

    endpoint = source.endpoint
    keys = endpoint.partitions.keys(None, datetime.now(UTC))
    if options.partition is not None:
        if options.partition not in keys:
            there = f"they run from {keys[0]} to {keys[-1]}" if source.is_partitioned else "the list has none"
            raise ConfigError(
                f"there is no partition {options.partition!r} now", fix=f"name one that is there; {there}"
            )
        return [options.partition]
    return keys if options.full else due_partitions(source.files(), source.api.name, endpoint) or keys[-1:]


def _read_partition(
    deployment: Deployment,
    source: ApiList,
    key: str,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> bool:
    """False if the others need not be tried."""
    asset = deployment.asset(source.key)
    result = dg.materialize(
        [asset],
        partition_key=key if source.is_partitioned else None,
        instance=instance,
        raise_on_error=False,
        run_config={**quiet(options), "ops": {asset.op.name: {"config": {"mode": options.mode}}}},
        tags={PROCESS_TAG: process_tag(), ASKED_TAG: "true" if options.partition or options.full else "false"},
    )
    outcome.partitions += 1
    problems = collect(result, source.endpoint.entity, None if key == UNPARTITIONED else key, outcome)
    return not any(problem.kind in HOPELESS for problem in problems)
