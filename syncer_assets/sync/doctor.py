"""What stands in the way of a deployment, before anything is synced: each finding with its fix."""

import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..model.errors import SyncError
from ..model.report import CheckResult
from ..model.table import TableSpec, Target
from ..sources.base import Source
from ..warehouses.base import Warehouse
from .lake import Lake
from .plan import plan

Level = Literal["ok", "warning", "error"]
SHORTEST_HASH_KEY = 16


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `text` of anything but "ok" says what to do."""

    about: str
    name: str
    level: Level
    text: str


def examine_source(source: Source, specs: Sequence[TableSpec]) -> list[Finding]:
    """The server, and each table that is to be read from it."""
    about = f"source {source.name}"
    try:
        found = _from_checks(about, source.doctor())
        source.identity()
    except SyncError as error:
        return [Finding(about, "connection", "error", str(error))]
    return [*found, *(finding for spec in specs for finding in examine_table(source, spec))]


def examine_table(source: Source, spec: TableSpec) -> list[Finding]:
    """One table: it is there, it may be read, the YAML fits it, an index serves its cursor."""
    about = f"{source.name}.{spec.table}"
    try:
        found = plan(source, None, spec)
    except SyncError as error:
        return [Finding(about, "table", "error", str(error).removeprefix(f"{spec.table}: "))]
    how = f"{spec.load}, cursor {', '.join(spec.cursor)}" if spec.cursor else "read whole"
    fine = [Finding(about, "table", "ok", f"can be read ({how})")]
    return fine if not found.risks else [Finding(about, risk.name, "warning", risk.text) for risk in found.risks]


def examine_warehouse(warehouse: Warehouse, targets: Sequence[Target]) -> list[Finding]:
    """The server, and that each target's ledger can be asked."""
    about = f"warehouse {warehouse.name}"
    try:
        found = _from_checks(about, warehouse.doctor())
        if any(finding.level == "error" for finding in found):
            return found
        for target in targets:
            warehouse.table_columns(target)
    except SyncError as error:
        return [Finding(about, "connection", "error", str(error))]
    return found


def examine_lake(lake: Lake) -> list[Finding]:
    """An object is written, must not be written twice, is read and removed: the protocol stands on that."""
    path, about = f"_doctor/{uuid.uuid4().hex}", f"lake {lake.url}"
    try:
        first, second = lake.put_if_absent(path, b"first"), lake.put_if_absent(path, b"second")
        body = lake.get(path)
        lake.remove([path])
    except SyncError as error:
        return [Finding(about, "writable", "error", str(error))]
    if not first or second or body != b"first":
        return [
            Finding(
                about,
                "put-if-absent",
                "error",
                "the store overwrites an object that was to be written only if absent, so two syncs could lose rows: "
                "use a store with conditional writes",
            )
        ]
    return [Finding(about, "writable", "ok", "objects can be written once, read and removed")]


def examine_environment(needed: Iterable[tuple[str, str]], hash_keys: Iterable[str]) -> list[Finding]:
    """The variables that hold DSNs, as (name, who needs it), and those that hold keys for hashing."""
    found = [
        Finding("environment", name, "ok", f"set, for {who}")
        if os.environ.get(name)
        else Finding("environment", name, "error", f"is not set, which {who} needs: export {name}=..")
        for name, who in needed
    ]
    for name in hash_keys:
        length = len(os.environ.get(name, ""))
        if length < SHORTEST_HASH_KEY:
            what = f"holds only {length} characters" if length else "is not set"
            text = f"{what}, and hashed columns need a key of {SHORTEST_HASH_KEY} or more: export {name}=.."
            found.append(Finding("environment", name, "error", text))
        else:
            found.append(Finding("environment", name, "ok", "set, for hashed columns"))
    return found


def examine_dagster_home() -> list[Finding]:
    """Where Dagster keeps runs and events."""
    about, name = "environment", "DAGSTER_HOME"
    text = os.environ.get(name)
    if not text:
        return [Finding(about, name, "warning", "is not set, so runs leave no history: export an absolute folder")]
    home = Path(text)
    if not home.is_absolute() or not home.is_dir():
        return [Finding(about, name, "error", f"{text} is no absolute path of a folder: make it, or export another")]
    if not os.access(home, os.W_OK):
        return [Finding(about, name, "error", f"{text} cannot be written: give the user write permission")]
    if not (home / "dagster.yaml").is_file():
        advice = "has no dagster.yaml, so pools have no limit: copy the one of the repository"
        return [Finding(about, name, "warning", f"{text} {advice}")]
    return [Finding(about, name, "ok", text)]


def _from_checks(about: str, checks: Iterable[CheckResult]) -> list[Finding]:
    return [
        Finding(about, check.name, "ok" if check.passed else _level(check), check.description or check.name)
        for check in checks
    ]


def _level(check: CheckResult) -> Level:
    return "warning" if check.severity == "WARN" else "error"
