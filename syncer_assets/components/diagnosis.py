"""Why a folder of definitions does not load, in words: run when loading has failed, on the same YAML."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import pydantic
import yaml

from ..model.errors import ConfigError
from .connections import Connections
from .problems import FILE_NAMES, Placed, Problem, config_error, did_you_mean, shown
from .rules import connection_problems, table_problems
from .table_sync import TableSync
from .yaml_lines import documents

Component = Connections | TableSync


def diagnose(folder: Path) -> ConfigError | None:
    """One error for all that is wrong with our components below `folder`; None if nothing is."""
    placed: list[Placed] = []
    found: dict[tuple[Path, int], Component] = {}
    for file in sorted(path for name in FILE_NAMES for path in folder.rglob(name)):
        try:
            for number, document in documents(file):
                component = _component(document)
                if component is None:
                    continue
                parsed, problems = _parse(component, document.get("attributes"))
                placed += [Placed(file, number, problem) for problem in problems]
                if parsed:
                    found[file, number] = parsed
        except yaml.YAMLError as error:
            return ConfigError(f"{shown(file)} is no YAML: {error}", fix="see the line that it names")
    if not placed:
        connections = [one for one in found.values() if isinstance(one, Connections)]
        syncs = [one for one in found.values() if isinstance(one, TableSync)]
        for (file, number), one in found.items():
            problems = (
                connection_problems(one, connections)
                if isinstance(one, Connections)
                else table_problems(one, connections, syncs)
            )
            placed += [Placed(file, number, problem) for problem in problems]
    return config_error(placed) if placed else None


def _component(document: Mapping[str, object]) -> type[Component] | None:
    package, _, name = str(document.get("type", "")).rpartition(".")
    if not package.startswith(__name__.partition(".")[0]):
        return None
    return {"Connections": Connections, "TableSync": TableSync}.get(name)


def _parse(component: type[Component], raw: object) -> tuple[Component | None, list[Problem]]:
    attributes = raw if isinstance(raw, dict) else {}
    try:
        return component.model_validate(dg.ResolutionContext.default().resolve_value(attributes)), []
    except pydantic.ValidationError as error:
        return None, _problems(component, attributes, error)


def _problems(
    component: type[pydantic.BaseModel], attributes: dict[str, object], error: pydantic.ValidationError
) -> list[Problem]:
    """Pydantic's findings; those of one field (it tries each member of a union) become one."""
    by_path: dict[tuple[str | int, ...], list[Problem]] = {}
    for found in error.errors(include_url=False, include_context=True):
        path = _path(attributes, found["loc"])
        table = _table(attributes, path)
        by_path.setdefault(path, []).append(_problem(component, path, table, found["type"], found["msg"], found["loc"]))
    return [problems[0] for problems in by_path.values()]


def _problem(
    component: type[pydantic.BaseModel],
    path: tuple[str | int, ...],
    table: str | None,
    kind: str,
    message: str,
    loc: Sequence[str | int],
) -> Problem:
    """The values themselves are not told: somebody may have written a password where its variable's name belongs."""
    name = str(loc[-1])
    if kind == "extra_forbidden":
        fields = _fields(component, path[:-1])
        fix = did_you_mean(name, fields, f"remove it; known are {', '.join(fields)}" if fields else "remove it")
        return Problem(path, f"`{name}` is not a field", fix, table)
    if kind == "missing":
        return Problem(path, f"`{name}` is missing", "write it", table)
    if kind == "value_error":
        said, _, fix = message.removeprefix("Value error, ").partition(": ")
        return Problem(path, said, fix or "change it", table)
    return Problem(path, message[:1].lower() + message[1:], "see the field's description in the README", table)


def _path(attributes: object, loc: Sequence[str | int]) -> tuple[str | int, ...]:
    """The part of pydantic's location that stands in the YAML (a union's member does not), or is missing from it."""
    path: list[str | int] = []
    node: object = attributes
    for number, step in enumerate(loc):
        if isinstance(node, dict):
            if step not in node and number < len(loc) - 1:
                continue
            path.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            path.append(step)
            node = node[step]
        else:
            break
    return tuple(path)


def _table(attributes: dict[str, object], path: Sequence[str | int]) -> str | None:
    tables = attributes.get("tables")
    if len(path) > 1 and path[0] == "tables" and isinstance(path[1], int) and isinstance(tables, list):
        entry = tables[path[1]]
        if isinstance(entry, dict):
            return str(entry.get("table", f"number {path[1] + 1}"))
    return None


def _fields(component: type[pydantic.BaseModel], path: Sequence[str | int]) -> list[str]:
    """The names of the fields that may stand at a path."""
    model: type[pydantic.BaseModel] | None = component
    for step in path:
        if model is None or not isinstance(step, str):
            continue
        field = next((f for name, f in model.model_fields.items() if step in (name, f.alias)), None)
        model = _model_in(field.annotation) if field else model
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_in(annotation: object) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    members = [_model_in(member) for member in getattr(annotation, "__args__", ())]
    return next((member for member in members if member), None)
