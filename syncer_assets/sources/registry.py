"""Opens a source by the `type` of its YAML entry."""

from ..model.errors import ConfigError
from .base import Source

TYPES = ("postgres", "mysql", "snowflake")


def open_source(name: str, type: str, dsn: str, **options: str) -> Source:
    """The source `name`. Drivers are imported here, not at module level; `options` are the adapter's settings."""
    if type == "postgres":
        from .postgres import PostgresSource

        return PostgresSource(name, dsn, settings=options or None)
    if type == "mysql":
        from .mysql import MySQLSource

        return MySQLSource(name, dsn, settings=options or None)
    if type == "snowflake":
        from .snowflake import SnowflakeSource

        return SnowflakeSource(name, dsn, settings=options or None)
    raise ConfigError(f"source {name!r} has the unknown type {type!r}", fix=f"use one of {', '.join(TYPES)}")
