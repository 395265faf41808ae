"""What is wrong in the YAML, told with file, line, table, field and fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import dagster as dg

from ..model.errors import ConfigError
from .yaml_lines import Step, line_of

FILE_NAMES = ("defs.yaml", "defs.yml", "component.yaml", "component.yml")
LISTS = {"tables": "table", "endpoints": "entity", "entities": "entity"}
"""The lists of our components, and the field by which an entry of each is named."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at `path`, which counts from `below` in the document; `table` names a list's entry."""

    path: tuple[Step, ...]
    message: str
    fix: str
    table: str | None = None
    below: tuple[Step, ...] = ("attributes",)


@dataclass(frozen=True)
class Placed:
    """A problem and the document that has it."""

    file: Path
    document: int
    problem: Problem

    @property
    def line(self) -> int:
        return line_of(self.file, self.document, (*self.problem.below, *self.problem.path))

    def __str__(self) -> str:
        problem = self.problem
        field = ".".join(str(step) for step in problem.path if isinstance(step, str) and step not in LISTS)
        kind = LISTS.get(str(problem.path[0]), "table") if problem.path else "table"
        where = [f"{kind} {problem.table}"] if problem.table else []
        where += [f"field {field}"] if field else []
        place = ": ".join([f"{shown(self.file)}:{self.line}", *([", ".join(where)] if where else [])])
        return f"{place}: {problem.message}. Fix: {problem.fix}"


def raise_problems(context: dg.ComponentLoadContext, problems: Sequence[Problem]) -> None:
    """Raises one ConfigError for all of a component's problems, if there are any."""
    if problems:
        document = context.component_path.instance_key
        place = yaml_file(context.path), document if isinstance(document, int) else 0
        raise config_error([Placed(*place, problem) for problem in problems])


def config_error(problems: Sequence[Placed]) -> ConfigError:
    """One error that tells them all."""
    lines = [str(problem) for problem in sorted(problems, key=lambda placed: (placed.file, placed.line))]
    return ConfigError(lines[0] if len(lines) == 1 else "\n".join([f"{len(lines)} problems in the YAML:", *lines]))


def yaml_file(path: Path) -> Path:
    """The YAML file of a component's folder."""
    if path.is_file():
        return path
    return next((path / name for name in FILE_NAMES if (path / name).exists()), path / FILE_NAMES[0])


def did_you_mean(name: str, known: Sequence[str], otherwise: str) -> str:
    """The fix for a name that is not known."""
    near = get_close_matches(name, known, 2, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def shown(file: Path) -> str:
    """A path as short as the working directory allows."""
    try:
        return str(file.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(file)
