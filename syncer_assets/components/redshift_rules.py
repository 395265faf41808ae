"""Rules of a warehouse entry that concern Redshift: how it is reached, and whence it can load."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .problems import Problem

if TYPE_CHECKING:
    from .connections import Connections, WarehouseEntry
    from .table_sync import TableSync

OPTIONS = frozenset({"iam_role", "workgroup", "region"})
STORAGE = frozenset({"sort_key", "distribution"})
"""The storage parameters that Redshift has; all others are PostgreSQL's."""


def warehouse_problems(connections: "Connections") -> Iterator[Problem]:
    """What is wrong with how the warehouses are reached, and with the lake that a Redshift is to load from."""
    for name, entry in connections.warehouses.items():
        path = ("warehouses", name)
        if not entry.dsn_env and not entry.connection:
            yield Problem(path, "nothing says how it is reached", "name a `dsn_env`")
        if entry.connection and entry.type != "redshift":
            yield Problem((*path, "connection"), f"`connection` means nothing for {entry.type}", "name a `dsn_env`")
        if entry.dsn_env and entry.connection:
            yield Problem((*path, "connection"), "there is a `dsn_env` as well", "keep one of the two")
        if entry.type == "redshift":
            yield from _redshift_problems(path, entry, connections.lake.url)


def storage_problems(sync: "TableSync", connections: "Connections") -> Iterator[Problem]:
    """Storage parameters that the table's warehouse does not have."""
    warehouse = connections.warehouses.get(sync.warehouse)
    if warehouse is None:
        return
    for number, entry in enumerate(sync.tables):
        for name, _ in entry.storage.to_storage():
            if (name in STORAGE) != (warehouse.type == "redshift"):
                yield Problem(
                    ("tables", number, "storage", name),
                    f"{name!r} means nothing to a warehouse of type {warehouse.type}",
                    "remove it",
                    entry.table,
                )


def _redshift_problems(path: tuple[str, str], entry: "WarehouseEntry", lake_url: str) -> Iterator[Problem]:
    if "{{" not in lake_url and not lake_url.startswith(("s3://", "s3a://")):
        yield Problem(
            (*path, "type"), f"Redshift loads from S3 only, and the lake is {lake_url}", "give the lake an s3:// url"
        )
    if not entry.options.get("iam_role"):
        yield Problem(
            (*path, "options"),
            "`iam_role` is missing, by which Redshift reads the lake",
            "write options: {iam_role: default}, or the ARN of a role",
        )
    for unknown in sorted(entry.options.keys() - OPTIONS):
        fix = f"Redshift takes {', '.join(sorted(OPTIONS))}"
        yield Problem((*path, "options"), f"the option {unknown!r} is not known", fix)
