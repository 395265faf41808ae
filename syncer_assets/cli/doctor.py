"""`syncer doctor`: what stands in the way, each finding with its fix."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .command import Commands, Outcome, deployment_of, subcommand
from .screen import Screen

if TYPE_CHECKING:
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
        "Try every connection, and look at privileges, versions, settings, the lake, the environment and the tables.\n"
        "Each finding says what to do; errors (✗) end with exit code 1.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Examine the deployment, or the selected tables and what they need."""
    deployment, tables = deployment_of(arguments)
    findings = [*_environment(deployment, tables), *_lake(deployment)]
    warehouses: list[Finding] = []
    growths: dict[Target, Growth] = {}
    for name in dict.fromkeys(table.target.warehouse for table in tables):
        found, grown = _warehouse(deployment, name, [table for table in tables if table.target.warehouse == name])
        warehouses += found
        growths |= grown
    for name in dict.fromkeys(table.spec.source for table in tables):
        findings += _source(deployment, name, [table for table in tables if table.spec.source == name], growths)
    findings += warehouses
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


def _environment(deployment: "Deployment", tables: "tuple[SyncedTable, ...]") -> "list[Finding]":
    from ..sync.doctor import examine_dagster_home, examine_environment

    sources = dict.fromkeys(table.spec.source for table in tables)
    warehouses = dict.fromkeys(table.target.warehouse for table in tables)
    needed = [
        *((deployment.source(name).dsn_env, f"source {name}") for name in sources),
        *((deployment.warehouse(name).secret_env, f"warehouse {name}") for name in warehouses),
    ]
    keys = dict.fromkeys(table.spec.columns.hash_key_env for table in tables if table.spec.columns.hash)
    return [*examine_environment(needed, keys), *examine_dagster_home()]


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
