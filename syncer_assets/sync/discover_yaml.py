"""Proposals as the YAML of DESIGN 8, with what a person should know as comments."""

import json
import re
from collections.abc import Sequence

from ..model.table import TableSpec, own_name
from .discover import Proposal

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}
WIDTH = 112
TEMPLATE = ("{{", "{%", "{#")
"""Where a template of Jinja begins."""


def to_yaml(source: str, warehouse: str, schema: str, proposals: Sequence[Proposal], head: Sequence[str] = ()) -> str:
    """A `defs.yaml` with a TableSync for each schema of the warehouse that its tables need: tables of one name cannot
    share one. Lines that a person should look at begin with `# CHECK`."""
    first, *others = _by_schema(schema, proposals).items()
    texts = [_document(source, warehouse, *first, [f"# {line}" for line in head])]
    for name, entries in others:
        tables = ", ".join(own_name(each.spec.table, "") for each in entries)
        texts.append(_document(source, warehouse, name, entries, _comment(f"CHECK schema: {schema} has {tables}")))
    return "---\n".join(texts)


def _by_schema(schema: str, proposals: Sequence[Proposal]) -> dict[str, list[Proposal]]:
    """The tables by the warehouse's schema: those of `public` keep the one that is asked for."""
    chosen: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for proposal in sorted(proposals, key=lambda each: not each.spec.table.lower().startswith("public.")):
        table, wanted = proposal.spec.table, schema
        if proposal.refused is None:
            own, number = re.sub(r"\W+", "_", table.partition(".")[0].lower()), 1
            while (wanted, own_name(table, "")) in taken:
                wanted, number = f"{schema}_{own}{number if number > 1 else ''}", number + 1
            taken.add((wanted, own_name(table, "")))
        chosen[table] = wanted
    found: dict[str, list[Proposal]] = {schema: []}
    for proposal in proposals:
        found.setdefault(chosen[proposal.spec.table], []).append(proposal)
    return found


def _document(source: str, warehouse: str, schema: str, proposals: Sequence[Proposal], head: Sequence[str]) -> str:
    lines = [
        *head,
        "type: syncer_assets.TableSync",
        "attributes:",
        f"  source: {scalar(source)}",
        f"  warehouse: {scalar(warehouse)}",
        f"  schema: {scalar(schema)}",
        "  tables:"
        if any((proposal.refused or _as_template(proposal.spec)) is None for proposal in proposals)
        else "  tables: []",
    ]
    for proposal in proposals:
        lines += [f"    {line}".rstrip() for line in entry(proposal)]
    return "\n".join(lines) + "\n"


def entry(proposal: Proposal) -> list[str]:
    """The lines of one table, unindented."""
    spec = proposal.spec
    refused = proposal.refused or _as_template(spec)
    if refused is not None:
        return _comment(f"LEFT OUT {spec.table}: {refused}")
    comments = [f"about {proposal.rows:,} rows", *proposal.notes, *(f"CHECK {risk.text}" for risk in proposal.warnings)]
    fields = [f"{name}: {value}" for name, value in _fields(spec)]
    return [
        *(line for comment in comments for line in _comment(comment)),
        f"- {fields[0]}",
        *(f"  {field}" for field in fields[1:]),
    ]


def _as_template(spec: TableSpec) -> str | None:
    """Why a table cannot be written down: Dagster fills in a name that reads as a template, from the environment."""
    names = [name for name in (spec.table, *spec.key, *spec.cursor) if any(mark in name for mark in TEMPLATE)]
    return f"the name {names[0]!r} would be read as a template: make a view of it by other names" if names else None


def scalar(text: str) -> str:
    """A string as YAML: plain where nothing could read it as something else, double-quoted otherwise."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _fields(spec: TableSpec) -> list[tuple[str, str]]:
    default = TableSpec(source=spec.source, table=spec.table)
    fields = [("table", scalar(spec.table))]
    if spec.key:
        fields.append(("key", _names(spec.key)))
    if spec.cursor:
        fields.append(("cursor", scalar(spec.cursor[0]) if len(spec.cursor) == 1 else _names(spec.cursor)))
    if spec.cursor_zone:
        fields.append(("cursor_zone", json.dumps(spec.cursor_zone)))
    if spec.null_cursor != default.null_cursor:
        fields.append(("null_cursor", spec.null_cursor))
    scheme = spec.partitions
    if scheme.by == "time":
        fields.append(("partitions", f"{{by: time, every: {scheme.every}, start: {json.dumps(scheme.start)}}}"))
    elif scheme.by == "id":
        fields.append(("partitions", f"{{by: id, size: {scheme.size}}}"))
    fields.append(("load", spec.load))
    return fields


def _names(names: Sequence[str]) -> str:
    return f"[{', '.join(scalar(name) for name in names)}]"


def _comment(text: str) -> list[str]:
    """A comment, wrapped; what a catalogue says may hold line breaks, which must not end it."""
    lines, line = [], ""
    for word in "".join(letter if letter.isprintable() else " " for letter in text).split():
        if line and len(line) + len(word) >= WIDTH:
            lines.append(line)
            line = " "
        line = f"{line} {word}" if line else word
    return [f"# {line}" for line in [*lines, line]]
