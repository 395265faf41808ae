"""Rules of a KeyedUpdate that no single field can tell."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from ..assets.names import python_name
from ..model.keyed_update import is_one_select
from .problems import Problem, did_you_mean

if TYPE_CHECKING:
    from .connections import Connections
    from .keyed_update import KeyedUpdate
    from .table_sync import TableSync

SOURCE_TYPES, WAREHOUSE_TYPES = ("snowflake",), ("postgres",)


def keyed_problems(
    update: "KeyedUpdate",
    connections: Sequence["Connections"],
    updates: Sequence["KeyedUpdate"],
    syncs: Sequence["TableSync"],
) -> list[Problem]:
    """What is wrong with one KeyedUpdate, given the deployment's connections and its other components."""
    if not connections:
        return [
            Problem(
                (), "there is no syncer_assets.Connections", "add one, in a defs.yaml of its own, to the same folder"
            )
        ]
    found = [*_connection_problems(update, connections[0]), *_field_problems(update), *_query_problems(update)]
    return [*found, *_prefix_problems(update), *_clashes(update, updates, syncs)]


def _connection_problems(update: "KeyedUpdate", connections: "Connections") -> Iterator[Problem]:
    for field, name, known, types in (
        ("source", update.source, connections.sources, SOURCE_TYPES),
        ("warehouse", update.warehouse, connections.warehouses, WAREHOUSE_TYPES),
    ):
        if name not in known:
            fix = did_you_mean(name, list(known), f"use one of {', '.join(known)}, or add it to Connections")
            yield Problem((field,), f"the {field} {name!r} is not among the connections", fix)
        elif known[name].type not in types:
            message = f"a keyed update has no {field} of type {known[name].type!r}"
            yield Problem((field,), message, f"use one of type {', '.join(types)}, or a TableSync")


def _field_problems(update: "KeyedUpdate") -> Iterator[Problem]:
    if python_name(update.name) != update.name or not update.name:
        yield Problem(("name",), f"{update.name!r} cannot be a name", "use letters, digits and _")
    if update.group and python_name(update.group) != update.group:
        yield Problem(("group",), f"{update.group!r} cannot be a group", "use letters, digits and _")
    if not update.to_spec().key:
        yield Problem(("key",), "there is no key", "name the columns that rows are matched by")
    for number, owner in enumerate(update.owners):
        if not (owner.startswith("team:") or "@" in owner):
            fix = 'write an e-mail address, or "team:name"'
            yield Problem(("owners", number), f"{owner!r} is no owner", fix)
    for number, index in enumerate(update.indexes):
        if bool(index.columns) == bool(index.expression):
            message = "an index needs either `columns` or an `expression`"
            yield Problem(("indexes", number), message, "write one of the two")


def _query_problems(update: "KeyedUpdate") -> Iterator[Problem]:
    if (update.table is None) == (update.query is None):
        yield Problem(("table",), "a keyed update reads either a `table` or a `query`", "write one of the two")
    if update.prefix.expression and not (update.query and "{prefix}" in update.query):
        message = "`expression` is what `{prefix}` in a query tests, and there is none"
        yield Problem(("prefix", "expression"), message, "write {prefix} into the query, or remove it")
    if update.query is None:
        return
    if not is_one_select(update.query):
        yield Problem(("query",), "the query is not one SELECT", "begin it with SELECT or WITH, and write no semicolon")
    bounds = [bound for bound in ("{since}", "{until}") if bound in update.query]
    if bounds and update.window is None:
        yield Problem(("query",), f"the query has {bounds[0]}, and there is no `window`", "declare the window")
    if "{until}" in bounds and (update.window is None or update.window.ahead_days is None):
        yield Problem(("query",), "the query has {until}, and the window is open above", "declare `ahead_days`")
    if "{until}" in bounds and update.changed:
        message = "the query has {until}, which hides rows that enter the window without a change from `changed`"
        yield Problem(("query",), message, "leave {until} out: the window is a condition on the result, too")


def _prefix_problems(update: "KeyedUpdate") -> Iterator[Problem]:
    texts = sorted(update.prefix.list_)
    for shorter, longer in pairwise(texts):
        if longer.startswith(shorter):
            message = "a prefix of the list begins with another one, so that rows would lie in both"
            yield Problem(("prefix", "list"), message, "remove one of the two")
            return
    if texts and update.partitions > len(texts):
        yield Problem(("partitions",), "there are more partitions than prefixes", "declare fewer")


def _clashes(
    update: "KeyedUpdate", updates: Sequence["KeyedUpdate"], syncs: Sequence["TableSync"]
) -> Iterator[Problem]:
    """The later one of two with the same name is told; a table that a TableSync loads is not this one's to change."""
    for other in updates:
        if other is update:
            break
        if (other.warehouse, other.name) == (update.warehouse, update.name):
            yield Problem(("name",), f"another KeyedUpdate is named {update.name!r} too", "name it otherwise")
    target = update.to_spec().target
    for sync in syncs:
        loaded = {f"{sync.target_schema}.{entry.table.rpartition('.')[2]}" for entry in sync.tables}
        if sync.warehouse == update.warehouse and target.name in loaded:
            message = f"{target.name} is loaded by a TableSync, which would write its own values again"
            yield Problem(
                ("target",), message, "update another table, or take the columns out of the one that it loads"
            )
