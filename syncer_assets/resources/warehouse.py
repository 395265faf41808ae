"""A warehouse as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import pydantic

from .environment import secret

if TYPE_CHECKING:
    from ..warehouses.base import Warehouse


def warehouse_resource(warehouse: str) -> str:
    """The resource key of a warehouse."""
    return f"warehouse__{warehouse}"


class WarehouseResource(dg.ConfigurableResource):
    """How to reach a warehouse. The DSN is read when a connection opens, as with sources."""

    name: str = pydantic.Field(description="The warehouse's name in the YAML.")
    type: str = pydantic.Field(description="The kind of warehouse: postgres, redshift, snowflake.")
    dsn_env: str = pydantic.Field(description="The name of the environment variable that holds the DSN.")
    options: dict[str, str] = pydantic.Field(default={}, description="Settings of the adapter; no secrets.")

    @contextmanager
    def open(self) -> Iterator["Warehouse"]:
        """The opened warehouse, closed at the end. Raises ConfigError if the variable is not set, or DbError."""
        from ..warehouses.registry import open_warehouse

        dsn = secret(self.dsn_env, f"warehouse {self.name!r}")
        warehouse = open_warehouse(self.name, self.type, dsn, **self.options)
        try:
            yield warehouse
        finally:
            warehouse.close()
