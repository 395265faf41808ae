"""Rules of the YAML that no single field can tell: names that must exist, fields that must fit one another."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..assets.names import python_name
from ..model.errors import ConfigError
from ..model.partition import overlapping
from ..model.table import own_name
from .entries import TableEntry, names
from .failover_entry import failover_problems
from .problems import Problem, did_you_mean
from .redshift_rules import storage_problems, warehouse_problems
from .upkeep_entries import BloatEntry

if TYPE_CHECKING:
    from .connections import Connections
    from .table_sync import TableSync

RESERVED = ("lake", "source", "maintenance", "reconcile", "keyed_update")


def connection_problems(connections: "Connections", everywhere: Sequence["Connections"]) -> list[Problem]:
    """What is wrong with the connections."""
    from ..sources.registry import TYPES as SOURCE_TYPES
    from ..warehouses.registry import TYPES as WAREHOUSE_TYPES

    problems = []
    if len(everywhere) > 1:
        problems.append(Problem((), f"there are {len(everywhere)} syncer_assets.Connections", "merge them into one"))
    for field, entries, types in (
        ("sources", connections.sources, SOURCE_TYPES),
        ("warehouses", connections.warehouses, WAREHOUSE_TYPES),
    ):
        for name, entry in entries.items():
            if python_name(name) != name or name in RESERVED:
                problems.append(
                    Problem(
                        (field, name), f"{name!r} cannot be a name here", "use letters, digits and _, no reserved word"
                    )
                )
            if entry.type not in types:
                fix = did_you_mean(entry.type, types, f"use one of {', '.join(types)}")
                problems.append(Problem((field, name, "type"), f"the type {entry.type!r} is not known", fix))
    problems += warehouse_problems(connections)
    problems += _sizing_problems(connections)
    problems += failover_problems(connections)
    if connections.alerts and not (connections.alerts.webhook_env or connections.alerts.email):
        problems.append(Problem(("alerts",), "the alerts go nowhere", "name a `webhook_env`, an `email`, or both"))
    return problems


def _sizing_problems(connections: "Connections") -> list[Problem]:
    """Sizes that a database does not have, and databases that have none."""
    from ..warehouses.registry import SIZED_SOURCES
    from ..warehouses.sizing.redshift import capacity
    from ..warehouses.sizing.snowflake import size_name

    problems = []
    entries = [("sources", name, entry) for name, entry in connections.sources.items()]
    entries += [("warehouses", name, entry) for name, entry in connections.warehouses.items()]
    for field, name, entry in entries:
        if entry.sizing is None:
            continue
        path = (field, name, "sizing")
        if entry.type not in (SIZED_SOURCES if field == "sources" else ("snowflake", "redshift")):
            what = "source is not resized" if field == "sources" else "warehouse is not resized for a load"
            problems.append(Problem(path, f"a {entry.type} {what}", "remove `sizing`"))
            continue
        if entry.sizing.book and entry.type != "snowflake":
            fix = "remove it: sizes are written down in the database itself"
            problems.append(Problem((*path, "book"), f"a {entry.type} has no other database to write to", fix))
        if entry.type == "redshift" and "workgroup" not in entry.options:
            fix = "name the serverless workgroup in `options: {workgroup: ..}`, or remove `sizing`"
            problems.append(Problem(path, "a provisioned cluster is not resized for a load", fix))
        for number, step in enumerate(entry.sizing.sizes):
            try:
                (size_name if entry.type == "snowflake" else capacity)(str(step.size))
            except ConfigError as error:
                problems.append(Problem((*path, "sizes", number, "size"), error.message, error.fix or ""))
        if not entry.sizing.sizes:
            problems.append(Problem((*path, "sizes"), "there are no sizes", "write one, such as {size: MEDIUM}"))
    return problems


def table_problems(
    sync: "TableSync", connections: Sequence["Connections"], syncs: Sequence["TableSync"]
) -> list[Problem]:
    """What is wrong with one TableSync, given the deployment's connections and all of its TableSyncs."""
    if not connections:
        return [
            Problem(
                (), "there is no syncer_assets.Connections", "add one, in a defs.yaml of its own, to the same folder"
            )
        ]
    problems = []
    for field, name, known in (
        ("source", sync.source, list(connections[0].sources)),
        ("warehouse", sync.warehouse, list(connections[0].warehouses)),
    ):
        if name not in known:
            fix = did_you_mean(name, known, f"use one of {', '.join(known)}, or add it to Connections")
            problems.append(Problem((field,), f"the {field} {name!r} is not among the connections", fix))
    if sync.group and python_name(sync.group) != sync.group:
        problems.append(Problem(("group",), f"{sync.group!r} cannot be a group", "use letters, digits and _"))
    problems += owner_problems((), sync.owners or [], None)
    problems += _bloat_problems((), sync.bloat, None)
    problems += storage_problems(sync, connections[0])
    for number, entry in enumerate(sync.tables):
        problems += _entry_problems(("tables", number), entry)
    return problems + list(_clashes(sync, syncs, connections[0]))


def _entry_problems(path: tuple[str, int], entry: TableEntry) -> Iterator[Problem]:
    table, cursor, key = entry.table, names(entry.cursor), names(entry.key)

    def problem(field: str, message: str, fix: str) -> Problem:
        return Problem((*path, *field.split(".")), message, fix, table)

    if entry.load != "replace" and not cursor:
        yield problem("load", f"`load: {entry.load}` needs a cursor", "name a `cursor`, or use `load: replace`")
    if entry.null_cursor == "include" and entry.load == "append":
        yield problem(
            "null_cursor",
            "rows without a cursor are read each time, and `load: append` doubles them",
            "use `load: upsert`",
        )
    if entry.deletes == "soft" and entry.load == "replace":
        yield problem(
            "deletes",
            "`load: replace` deletes what a re-read does not bring, so nothing is left to mark",
            "use `deletes: hard`, or `load: upsert` with a cursor",
        )
    if entry.deletes in ("soft", "hard") and (hashed := [name for name in key if name in entry.columns.hash]):
        yield problem(
            "deletes",
            f"the key column {hashed[0]!r} is hashed, so a deleted row is not found in the warehouse",
            "leave the key plain, or use `deletes: detect`",
        )
    if entry.strategy == "range" and len(cursor) != 1:
        yield problem(
            "strategy", "`strategy: range` needs one integer cursor", "name one, or use `strategy: keyset` or `auto`"
        )
    if entry.workers > 1 and len(cursor) != 1:
        yield problem("workers", "several workers need one integer cursor", "name one, or remove `workers`")
    if entry.files.min_rows and entry.files.max_rows and entry.files.min_rows > entry.files.max_rows:
        yield problem("files.min_rows", "`min_rows` is above `max_rows`", "make it smaller")
    for field in ("name", "group"):
        value = getattr(entry, field)
        if value and python_name(value) != value:
            yield problem(field, f"{value!r} cannot be a {field}", "use letters, digits and _")
    yield from owner_problems(path, entry.owners or [], table)
    columns = entry.columns
    for field, hidden, others in (
        ("columns.hash", columns.hash, columns.exclude),
        ("columns.truncate", list(columns.truncate), columns.exclude),
        ("columns.mask", list(columns.mask), columns.exclude),
        ("columns.include", columns.include, columns.exclude),
    ):
        for name in hidden:
            if name in others:
                yield problem(field, f"the column {name!r} is also excluded", "keep it in one of the two")
    for field, hidden, others in (
        ("columns.truncate", columns.truncate, [*columns.hash, *columns.mask]),
        ("columns.mask", columns.mask, columns.hash),
    ):
        for name in hidden:
            if name in others:
                yield problem(field, f"the column {name!r} has another rule too", "keep it in one of them")
            if name in (*key, *cursor):
                yield problem(
                    field, f"by {name!r} rows are told apart or found: two could become one", "use `columns.hash`"
                )
    for name in key:
        if name in columns.exclude:
            yield problem("columns.exclude", f"the key column {name!r} is excluded", "hash it, or use another key")
        if columns.include and name not in columns.include:
            yield problem("columns.include", f"the key column {name!r} is left out", "include it")
    for index in entry.indexes:
        if bool(index.columns) == bool(index.expression):
            yield problem("indexes", "an index needs either `columns` or an `expression`", "write one of the two")
        for name in index.columns:
            if name in columns.exclude:
                yield problem("indexes", f"the indexed column {name!r} is excluded", "index another column")
    yield from _bloat_problems(path, entry.bloat, table)
    yield from _partition_problems(path, entry, cursor)


def _bloat_problems(
    path: tuple[str | int, ...], bloat: str | BloatEntry | None, table: str | None
) -> Iterator[Problem]:
    if isinstance(bloat, BloatEntry) and not bloat.is_in_order():
        fix = "write warn <= act <= error, in percent and in mb (30/100, 50/100, 70/1024 unless they are written)"
        yield Problem((*path, "bloat"), "a level of `bloat` is reached before a lower one", fix, table)


def _partition_problems(path: tuple[str, int], entry: TableEntry, cursor: tuple[str, ...]) -> Iterator[Problem]:
    cut = entry.partitions
    if cut is None or cut.by == "none":
        return

    def problem(field: str | None, message: str, fix: str) -> Problem:
        return Problem((*path, "partitions", *([field] if field else [])), message, fix, entry.table)

    if not cursor:
        yield problem(None, "partitions need a cursor", "name a `cursor`, or drop `partitions`")
    if cut.by == "time":
        try:
            cut.to_scheme(cursor).first_key()
        except ConfigError as error:
            yield problem("start", error.message, error.fix or "")
    if cut.by == "prefix" and bool(cut.prefixes) == bool(cut.length):
        yield problem(None, "partitions by prefix need either `prefixes` or `length`", "write one of the two")
    for longer, shorter in overlapping(cut.prefixes)[:1]:
        yield problem("prefixes", f"{longer!r} lies within {shorter!r}: both would read its rows", "remove one of them")
    strangers = {
        "start": cut.start is not None and cut.by != "time",
        "prefixes": bool(cut.prefixes) and cut.by != "prefix",
        "length": cut.length is not None and cut.by != "prefix",
        "column": cut.column is not None and cut.by != "prefix",
    }
    for field, is_strange in strangers.items():
        if is_strange:
            yield problem(field, f"`{field}` means nothing for `by: {cut.by}`", "remove it, or change `by`")


def owner_problems(path: tuple[str | int, ...], owners: Sequence[str], table: str | None) -> Iterator[Problem]:
    for number, owner in enumerate(owners):
        if not (owner.startswith("team:") or "@" in owner):
            yield Problem(
                (*path, "owners", number), f"{owner!r} is no owner", 'write an e-mail address, or "team:name"', table
            )


def _clashes(sync: "TableSync", syncs: Sequence["TableSync"], connections: "Connections") -> Iterator[Problem]:
    """Tables that come twice, and names or targets that two tables would share. The later one is told."""
    from .table_sync import table_names

    own_names = table_names(sync.source, syncs)
    tables: set[tuple[str, str]] = set()
    taken_names: set[tuple[str, str]] = set()
    targets: set[tuple[str, ...]] = set()
    folding = {name for name, entry in connections.warehouses.items() if entry.type == "snowflake"}
    for other in syncs:
        for number, entry in enumerate(other.tables):
            table, path = (other.source, entry.table), ("tables", number)
            name = entry.name or (own_names.get(entry.table, "") if other.source == sync.source else "")
            source = connections.sources.get(other.source)
            target = (other.warehouse, other.target_schema, own_name(entry.table, source.type if source else ""))
            place = tuple(map(str.upper, target)) if other.warehouse in folding else target
            if other is sync:
                if table in tables:
                    yield Problem((*path, "table"), "the table is there twice", "remove one of the two", entry.table)
                elif name and (other.source, name) in taken_names:
                    yield Problem(
                        path,
                        f"another table of the source is named {name!r} too",
                        "give one of them a `name`",
                        entry.table,
                    )
                elif place in targets:
                    yield Problem(
                        (*path, "table"),
                        f"another table is loaded into {'.'.join(target)} too",
                        "give its TableSync another `schema`",
                        entry.table,
                    )
            tables.add(table)
            taken_names.add((other.source, name))
            targets.add(place)
        if other is sync:
            return
