"""A deployment of many small tables: in a real PostgreSQL, and as the YAML that syncs them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import TableSpec
from syncer_assets_tests.components.deployments import write_defs

SIZE = 1_000
"""Ids of a partition of the tables that are cut by id."""

_TABLE = """
CREATE TABLE {name} (id bigserial PRIMARY KEY, status text, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON {name} (updated_at);
INSERT INTO {name} (status, updated_at) SELECT 'new', now() - interval '1 hour' FROM generate_series(1, {rows});
"""
_ENTRIES = (
    "{{table: public.{name}, cursor: id, partitions: {{by: id, size: {size}}}, settle_seconds: 0}}",
    "{{table: public.{name}, cursor: id, settle_seconds: 0}}",
    "{{table: public.{name}, cursor: updated_at, late_commit_lag: 1s, settle_seconds: 0}}",
    "{{table: public.{name}, cursor: updated_at, late_commit_lag: 1s, settle_seconds: 0,"
    ' partitions: {{by: time, every: month, start: "2026-01-01"}}}}',
)


def names(count: int) -> list[str]:
    """The tables' names."""
    return [f"t{number:04}" for number in range(count)]


def create_tables(count: int, rows: int) -> str:
    """The script that makes them, each with so many rows."""
    return "".join(_TABLE.format(name=name, rows=rows) for name in names(count))


def entries(count: int) -> str:
    """The entries of a TableSync: by id and by time, cut and whole, in turn."""
    return "\n".join(
        f"- {_ENTRIES[number % len(_ENTRIES)].format(name=name, size=SIZE)}" for number, name in enumerate(names(count))
    )


def write_many(folder: Path, count: int) -> Path:
    """A folder of definitions of so many tables."""
    return write_defs(folder, entries(count))


def specs(count: int) -> list[TableSpec]:
    """The same tables as the engine takes them."""
    shapes = (
        TableSpec("shop", "", cursor=("id",), partitions=PartitionScheme(by="id", size=SIZE)),
        TableSpec("shop", "", cursor=("id",)),
        TableSpec("shop", "", cursor=("updated_at",), late_commit_lag=timedelta(seconds=1)),
        TableSpec(
            "shop",
            "",
            cursor=("updated_at",),
            late_commit_lag=timedelta(seconds=1),
            partitions=PartitionScheme(by="time", every="month", start="2026-01-01"),
        ),
    )
    return [
        replace(shapes[number % len(shapes)], table=f"public.{name}", settle_seconds=0.0)
        for number, name in enumerate(names(count))
    ]
