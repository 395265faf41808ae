"""What stands in the way of a deployment, before anything is synced: each finding with its fix."""

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..model.errors import SyncError
from ..model.report import CheckResult
from ..model.server import ServerSize
from ..model.table import TableSpec, Target
from ..sources.base import Source
from ..warehouses.base import TableActivity, Warehouse
from .growth import Growth, growth, next_class, storage
from .lake import Lake
from .plan import plan

Level = Literal["ok", "warning", "error"]
SHORTEST_HASH_KEY = 16


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `text` of anything but "ok" says what to do; `fix` is the SQL or YAML for it.

    `facts` are the numbers and settings behind it."""

    about: str
    name: str
    level: Level
    text: str
    fix: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def examine_source(
    source: Source, specs: Sequence[TableSpec], growths: Mapping[str, Growth] | None = None
) -> list[Finding]:
    """The server, and each table that is to be read from it; `growths` by table, as the warehouse measured them."""
    about = f"source {source.name}"
    try:
        found = from_checks(about, source.doctor())
        source.identity()
    except SyncError as error:
        return [Finding(about, "connection", "error", str(error))]
    growths = growths or {}
    return [*found, *(finding for spec in specs for finding in examine_table(source, spec, growths.get(spec.table)))]


def examine_table(source: Source, spec: TableSpec, grows: Growth | None = None) -> list[Finding]:
    """One table: it is there, it may be read, the YAML fits it, an index serves its cursor; what its growth brings."""
    about = f"{source.name}.{spec.table}"
    try:
        found = plan(source, None, spec)
    except SyncError as error:
        return [Finding(about, "table", "error", str(error).removeprefix(f"{spec.table}: "))]
    how = f"{spec.load}, cursor {', '.join(spec.cursor)}" if spec.cursor else "read whole"
    fine = [Finding(about, "table", "ok", f"can be read ({how})")]
    risks = [Finding(about, risk.name, "warning", risk.text, risk.fix) for risk in found.risks]
    soon = next_class(grows, found.rows_estimate, found.bytes_estimate, spec.sizes) if grows and spec.cursor else None
    return [*(risks or fine), *([Finding(about, "growth", "ok", f"read whole it is {soon}")] if soon else [])]


def examine_warehouse(
    warehouse: Warehouse, targets: Sequence[Target], server: ServerSize
) -> tuple[list[Finding], dict[Target, Growth]]:
    """The server, its settings and room, and that each target's ledger can be asked; and how the targets grow."""
    about = f"warehouse {warehouse.name}"
    try:
        found = from_checks(about, warehouse.doctor())
        if any(finding.level == "error" for finding in found):
            return found, {}
        for target in targets:
            warehouse.table_columns(target)
        measured = {target: growth(warehouse.ledger(target)) for target in targets}
        growths = {target: grows for target, grows in measured.items() if grows}
        advice = from_checks(about, warehouse.advise(targets, server))
        return [
            *found,
            *advice,
            *_headroom(about, advice, warehouse.activity(targets), targets, growths, server),
        ], growths
    except SyncError as error:
        return [Finding(about, "connection", "error", str(error))], {}


def _headroom(
    about: str,
    advice: Sequence[Finding],
    activities: Sequence[TableActivity],
    targets: Sequence[Target],
    growths: Mapping[Target, Growth],
    server: ServerSize,
) -> Iterator[Finding]:
    """How long the storage lasts, where the warehouse tells its size. A table not measured long enough counts 0."""
    used = next((finding.facts["database_bytes"] for finding in advice if "database_bytes" in finding.facts), None)
    if not isinstance(used, int):
        return
    a_day = [
        growths[target].rows_a_day * told.bytes / told.rows
        for target, told in zip(targets, activities, strict=True)
        if target in growths and told.rows and told.bytes
    ]
    fine, text = storage(server, used, sum(a_day) if a_day else None)
    yield Finding(
        about,
        "headroom",
        "ok" if fine else "warning",
        text if fine else f"{text}: free or add storage, and then raise `server: {{storage_gb: ..}}` of the warehouse",
        facts={"database_bytes": used, "bytes_a_day": round(sum(a_day)) if a_day else None},
    )


def examine_lake(lake: Lake, what: str = "lake") -> list[Finding]:
    """An object is written, must not be written twice, is read and removed: the protocol stands on that."""
    path, about = f"_doctor/{uuid.uuid4().hex}", f"{what} {lake.url}"
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


def examine_insecure(connections: Iterable[str]) -> list[Finding]:
    """The connections that `insecure: true` is named for."""
    text = "`insecure: true`: the server's certificate is not verified, so anybody in between may read the password"
    fix = "ask for verify-full (MySQL: verify_identity) in the DSN, and remove `insecure`"
    return [Finding(about, "TLS", "warning", f"{text}: {fix}") for about in connections]


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


def from_checks(about: str, checks: Iterable[CheckResult]) -> list[Finding]:
    """Checks as findings about something."""
    return [
        Finding(
            about,
            check.name,
            "ok" if check.passed else _level(check),
            check.description or check.name,
            check.fix,
            check.metadata,
        )
        for check in checks
    ]


def _level(check: CheckResult) -> Level:
    return "warning" if check.severity == "WARN" else "error"
