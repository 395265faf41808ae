"""Where a field stands in a YAML file. Dagster's own look-up knows the line of a list, not of its entry."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

Step = str | int


def documents(file: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """The mappings among a file's documents, with their numbers. Raises yaml.YAMLError."""
    for number, document in enumerate(yaml.safe_load_all(file.read_text(encoding="utf-8"))):
        if isinstance(document, dict):
            yield number, document


def line_of(file: Path, document: int, path: Sequence[Step]) -> int:
    """The line (from 1) of the field at `path`, or of the nearest thing around it that is there."""
    nodes = [node for node in yaml.compose_all(file.read_text(encoding="utf-8"), yaml.SafeLoader) if node is not None]
    if document >= len(nodes):
        return 1
    place = node = nodes[document]
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        place, node = found
    return place.start_mark.line + 1


def _child(node: yaml.Node, step: Step) -> tuple[yaml.Node, yaml.Node] | None:
    """Where a child stands (at its key, if it has one), and the child."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None
