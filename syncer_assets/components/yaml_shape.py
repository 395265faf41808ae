"""What is wrong with a YAML file as a whole, before its fields are looked at."""

from collections import Counter
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import yaml

from ..model.errors import ConfigError
from .problems import FILE_NAMES, Problem, did_you_mean, shown

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DOCUMENT = ("type", "attributes", "template_vars_module", "requirements", "post_processing")
"""The fields of a document (dagster 1.13, `ComponentFileModel`)."""


def yaml_files(folder: Path) -> list[Path]:
    """The files of components below a folder."""
    return sorted(path for name in FILE_NAMES for path in folder.rglob(name))


def refuse_repeated(folder: Path) -> None:
    """Raises ConfigError for a field that is there twice in one block: YAML's readers take the last and are silent.

    A file that cannot be read is left to those who read it whole.
    """
    for file in yaml_files(folder):
        try:
            nodes = list(yaml.compose_all(file.read_text(encoding="utf-8"), LOADER))
        except (OSError, UnicodeError, yaml.YAMLError):
            continue
        for name, first, again in (found for node in nodes for found in _repeated(node)):
            text = f"{shown(file)}:{again}: `{name}` is there twice, first in line {first}"
            raise ConfigError(text, fix="remove one of the two, or rename it") from None


def document_problem(document: Mapping[str, object], ours: Mapping[str, object], package: str) -> Problem | None:
    """What is wrong with the fields around `attributes`; `ours` are the components of `package`, by name."""
    unknown = next((str(name) for name in document if name not in DOCUMENT), None)
    if unknown is not None:
        fix = did_you_mean(unknown, DOCUMENT, f"remove it; known are {', '.join(DOCUMENT)}")
        return Problem((unknown,), f"`{unknown}` is not a field", fix, below=())
    if "type" not in document:
        names = " or ".join(f"{package}.{name}" for name in ours)
        return Problem(("type",), "`type` is missing", f"write it: {names}", below=())
    module, _, name = str(document["type"]).rpartition(".")
    if module.partition(".")[0] == package:
        if name in ours:
            return None
        fix = did_you_mean(name, list(ours), f"use {' or '.join(ours)}")
        return Problem(("type",), f"`{document['type']}` is no component", fix, below=())
    if not module or find_spec(module.partition(".")[0]) is None:
        near = did_you_mean(str(document["type"]), [f"{package}.{one}" for one in ours], "install what has it")
        return Problem(("type",), f"`{document['type']}` is no component that is installed", near, below=())
    return None


def unreadable(file: Path, error: Exception) -> ConfigError:
    """Why a file cannot be read, without the lines around the place, which YAML's own message quotes."""
    if isinstance(error, yaml.YAMLError):
        mark = getattr(error, "problem_mark", None)
        place = f"{shown(file)}:{mark.line + 1}" if mark else shown(file)
        text = f"{place}: this is no YAML: {getattr(error, 'problem', 'it cannot be read')}"
        return ConfigError(text, fix="look at indentation, colons and quotes there; no tabs")
    if isinstance(error, UnicodeError):
        return ConfigError(f"{shown(file)}: this is no UTF-8", fix="save it as UTF-8")
    return ConfigError(
        f"{shown(file)} cannot be read ({getattr(error, 'strerror', '')})", fix="give the user read permission"
    )


def no_mapping(file: Path) -> ConfigError | None:
    """The error for a file without any component, or with a document that is none; else None."""
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    fix = "write `type:` and `attributes:` (docs/quick-start.md), or remove the file"
    if all(document is None for document in documents):
        return ConfigError(f"{shown(file)}: the file is empty", fix=fix)
    if not all(document is None or isinstance(document, dict) for document in documents):
        return ConfigError(f"{shown(file)}: a document is no component", fix=fix)
    return None


def _repeated(node: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """The names that come twice in a mapping, with the lines (from 1) of both."""
    if isinstance(node, yaml.MappingNode):
        keys = [
            key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge"
        ]
        counts = Counter((key.tag, key.value) for key in keys)
        for tag, name in (each for each, count in counts.items() if count > 1):
            lines = [key.start_mark.line + 1 for key in keys if (key.tag, key.value) == (tag, name)]
            yield name, lines[0], lines[1]
    children = node.value if isinstance(node, yaml.SequenceNode) else ()
    if isinstance(node, yaml.MappingNode):
        children = [value for _, value in node.value]
    for child in children:
        yield from _repeated(child)
