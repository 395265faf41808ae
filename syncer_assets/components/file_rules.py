"""Rules of a FileLoad's YAML that no single field can tell."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..assets.names import python_name
from ..model.errors import ConfigError
from ..model.file_pattern import FilePattern
from .failover_entry import waits_problems
from .file_entries import CoreEntry, FileEntry, IdEntry, steps
from .problems import Problem, did_you_mean
from .rules import owner_problems

if TYPE_CHECKING:
    from .connections import Connections
    from .file_load import FileLoad

WAREHOUSE_TYPES = ("postgres",)
OWN_COLUMNS = ("id", "_updated_at")
_TYPE = re.compile(r"[a-z][a-z0-9_]*( [a-z]+)*(\(\d+(, ?\d+)?\))?( with(out)? time zone)?(\[\])*")


def file_problems(
    load: "FileLoad", connections: Sequence["Connections"], loads: Sequence["FileLoad"], folder: Path
) -> list[Problem]:
    """What is wrong with one FileLoad in `folder`, given the deployment's connections and all of its FileLoads."""
    if not connections:
        return [
            Problem(
                (), "there is no syncer_assets.Connections", "add one, in a defs.yaml of its own, to the same folder"
            )
        ]
    problems = [*_names(load, connections[0], loads), *waits_problems((), load.failover)]
    problems += owner_problems((), load.owners or [], None)
    for number, entry in enumerate(load.entities):
        problems += _entry_problems(("entities", number), entry, folder)
    return problems + list(_clashes(load, loads))


def _names(load: "FileLoad", connections: "Connections", loads: Sequence["FileLoad"]) -> Iterator[Problem]:
    if python_name(load.source) != load.source or not load.source:
        yield Problem(("source",), f"{load.source!r} cannot be a name", "use letters, digits and _")
    if sum(other.source == load.source for other in loads) > 1 and loads[0] is not load:
        yield Problem(("source",), f"another FileLoad has the source {load.source!r}", "give one of them another name")
    if load.group and python_name(load.group) != load.group:
        yield Problem(("group",), f"{load.group!r} cannot be a group", "use letters, digits and _")
    known = connections.warehouses
    if load.warehouse not in known:
        fix = did_you_mean(load.warehouse, list(known), f"use one of {', '.join(known)}, or add it to Connections")
        yield Problem(("warehouse",), f"the warehouse {load.warehouse!r} is not among the connections", fix)
    elif known[load.warehouse].type not in WAREHOUSE_TYPES:
        message = f"files cannot be loaded into a warehouse of type {known[load.warehouse].type!r}"
        yield Problem(("warehouse",), message, f"use one of type {', '.join(WAREHOUSE_TYPES)}")


def _entry_problems(path: tuple[str, int], entry: FileEntry, folder: Path) -> Iterator[Problem]:
    def problem(field: str, message: str, fix: str) -> Problem:
        return Problem((*path, *field.split(".")), message, fix, entry.entity)

    if python_name(entry.entity) != entry.entity or not entry.entity:
        yield problem("entity", f"{entry.entity!r} cannot be a name", "use letters, digits and _")
    if entry.group and python_name(entry.group) != entry.group:
        yield problem("group", f"{entry.group!r} cannot be a group", "use letters, digits and _")
    yield from owner_problems(path, entry.owners or [], entry.entity)
    pattern = FilePattern(entry.pattern)
    try:
        pattern.check()
    except ConfigError as error:
        yield problem("pattern", error.message, error.fix or "")
    yield from _partition_problems(path, entry, pattern)
    if entry.id is not None and not all(steps(entry.id.path if isinstance(entry.id, IdEntry) else entry.id)):
        yield problem("id", "a step of the path is empty", "write it as customer.id, or [customer, id]")
    if entry.core is not None:
        yield from _core_problems(path, entry, entry.core, folder)


def _partition_problems(path: tuple[str, int], entry: FileEntry, pattern: FilePattern) -> Iterator[Problem]:
    def problem(field: str, message: str, fix: str) -> Problem:
        return Problem((*path, *field.split(".")), message, fix, entry.entity)

    cut = entry.partitions
    if cut is None:
        if pattern.names_prefix:
            yield problem(
                "pattern", "the pattern has a {prefix}, and there are no partitions by it", "add them, or use *"
            )
        return
    if cut.by == "prefix":
        if not pattern.names_prefix:
            yield problem(
                "pattern", "partitions by prefix need {prefix} in the pattern", "write members/{prefix}/*.jsonl"
            )
        if cut.start is not None:
            yield problem("partitions.start", "`start` means nothing for `by: prefix`", "remove it, or change `by`")
        return
    if not pattern.names_date:
        fix = "write members/{date:%Y/%m/%d}/*.jsonl"
        yield problem("pattern", "partitions by time need {date:..} in the pattern", fix)
    try:
        cut.to_scheme().first_key()
    except ConfigError as error:
        yield problem("partitions.start", error.message, error.fix or "")


def _core_problems(path: tuple[str, int], entry: FileEntry, core: CoreEntry, folder: Path) -> Iterator[Problem]:
    def problem(field: str, message: str, fix: str) -> Problem:
        return Problem((*path, "core", *field.split(".")), message, fix, entry.entity)

    if bool(core.columns) == bool(core.query):
        yield problem("columns", "a core table has either `columns` or a `query`", "write one of the two")
    if core.query and not (folder / core.query).is_file():
        yield problem("query", f"there is no file {core.query!r} beside this one", "write it, or correct the name")
    for name, column in core.columns.items():
        if name in OWN_COLUMNS:
            yield problem(f"columns.{name}", f"every core table has a column {name!r} of ours", "choose another name")
        if not _TYPE.fullmatch(column.type):
            yield problem(
                f"columns.{name}", f"{column.type!r} is no type", "write integer, numeric(12,2), timestamptz .."
            )
        if not all(steps(column.path or name)):
            yield problem(f"columns.{name}", "a step of the path is empty", "write it as a.b, or [a, b]")


def _clashes(load: "FileLoad", loads: Sequence["FileLoad"]) -> Iterator[Problem]:
    """Tables that two entities would share. The later one is told."""
    taken: set[tuple[str, str, str]] = set()
    for other in loads:
        for number, entry in enumerate(other.entities):
            raw = (other.warehouse, other.schema_ or "stg", f"{entry.entity}_raw")
            targets = [raw]
            if entry.core is not None:
                targets.append((other.warehouse, other.core_schema, entry.core.table or entry.entity))
            for target in targets:
                if other is load and target in taken:
                    message = f"another entity is loaded into {'.'.join(target)} too"
                    yield Problem(("entities", number, "entity"), message, "give it another name", entry.entity)
                taken.add(target)
        if other is load:
            return
