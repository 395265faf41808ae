"""Opens a source by the `type` of its YAML entry."""

from ..drivers import tls
from ..model.errors import ConfigError
from .base import Source

TYPES = ("postgres", "mysql", "snowflake")


def open_source(name: str, type: str, dsn: str, *, insecure: bool = False, **options: str) -> Source:
    """The source `name`. Drivers are imported here, not at module level; `options` are the adapter's settings.

    Raises ConfigError where the DSN asks for less than a verified TLS to another machine, unless `insecure`."""
    dsn = tls.verified(type, dsn, f"source {name}", insecure=insecure)
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
