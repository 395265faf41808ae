"""Opens a warehouse by the `type` of its YAML entry."""

from ..model.errors import ConfigError
from .base import Warehouse

TYPES = ("postgres",)


def open_warehouse(name: str, type: str, dsn: str, **options: str) -> Warehouse:
    """The warehouse `name`. Drivers are imported here, not at module level; `options` are the adapter's settings."""
    if type == "postgres":
        from .postgres import PostgresWarehouse

        return PostgresWarehouse(name, dsn, settings=options or None)
    raise ConfigError(f"warehouse {name!r} has the unknown type {type!r}", fix=f"use one of {', '.join(TYPES)}")
