"""Runs a table's assets through Dagster in this process: lake and warehouse partition by partition, then the rest."""

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg

from ..assets.checks import FRESHNESS
from ..assets.events import listener
from ..assets.run_config import ASKED_TAG
from ..assets.table import SyncedTable
from ..components.deployment import Deployment, add_partition
from ..model.errors import ConfigError, IdentityChanged, SyncError
from ..model.partition import UNPARTITIONED
from ..model.table import Mode
from ..sync.lake import Place
from ..sync.pending import partition_keys, pending_of
from .command import table_title
from .left_runs import PROCESS_TAG, process_tag
from .outcomes import AssetOutcome, CheckOutcome, Plain, Problem, TableOutcome
from .redact import redact

Tell = Callable[[str, dict[str, object]], None]
"""`tell(event, fields)` hears of a table's progress: the engine's events, and `partition` before each one."""

HOPELESS = ("config", "database", "api")
"""Kinds of errors after which the other partitions are not tried: they would fail alike, and slowly."""


@dataclass(frozen=True)
class RunOptions:
    """What a person asked for. A single `partition` is re-read where it is closed, `full` re-reads in any case."""

    partition: str | None = None
    full: bool = False
    chunk_rows: int | None = None
    verbose: bool = False
    reading: tuple[tuple[str, object], ...] = ()
    """More fields of the lake's run config, by name."""

    @property
    def mode(self) -> Mode:
        return "full" if self.full else "auto" if self.partition else "continue"


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance of DAGSTER_HOME if that is set, else one that ends with this process. Raises ConfigError."""
    home = os.environ.get("DAGSTER_HOME")
    if home and not os.path.isdir(home):
        raise ConfigError(f"DAGSTER_HOME={home} is no folder", fix="make it, or unset DAGSTER_HOME")
    if home and not os.path.isabs(home):
        raise ConfigError(
            f"DAGSTER_HOME={home} is no absolute path", fix=f"export DAGSTER_HOME={os.path.abspath(home)}"
        )
    with dg.DagsterInstance.get() if home else dg.DagsterInstance.ephemeral() as instance:
        yield instance


def sync_table(
    deployment: Deployment, table: SyncedTable, options: RunOptions, instance: dg.DagsterInstance, tell: Tell
) -> TableOutcome:
    """Sync what is due. What fails is told as a problem, never raised."""
    outcome = TableOutcome(table_title(table))
    with told(outcome, table.spec.table, options, tell):
        keys = due_partitions(deployment, table, options)
        if options.full and options.partition is None:
            _let_start_over(deployment, table)
        for number, key in enumerate(keys):
            tell("partition", {"key": key, "number": number, "total": len(keys)})
            if not _sync_partition(deployment, table, key, options, instance, outcome):
                break
        loaded = table.warehouse_key.to_user_string()
        if any(asset.key == loaded for asset in outcome.assets):
            tell("maintenance", {})
            _look_after(deployment, table, options, instance, outcome)
    return outcome


@contextmanager
def told(outcome: TableOutcome, place: str, options: RunOptions, tell: Tell) -> Iterator[None]:
    """While the block runs, `tell` hears its events; what it raises is a problem of the outcome. `place` begins texts
    of errors, and is left out there."""
    started = time.monotonic()
    token = listener.set(lambda event, **fields: tell(event, fields))
    try:
        yield
    except SyncError as error:
        outcome.problems.append(
            Problem(outcome.table, options.partition, _without_place(str(error), place), error.kind)
        )
    except Exception as error:  # noqa: BLE001  # a defect in one table's run must leave the other tables
        if options.verbose:
            traceback.print_exc()
        text = redact(f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:500]}")
        outcome.problems.append(Problem(outcome.table, options.partition, text))
    finally:
        listener.reset(token)
        outcome.seconds = round(time.monotonic() - started, 3)


def due_partitions(deployment: Deployment, table: SyncedTable, options: RunOptions) -> list[str]:
    """The keys to sync: the one asked for; with `full` all; else those with rows to read or manifests to load.

    Where nothing is due it is the last one, so that its checks are made and the run says that there is nothing new.
    """
    spec = table.spec
    if not table.is_partitioned:
        if options.partition not in (None, UNPARTITIONED):
            raise ConfigError(f"the table has no partitions, so {options.partition!r} is none", fix="leave it out")
        return [UNPARTITIONED]
    with deployment.source(spec.source).open() as source:
        keys = partition_keys(source, spec)
        if options.partition is not None:
            return [_known(options.partition, keys)]
        if options.full:
            return keys
        lake = deployment.lake.open()
        due = {found.partition for found in pending_of(source, lake, spec)}
    with deployment.warehouse(table.target.warehouse).open() as warehouse:
        loaded = {mark.partition: mark.seq for mark in warehouse.watermarks(table.target)}
    for key in lake.partitions(spec.source, spec.table):
        if max(lake.seqs(Place(spec.source, spec.table, key)), default=0) > loaded.get(key, 0):
            due.add(key)
    return sorted(due) or keys[-1:]


def _let_start_over(deployment: Deployment, table: SyncedTable) -> None:
    """`--full` is the way out where lake or target are others than before: the target's marks are then void."""
    lake, spec, target = deployment.lake.open(), table.spec, table.target
    with deployment.warehouse(target.warehouse).open() as warehouse:
        try:
            warehouse.register(target, lake.generation)
            if all(
                mark.seq <= max(lake.seqs(Place(spec.source, spec.table, mark.partition)), default=0)
                for mark in warehouse.watermarks(target)
            ):
                return
        except IdentityChanged:
            pass
        warehouse.forget(target)
        warehouse.adopt(target, lake.generation)


def _known(partition: str, keys: Sequence[str]) -> str:
    if partition not in keys:
        there = f"they run from {keys[0]} to {keys[-1]}" if keys else "there are none yet"
        raise ConfigError(f"there is no partition {partition!r} now", fix=f"name one that is there; {there}")
    return partition


def _sync_partition(
    deployment: Deployment,
    table: SyncedTable,
    key: str,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> bool:
    """Lake and warehouse of one partition. False if the others need not be tried."""
    lake, warehouse = deployment.assets(table, maintenance=False)
    add_partition(instance, table, key)
    config: dict[str, object] = {"mode": options.mode, **dict(options.reading)}
    if options.chunk_rows:
        config["chunk_rows"] = options.chunk_rows
    result = dg.materialize(
        [lake, warehouse],
        partition_key=key if table.is_partitioned else None,
        instance=instance,
        raise_on_error=False,
        run_config={**quiet(options), "ops": {lake.op.name: {"config": config}}},
        tags={PROCESS_TAG: process_tag(), ASKED_TAG: "true" if options.partition or options.full else "false"},
    )
    outcome.partitions += 1
    shown = key if table.is_partitioned else None
    problems = collect(result, table.spec.table, shown, outcome)
    return not any(problem.kind in HOPELESS for problem in problems)


def _look_after(
    deployment: Deployment,
    table: SyncedTable,
    options: RunOptions,
    instance: dg.DagsterInstance,
    outcome: TableOutcome,
) -> None:
    """Maintenance and freshness: once a table, whatever the number of its partitions."""
    freshness = [check for check in deployment.checks(table) if any(key.name == FRESHNESS for key in check.check_keys)]
    maintenance = deployment.assets(table)[-1]
    for assets, selection in (
        ([maintenance], dg.AssetSelection.assets(maintenance)),
        (freshness, dg.AssetSelection.checks(*freshness)),
    ):
        result = dg.materialize(
            assets,
            selection=selection,
            instance=instance,
            raise_on_error=False,
            run_config=quiet(options),
            tags={PROCESS_TAG: process_tag()},
        )
        collect(result, table.spec.table, None, outcome)


def collect(
    result: dg.ExecuteInProcessResult, place: str, partition: str | None, outcome: TableOutcome
) -> list[Problem]:
    """Take what a run recorded; the problems that it adds."""
    checks = {}
    for found in result.get_asset_check_evaluations():
        check = CheckOutcome(found.check_name, found.passed, found.severity.value, found.description or "")
        checks.setdefault(found.asset_key.to_user_string(), []).append((check, bool(found.blocking)))
    for event in result.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        key = made.asset_key.to_user_string()
        own = tuple(check for check, _ in checks.pop(key, []))
        outcome.assets.append(AssetOutcome(key, made.partition, _plain(made.metadata), own))
    for key, left in checks.items():
        outcome.assets.append(AssetOutcome(key, partition, {}, tuple(check for check, _ in left)))
    problems = [*_red_checks(result, outcome.table, partition), *_failed_steps(result, place, partition, outcome.table)]
    if not result.success and not problems:
        text = "Dagster says that the run failed, and no step says why: look at it in the UI"
        problems.append(Problem(outcome.table, partition, text))
    outcome.problems += problems
    return problems


def _red_checks(result: dg.ExecuteInProcessResult, title: str, partition: str | None) -> Iterator[Problem]:
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.blocking and check.severity == dg.AssetCheckSeverity.ERROR:
            asset = check.asset_key.to_user_string()
            yield Problem(title, partition, f"check {check.check_name} of {asset}: {check.description}", "check")


def _failed_steps(
    result: dg.ExecuteInProcessResult, place: str, partition: str | None, title: str
) -> Iterator[Problem]:
    for event in result.all_events:
        if event.event_type != dg.DagsterEventType.STEP_FAILURE:
            continue
        data = event.step_failure_data
        said = data.user_failure_data
        if said is not None and said.description:
            kind = said.metadata.get("error_kind")
            text = _without_place(said.description, place)
            yield Problem(title, partition, text, str(kind.value) if kind else "failure")
        elif data.error is not None and "blocked" not in data.error.message:
            cause = data.error.cause or data.error
            text = redact(f"unexpected {' '.join(cause.message.split())[:500]}")
            yield Problem(title, partition, f"{text} (step {event.step_key})")


def _without_place(text: str, place: str) -> str:
    """An error's text without the table and partition that begin it: they are told once."""
    rest = text.removeprefix(place)
    if rest is text or rest[:1] not in (":", " "):
        return text
    return rest.partition(": ")[2] or text


def _plain(metadata: object) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    if isinstance(metadata, dict):
        for name, value in metadata.items():
            plain = getattr(value, "value", value)
            if isinstance(plain, int | float | str):
                found[str(name)] = plain
    return found


def quiet(options: RunOptions) -> dict[str, object]:
    """Dagster's own log stays out of the terminal; it is in the instance, and with `--verbose` on stderr."""
    level = "INFO" if options.verbose else "CRITICAL"
    return {"loggers": {"console": {"config": {"log_level": level}}}}
