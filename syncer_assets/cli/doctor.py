"""`syncer doctor`: what stands in the way, each finding with its fix."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, subcommand
from .screen import Screen

if TYPE_CHECKING:
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment
    from ..model.table import Target
    from ..sync.doctor import Finding
    from ..sync.growth import Growth

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "doctor",
        "find what stands in the way",
        "Try every connection, and look at privileges, versions, settings, the lake, the environment and the tables;\n"
        "list the files and read the first, match the columns of keyed updates, and ask each list of an API for one\n"
        "page.\n"
        "Each finding says what to do; errors (✗) end with exit code 1.",
        "examples:\n  syncer doctor\n  syncer doctor --select orders --json",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Examine the deployment, or what is selected and what it needs."""
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from .file_doctor import examine_entity
    from .keyed_doctor import examine_keyed, examine_sizing
    from .list_doctor import examine_api
    from .work import selected

    deployment, works = selected(arguments)
    tables = [work for work in works if isinstance(work, SyncedTable)]
    lists = [work for work in works if isinstance(work, ApiList)]
    entities = [work for work in works if isinstance(work, FileTable)]
    updates = [work for work in works if isinstance(work, KeyedUpdateAsset)]
    sources = list(dict.fromkeys(each.spec.source for each in (*tables, *updates)))
    stores = list(dict.fromkeys(target.warehouse for target in _targets(tables, updates, entities)))
    findings = _environment(deployment, sources, stores, tables, lists)
    findings += _unverified(deployment, sources, stores)
    findings += _lake(deployment) if tables else []
    warehouses: list[Finding] = []
    growths: dict[Target, Growth] = {}
    for name in stores:
        found, grown = _warehouse(deployment, name, [table for table in tables if table.target.warehouse == name])
        warehouses += found
        growths |= grown
    for name in sources:
        findings += _source(deployment, name, [table for table in tables if table.spec.source == name], growths)
    for api in dict.fromkeys(each.api for each in lists):
        findings += examine_api([each for each in lists if each.api == api])
    findings += warehouses
    for name in dict.fromkeys(update.spec.source for update in updates):
        findings += examine_sizing(deployment, name)
    for update in updates:
        findings += examine_keyed(deployment, update)
    for entity in entities:
        findings += examine_entity(deployment, entity)
    _show(findings, screen)
    errors = sum(finding.level == "error" for finding in findings)
    return Outcome(not errors, {"findings": [asdict(finding) for finding in findings]})


def _show(findings: "list[Finding]", screen: Screen) -> None:
    about = None
    for finding in findings:
        if finding.about != about:
            about = finding.about
            screen.line(about, style="bold")
        sign, style = SIGNS[finding.level]
        screen.line(f"  {sign} {finding.name}: {finding.text}", style=None if finding.level == "ok" else style)
        if finding.fix and finding.fix not in finding.text:
            screen.line(f"      {finding.fix}")
    counts = {level: sum(finding.level == level for finding in findings) for level in SIGNS}
    screen.line()
    screen.line(f"{counts['ok']} fine, {counts['warning']} warnings, {counts['error']} errors")


def _targets(
    tables: "Sequence[SyncedTable]", updates: "Sequence[KeyedUpdateAsset]", entities: "Sequence[FileTable]"
) -> "list[Target]":
    return [*(table.target for table in tables), *(each.spec.target for each in (*updates, *entities))]


def _environment(
    deployment: "Deployment",
    sources: Sequence[str],
    warehouses: Sequence[str],
    tables: "Sequence[SyncedTable]",
    lists: "Sequence[ApiList]",
) -> "list[Finding]":
    from ..sync.doctor import examine_dagster_home, examine_environment

    needed = [
        *((deployment.source(name).dsn_env, f"source {name}") for name in sources),
        *((deployment.warehouse(name).secret_env, f"warehouse {name}") for name in warehouses),
        *dict.fromkeys((name, f"API {each.api.name}") for each in lists for name in each.api.environment),
    ]
    keys = dict.fromkeys(table.spec.columns.hash_key_env for table in tables if table.spec.columns.hash)
    return [*examine_environment(needed, keys), *examine_dagster_home()]


def _unverified(deployment: "Deployment", sources: Sequence[str], warehouses: Sequence[str]) -> "list[Finding]":
    """The connections whose certificates nobody looks at."""
    from ..sync.doctor import examine_insecure

    connections = deployment.connections
    return examine_insecure(
        [
            *(f"source {name}" for name in sources if connections.sources[name].insecure),
            *(f"warehouse {name}" for name in warehouses if connections.warehouses[name].insecure),
        ]
    )


def _lake(deployment: "Deployment") -> "list[Finding]":
    from ..sync.doctor import Finding, examine_lake

    try:
        return examine_lake(deployment.lake.open())
    except SyncError as error:
        return [Finding(f"lake {deployment.lake.url}", "opened", "error", str(error))]


def _source(
    deployment: "Deployment", name: str, tables: "list[SyncedTable]", growths: "dict[Target, Growth]"
) -> "list[Finding]":
    from ..sync.doctor import Finding, examine_source

    by_table = {table.spec.table: growths[table.target] for table in tables if table.target in growths}
    try:
        with deployment.source(name).open() as source:
            return examine_source(source, [table.spec for table in tables], by_table)
    except SyncError as error:
        return [Finding(f"source {name}", "connection", "error", str(error))]


def _warehouse(
    deployment: "Deployment", name: str, tables: "list[SyncedTable]"
) -> "tuple[list[Finding], dict[Target, Growth]]":
    from ..sync.doctor import Finding, examine_warehouse

    targets = list(dict.fromkeys(table.target for table in tables))
    try:
        with deployment.warehouse(name).open() as warehouse:
            return examine_warehouse(warehouse, targets, deployment.connections.warehouses[name].size)
    except SyncError as error:
        return [Finding(f"warehouse {name}", "connection", "error", str(error))], {}
