"""A warehouse as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
import pydantic

from ..model.backoff import Backoff
from .environment import secret

if TYPE_CHECKING:
    from ..warehouses.base import Warehouse
    from ..warehouses.files import FileWarehouse


def warehouse_resource(warehouse: str) -> str:
    """The resource key of a warehouse."""
    return f"warehouse__{warehouse}"


class WarehouseResource(dg.ConfigurableResource):
    """How to reach a warehouse. The DSN is read when a connection opens, as with sources."""

    name: str = pydantic.Field(description="The warehouse's name in the YAML.")
    type: str = pydantic.Field(description="The kind of warehouse: postgres, redshift, snowflake.")
    dsn_env: str = pydantic.Field(default="", description="The name of the environment variable that holds the DSN.")
    arguments: dict[str, str] = pydantic.Field(default={}, description="In its place: libpq's, without the password.")
    password_env: str = pydantic.Field(default="", description="The name of the variable of their password.")
    options: dict[str, str] = pydantic.Field(default={}, description="Settings of the adapter; no secrets.")
    failover: dict[str, Any] = pydantic.Field(default={}, description="How long to wait for it, see Backoff.")
    insecure: bool = pydantic.Field(default=False, description="Whether less than a verified TLS will do.")
    sizing: dict[str, Any] = pydantic.Field(default={}, description="Its size while a load runs, see SizeRules.")

    @property
    def backoff(self) -> Backoff:
        """How long to wait for it."""
        return Backoff(**self.failover)

    @contextmanager
    def open(self) -> Iterator["Warehouse"]:
        """The opened warehouse, closed at the end. Raises ConfigError if the variable is not set, or DbError."""
        from ..model.sizing import SizeRules
        from ..warehouses.registry import open_warehouse
        from .snowflake import opener

        dsn = self._dsn()
        rules = SizeRules.from_json(self.sizing) if self.sizing else None
        warehouse = open_warehouse(
            self.name,
            self.type,
            dsn,
            sizing=rules,
            snowflake_opener=opener,
            insecure=self.insecure,
            **self.options,
        )
        try:
            yield warehouse
        finally:
            warehouse.close()

    @contextmanager
    def open_files(self) -> Iterator["FileWarehouse"]:
        """The same as a warehouse of files. Raises ConfigError where it takes none."""
        from ..warehouses.registry import open_file_warehouse

        dsn = self._dsn()
        warehouse = open_file_warehouse(self.name, self.type, dsn, insecure=self.insecure, **self.options)
        try:
            yield warehouse
        finally:
            warehouse.close()

    @property
    def secret_env(self) -> str:
        """The variable that has to be set before the warehouse can be opened."""
        return self.dsn_env or self.password_env

    def _dsn(self) -> str:
        value = secret(self.secret_env, f"warehouse {self.name!r}")
        if not self.arguments:
            return value
        from psycopg.conninfo import make_conninfo

        return make_conninfo(**self.arguments, password=value)
