"""Opens a warehouse by the `type` of its YAML entry."""

from typing import TYPE_CHECKING

from ..drivers import tls
from ..model.errors import ConfigError
from ..model.sizing import SizeRules
from .base import Warehouse
from .files import FileWarehouse

if TYPE_CHECKING:
    from .sizing import Sizer
    from .snowflake.session import Opener

TYPES = ("postgres", "redshift", "snowflake")
SIZED_SOURCES = ("snowflake",)


def open_warehouse(
    name: str,
    type: str,
    dsn: str,
    *,
    sizing: SizeRules | None = None,
    snowflake_opener: "Opener | None" = None,
    insecure: bool = False,
    **options: str,
) -> Warehouse:
    """The warehouse `name`. Drivers are imported here, not at module level; `options` are the adapter's settings.

    `snowflake_opener` opens sessions of Snowflake in the connector's place: Dagster's resource does. Raises ConfigError
    where the DSN asks for less than a verified TLS to another machine, unless `insecure`."""
    dsn = tls.verified(type, dsn, f"warehouse {name}", insecure=insecure)
    if type == "postgres":
        from .postgres import PostgresWarehouse

        return PostgresWarehouse(name, dsn, settings=options or None)
    if type == "snowflake":
        from .snowflake import SnowflakeWarehouse

        return SnowflakeWarehouse(name, dsn, options, snowflake_opener, sizing)
    if type == "redshift":
        from .redshift import RedshiftWarehouse

        return RedshiftWarehouse(name, dsn, sizing=sizing, **options)
    raise ConfigError(f"warehouse {name!r} has the unknown type {type!r}", fix=f"use one of {', '.join(TYPES)}")


def open_file_warehouse(name: str, type: str, dsn: str, *, insecure: bool = False, **options: str) -> FileWarehouse:
    """The warehouse `name` as one that takes files. Raises ConfigError where it takes none, and as `open_warehouse`."""
    dsn = tls.verified(type, dsn, f"warehouse {name}", insecure=insecure)
    if type == "postgres":
        from .postgres.files import PostgresFiles

        return PostgresFiles(name, dsn, settings=options or None)
    raise ConfigError(
        f"files cannot be loaded into warehouse {name!r} of type {type!r}", fix="use one of type postgres for them"
    )


def open_sizer(
    who: str,
    type: str,
    dsn: str,
    rules: SizeRules,
    *,
    snowflake_opener: "Opener | None" = None,
    insecure: bool = False,
) -> "Sizer":
    """The sizing of the compute that a source is read with. Raises ConfigError where it has none of its own."""
    if type not in SIZED_SOURCES:
        raise ConfigError(f"{who} of type {type} is not resized", fix="remove `sizing`")
    from .snowflake.session import Sessions
    from .snowflake.sizes import sizer

    return sizer(Sessions(who, tls.verified(type, dsn, who, insecure=insecure), opener=snowflake_opener), rules)
