"""docs/reference.md, made from the code: `python -m syncer_assets_tests.docs.reference` writes it anew."""

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import dagster as dg
import pydantic

import syncer_assets
from syncer_assets.cli import command
from syncer_assets.cli.main import parser
from syncer_assets.components.deployment import load_deployment
from syncer_assets.model import errors

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"
HEAD = """\
# Reference

Made from the code by `python -m syncer_assets_tests.docs.reference`; a test holds that it is current.
"""
EXIT_CODES = {
    command.DONE: "all went well",
    command.FAILED: "something failed, is red, or differs",
    command.MISUSED: "wrong usage",
    command.INTERRUPTED: "interrupted; what was committed stays",
}


def reference() -> str:
    """The whole page."""
    parts = [HEAD, "## YAML\n", *_components(), "## Commands\n", *_commands(), *_checks(), *_errors()]
    return "\n".join(parts).rstrip() + "\n"


def _components() -> Iterator[str]:
    names = sorted(name for name in dir(syncer_assets) if not name.startswith("_"))
    for name in names:
        component = getattr(syncer_assets, name)
        if not (isinstance(component, type) and issubclass(component, dg.Component)):
            continue
        yield f"### `type: syncer_assets.{name}`\n"
        described: set[type] = set()
        waiting: list[tuple[str, Any]] = [("attributes", component)]
        while waiting:
            where, model = waiting.pop(0)
            if model in described:
                continue
            described.add(model)
            if where != "attributes":
                yield f"`{where}`: {_first_line(model)}\n"
            yield "| field | type | default | what |\n|---|---|---|---|"
            for field_name, field in model.model_fields.items():
                field_name = field.alias or field_name
                yield f"| `{field_name}` | {_type(field.annotation)} | {_default(field)} | {_cell(field.description)} |"
                waiting += [(f"{where}.{field_name}".removeprefix("attributes."), m) for m in _models(field.annotation)]
            yield ""


def _commands() -> Iterator[str]:
    subparsers = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, each in subparsers.choices.items():
        yield f"### `syncer {name}`\n\n{(each.description or '').strip()}\n"
        yield "| option | what |\n|---|---|"
        for action in each._actions:
            if action.help and action.help != argparse.SUPPRESS and "help" not in action.dest:
                option = ", ".join(action.option_strings) or action.dest
                value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
                takes_value = bool(action.option_strings) and action.nargs != 0
                yield f"| `{option}{f' {value}' if takes_value else ''}` | {_cell(action.help % vars(action))} |"
        yield ""
    yield "### Exit codes\n\n| code | meaning |\n|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())
    yield ""


def _checks() -> Iterator[str]:
    yield "## Checks\n\nOf the shipped definitions; an error that is blocking stops what lies behind.\n"
    yield "| check | of the asset | blocking | what it says |\n|---|---|---|---|"
    found = set()
    graph = load_deployment(Path(syncer_assets.__file__).parent / "defs").definitions.resolve_asset_graph()
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        room = key.asset_key.path[0] if key.asset_key.path[0] in ("lake", "maintenance", "raw", "core", "api") else ""
        found.add((key.name, room or "warehouse", "yes" if spec.blocking else "", _cell(spec.description)))
    yield from (f"| `{name}` | {room} | {blocking} | {text} |" for name, room, blocking, text in sorted(found))
    yield ""


def _errors() -> Iterator[str]:
    yield "## Errors\n\n`kind` is in a failed step's metadata and in `--json`; `retried` are those that may pass.\n"
    yield "| kind | retried | what happened |\n|---|---|---|"
    for _, error in sorted(inspect.getmembers(errors, inspect.isclass), key=lambda each: getattr(each[1], "kind", "")):
        if issubclass(error, errors.SyncError):
            retried = "by its code" if error is errors.DbError else "yes" if error.retryable else ""
            yield f"| `{error.kind}` | {retried} | {_first_line(error)} |"
    yield ""


def _first_line(thing: type) -> str:
    return _cell((inspect.getdoc(thing) or "").split("\n\n")[0])


def _cell(text: object) -> str:
    return re.sub(r"\s+", " ", str(text or "")).replace("|", "\\|").strip()


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The models of our own in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _type(annotation: Any) -> str:
    """A field's type in YAML's words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in parts if part is not NoneType))
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (list, tuple, set):
        return f"list of {_type(parts[0])}"
    if origin is dict:
        return f"{_type(parts[1])} by name"
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return "block"
    return {str: "text", int: "integer", float: "number", bool: "yes or no"}.get(annotation, "value")


def _default(field: Any) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", [], {}) or isinstance(value, pydantic.BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
