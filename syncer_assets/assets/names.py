"""How assets, pools and partitions are named.

A table's asset is named for the table without its schema where that is unique in its source, else for schema and
table (`public_orders`), or for what `name:` in the YAML says. Characters that Dagster does not take become `_`.
Names are Dagster's only: lake and warehouse keep the table's own.
"""

import re
from collections import Counter
from collections.abc import Iterable

import dagster as dg

_VALID = re.compile(r"[^A-Za-z0-9_]")


def python_name(name: str) -> str:
    """A name as Dagster takes it for ops, groups, pools and key parts."""
    return _VALID.sub("_", name)


def asset_names(tables: Iterable[str]) -> dict[str, str]:
    """The asset name of each table of one source."""
    tables = list(tables)
    short = {table: python_name(table.rpartition(".")[2]) for table in tables}
    uses = Counter(short.values())
    return {table: short[table] if uses[short[table]] == 1 else python_name(table) for table in tables}


def source_key(source: str, name: str) -> dg.AssetKey:
    """The table in its database."""
    return dg.AssetKey(["source", source, name])


def lake_key(source: str, name: str) -> dg.AssetKey:
    """The table in the lake."""
    return dg.AssetKey(["lake", source, name])


def warehouse_key(warehouse: str, schema: str, name: str) -> dg.AssetKey:
    """The table in the warehouse."""
    return dg.AssetKey([warehouse, python_name(schema), name])


def maintenance_key(warehouse: str, schema: str, name: str) -> dg.AssetKey:
    """What is done to keep the warehouse's table in shape."""
    return dg.AssetKey(["maintenance", warehouse, python_name(schema), name])


def reconcile_key(warehouse: str, schema: str, name: str) -> dg.AssetKey:
    """The table's comparison with its source, and its repair."""
    return dg.AssetKey(["reconcile", warehouse, python_name(schema), name])


def sensor_name(source: str) -> str:
    """The sensor that asks a source for new rows."""
    return f"new_rows__{source}"


def pool(source: str, name: str) -> str:
    """The concurrency pool of a table's reads: how many of its partitions are read from the source at a time."""
    return f"sync__{source}__{name}"


def load_pool(source: str, name: str) -> str:
    """The pool of a table's loads and care. One at a time: of two loads of a target the older one would begin anew."""
    return f"load__{source}__{name}"


def partitions_name(source: str, name: str) -> str:
    """The name of a table's dynamic partitions."""
    return f"{source}__{name}"


def keyed_update_key(warehouse: str, name: str) -> dg.AssetKey:
    """A keyed update of a warehouse's table."""
    return dg.AssetKey(["keyed_update", warehouse, name])


def keyed_update_pool(warehouse: str, name: str) -> str:
    """The concurrency pool of a keyed update: its partitions share the connection limit one after the other."""
    return f"keyed_update__{warehouse}__{name}"


def raw_key(source: str, name: str) -> dg.AssetKey:
    """The raw table of an entity whose files are loaded."""
    return dg.AssetKey(["raw", source, name])


def core_key(source: str, name: str) -> dg.AssetKey:
    """The typed table that is made of a raw one."""
    return dg.AssetKey(["core", source, name])


def file_sensor_name(source: str) -> str:
    """The sensor that looks for new files."""
    return f"new_files__{source}"
