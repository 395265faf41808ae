"""Why a folder of definitions does not load, in words: run when loading has failed, on the same YAML."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pydantic
import yaml
from dagster.components.resolved.errors import ResolutionException

from ..model.errors import ConfigError
from .api_extract import ApiExtract
from .api_rules import api_problems
from .connections import Connections
from .file_load import FileLoad
from .file_rules import file_problems
from .findings import YamlPath, problems_of
from .keyed_rules import keyed_problems
from .keyed_update import KeyedUpdate
from .problems import Placed, Problem, config_error
from .rules import connection_problems, table_problems
from .table_sync import TableSync
from .yaml_lines import documents
from .yaml_shape import document_problem, no_mapping, unreadable, yaml_files

Component = ApiExtract | Connections | FileLoad | KeyedUpdate | TableSync
COMPONENTS: dict[str, type[Component]] = {
    "ApiExtract": ApiExtract,
    "Connections": Connections,
    "FileLoad": FileLoad,
    "KeyedUpdate": KeyedUpdate,
    "TableSync": TableSync,
}
PACKAGE = __name__.partition(".")[0]


def diagnose(folder: Path) -> ConfigError | None:
    """One error for all that is wrong with our components below `folder`; None if nothing is."""
    found: dict[tuple[Path, int], Component] = {}
    placed: list[Placed] = []
    for file in yaml_files(folder):
        try:
            if (error := no_mapping(file)) is not None:
                return error
            for number, document in documents(file):
                component, problems = _parse(document)
                placed += [Placed(file, number, problem) for problem in problems]
                if component:
                    found[file, number] = component
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            return unreadable(file, error)
    placed = placed or list(_rules_broken(found))
    return config_error(placed) if placed else None


def _rules_broken(found: Mapping[tuple[Path, int], Component]) -> Iterator[Placed]:
    connections = [one for one in found.values() if isinstance(one, Connections)]
    syncs = [one for one in found.values() if isinstance(one, TableSync)]
    apis = [one for one in found.values() if isinstance(one, ApiExtract)]
    updates = [one for one in found.values() if isinstance(one, KeyedUpdate)]
    loads = [one for one in found.values() if isinstance(one, FileLoad)]
    for (file, number), one in found.items():
        if isinstance(one, Connections):
            problems = connection_problems(one, connections)
        elif isinstance(one, KeyedUpdate):
            problems = keyed_problems(one, connections, updates, syncs)
        elif isinstance(one, FileLoad):
            problems = file_problems(one, connections, loads, file.parent)
        elif isinstance(one, ApiExtract):
            problems = api_problems(one, connections, apis)
        else:
            problems = table_problems(one, connections, syncs)
        yield from (Placed(file, number, problem) for problem in problems)


def _parse(document: Mapping[str, object]) -> tuple[Component | None, list[Problem]]:
    """The component of a document, or what is wrong with its fields; neither if it is none of ours."""
    problem = document_problem(document, COMPONENTS, PACKAGE)
    if problem is not None:
        return None, [problem]
    package, _, name = str(document["type"]).rpartition(".")
    if package.partition(".")[0] != PACKAGE:
        return None, []
    attributes = document.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    problems: list[Problem] = []
    resolved = _resolve(attributes, (), problems)
    if problems:
        return None, problems
    try:
        return COMPONENTS[name].model_validate(resolved), []
    except pydantic.ValidationError as error:
        return None, problems_of(COMPONENTS[name], attributes, error)


def _resolve(value: object, path: YamlPath, problems: list[Problem]) -> object:
    """The value with templates resolved. A variable that is not set is a problem; what Dagster alone knows stays."""
    if isinstance(value, dict):
        return {name: _resolve(inner, (*path, name), problems) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, (*path, number), problems) for number, inner in enumerate(value)]
    if not (isinstance(value, str) and "{{" in value):
        return value
    try:
        return dg.ResolutionContext.default().resolve_value(value, as_type=object)
    except ResolutionException as error:
        if "Environment variable" in str(error):
            said = str(error).strip().splitlines()[-1].partition(". ")[0]
            problems.append(Problem(path, said[:1].lower() + said[1:], "set it, or write env('NAME', 'default')"))
        return value
