"""Loads an entity's files through Dagster in this process: what is pending by partition, then its core table."""

from collections.abc import Iterator

import dagster as dg

from ..assets.file_table import FileTable
from ..assets.run_config import ASKED_TAG
from ..components.deployment import Deployment
from ..model.errors import ConfigError
from ..model.partition import UNPARTITIONED
from .execution import HOPELESS, RunOptions, Tell, collect, quiet, told
from .left_runs import PROCESS_TAG, process_tag
from .outcomes import Problem, TableOutcome
from .work import title_of


def load_files(
    deployment: Deployment, table: FileTable, options: RunOptions, instance: dg.DagsterInstance, tell: Tell
) -> TableOutcome:
    """Load what is due. What fails is told as a problem, never raised; a red check is one, since a file is missing."""
    outcome = TableOutcome(title_of(table))
    with told(outcome, table.spec.target.name, options, tell):
        keys = due_keys(deployment, table, options)
        for number, key in enumerate(keys):
            tell("partition", {"key": key, "number": number, "total": len(keys)})
            if not _load_partition(deployment, table, key, options, instance, outcome):
                break
        else:
            if keys and table.spec.core is not None:
                tell("core", {})
                _load_core(deployment, table, options, instance, outcome)
    outcome.problems += _red_checks(outcome)
    return outcome


def due_keys(deployment: Deployment, table: FileTable, options: RunOptions) -> list[str]:
    """The partition asked for; with `full` all that have files; else those with something pending, or the last one so
    that its checks are made."""
    from ..sync.files import pending_files

    spec = table.spec
    listed = {spec.partition(file.path) for file in table.open_store().list(spec.pattern)}
    keys = sorted(key for key in listed if key is not None and table.has_begun(key))
    if options.partition is not None:
        if options.partition not in keys:
            there = f"there are files from {keys[0]} to {keys[-1]}" if keys else "there are no files at all"
            raise ConfigError(f"no file belongs to a partition {options.partition!r}", fix=f"name another; {there}")
        return [options.partition]
    with deployment.warehouse(spec.target.warehouse).open_files() as warehouse:
        if options.full:
            warehouse.forget(spec)
            return keys
        warehouse.prepare(spec)
        found = pending_files(table.open_store(), warehouse, spec, refused_again=True)
    return [each.partition for each in found if each.partition in keys] or keys[-1:]


def _load_partition(
    deployment: Deployment,
    table: FileTable,
    key: str,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> bool:
    """False if the others need not be tried."""
    if table.is_dynamic and not instance.has_dynamic_partition(table.partitions_name, key):
        instance.add_dynamic_partitions(table.partitions_name, [key])
    asset = deployment.asset(table.raw_key)
    config = {"mode": "full" if options.full else "auto"}
    result = dg.materialize(
        [asset],
        partition_key=None if key == UNPARTITIONED else key,
        instance=instance,
        raise_on_error=False,
        run_config={**quiet(options), "ops": {asset.op.name: {"config": config}}},
        tags={PROCESS_TAG: process_tag(), ASKED_TAG: "true"},
    )
    outcome.partitions += 1
    problems = collect(result, table.spec.target.name, None if key == UNPARTITIONED else key, outcome)
    return not any(problem.kind in HOPELESS for problem in problems)


def _load_core(
    deployment: Deployment,
    table: FileTable,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> None:
    asset = deployment.asset(table.core_key)
    config = {"mode": "full" if options.full and options.partition is None else "auto"}
    result = dg.materialize(
        [asset],
        instance=instance,
        raise_on_error=False,
        run_config={**quiet(options), "ops": {asset.op.name: {"config": config}}},
        tags={PROCESS_TAG: process_tag()},
    )
    collect(result, table.spec.target.name, None, outcome)


def _red_checks(outcome: TableOutcome) -> Iterator[Problem]:
    """Those that do not block: of `refused` each file is a problem of its own run."""
    for asset in outcome.assets:
        for check in asset.checks:
            if check.failed and check.name == "refused":
                text = f"refused: {check.description}"
                yield Problem(outcome.table, asset.partition, text, "file_refused")
