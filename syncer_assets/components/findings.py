"""Pydantic's findings about a component's fields, in our words."""

import pydantic

from .problems import LISTS, Problem, did_you_mean
from .yaml_lines import Step

YamlPath = tuple[Step, ...]


def problems_of(
    component: type[pydantic.BaseModel], attributes: dict[str, object], error: pydantic.ValidationError
) -> list[Problem]:
    """One problem a field. Pydantic tries each member of a union: the finding that lies deepest in it counts."""
    found: dict[YamlPath, Problem] = {}
    for finding in error.errors(include_url=False):
        if isinstance(finding["input"], str) and "{{" in finding["input"]:
            continue  # a template that Dagster alone can resolve
        path = _path(attributes, finding["loc"], is_missing=finding["type"] == "missing")
        found.setdefault(path, _problem(component, path, _table(attributes, path), finding["type"], finding["msg"]))
    return [
        problem
        for path, problem in found.items()
        if not any(other != path and other[: len(path)] == path for other in found)
    ]


def _problem(
    component: type[pydantic.BaseModel], path: YamlPath, table: str | None, kind: str, message: str
) -> Problem:
    """The values themselves are not told: somebody may have written a password where its variable's name belongs."""
    named = path
    while named and isinstance(named[-1], int):
        named = named[:-1]  # an entry of a list goes by the list's name
    name = str(named[-1]) if named else "attributes"
    fields = _fields_around(component, named)
    match kind:
        case "extra_forbidden":
            fix = did_you_mean(name, list(fields), f"remove it; known are {', '.join(fields)}")
            return Problem(path, f"`{name}` is not a field", fix, table)
        case "missing":
            return Problem(path, f"`{name}` is missing", f"write it: {fields.get(name) or name}", table)
        case "value_error":
            said, _, fix = message.removeprefix("Value error, ").partition(": ")
            return Problem(path, said, fix or "change it", table)
        case "model_type" | "model_attributes_type" | "dataclass_type":
            inner = list(_fields_around(component, (*path, "")))
            fix = f"write {LISTS[name]}: .." if name in LISTS else f"write fields: {', '.join(inner)}"
            return Problem(path, "a block of fields belongs here", fix, table)
        case _:
            said = f"{message[:1].lower()}{message[1:]}"
            return Problem(path, said, f"write what is meant: {fields.get(name) or name}", table)


def _path(attributes: object, location: YamlPath, *, is_missing: bool) -> YamlPath:
    """The steps of pydantic's location that stand in the YAML: those that name a union's member do not."""
    path: list[Step] = []
    node: object = attributes
    for number, step in enumerate(location):
        if isinstance(node, dict) and (step in node or (is_missing and number == len(location) - 1)):
            path.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            path.append(step)
            node = node[step]
    return tuple(path)


def _table(attributes: dict[str, object], path: YamlPath) -> str | None:
    """The name of the entry that a path leads into."""
    if len(path) < 2 or path[0] not in LISTS or not isinstance(path[1], int):
        return None
    entries = attributes.get(str(path[0]))
    entry = entries[path[1]] if isinstance(entries, list) else None
    return str(entry.get(LISTS[str(path[0])], f"number {path[1] + 1}")) if isinstance(entry, dict) else None


def _fields_around(component: type[pydantic.BaseModel], path: YamlPath) -> dict[str, str]:
    """The fields that may stand beside the last step of a path, with what they are for."""
    model: type[pydantic.BaseModel] = component
    for step in path[:-1]:
        field = next((f for name, f in model.model_fields.items() if step in (name, f.alias)), None)
        model = (_model_in(field.annotation) if field else None) or model
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def _model_in(annotation: object) -> type[pydantic.BaseModel] | None:
    """The model among an annotation's members."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    members = [_model_in(member) for member in getattr(annotation, "__args__", ())]
    return next((member for member in members if member), None)
