"""The names that a shell completes: read from the YAML, without loading the definitions, which takes seconds."""

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SHIPPED = Path(__file__).parents[1] / "defs"

Completer = Callable[..., list[str]]


def completed_by(action: argparse.Action, completer: Completer) -> None:
    """Lets argcomplete complete the action's value."""
    action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks for it


def tables(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The tables of the folder that --defs or SYNCER_DEFS names."""
    entries = [attributes.get("tables") for attributes in _attributes(parsed_args)]
    found = [entry.get("table") for each in entries if isinstance(each, list) for entry in each]
    return sorted({name for name in found if isinstance(name, str)})


def sources(parsed_args: argparse.Namespace, **_: object) -> list[str]:
    """The sources of its connections."""
    return sorted({name for attributes in _attributes(parsed_args) for name in attributes.get("sources") or ()})


def _attributes(parsed_args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Of each component. A file that cannot be read completes nothing; the command itself tells why."""
    import yaml

    folder = parsed_args.defs or os.environ.get("SYNCER_DEFS") or SHIPPED
    for path in sorted(Path(folder).rglob("*.yaml")):
        try:
            documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for document in documents:
            if isinstance(document, dict) and isinstance(document.get("attributes"), dict):
                yield document["attributes"]
