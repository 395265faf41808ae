"""A source database as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
import pydantic

from ..model.backoff import Backoff
from .environment import secret

if TYPE_CHECKING:
    from ..sources.base import Source
    from ..warehouses.sizing import Sizer


def source_resource(source: str) -> str:
    """The resource key of a source."""
    return f"source__{source}"


class SourceResource(dg.ConfigurableResource):
    """How to reach a source. The DSN itself is never part of Dagster's config: it is read when a connection opens."""

    name: str = pydantic.Field(description="The source's name in the YAML.")
    type: str = pydantic.Field(description="The kind of database: postgres, mysql, ...")
    dsn_env: str = pydantic.Field(description="The name of the environment variable that holds the DSN.")
    options: dict[str, str] = pydantic.Field(default={}, description="Settings of the adapter; no secrets.")
    failover: dict[str, Any] = pydantic.Field(default={}, description="How long to wait for it, see Backoff.")
    insecure: bool = pydantic.Field(default=False, description="Whether less than a verified TLS will do.")
    sizing: dict[str, Any] = pydantic.Field(default={}, description="Its size while it is read, see SizeRules.")

    @property
    def backoff(self) -> Backoff:
        """How long to wait for it."""
        return Backoff(**self.failover)

    @contextmanager
    def open(self) -> Iterator["Source"]:
        """The opened source, closed at the end. Raises ConfigError if the variable is not set, or DbError."""
        from ..sources.registry import open_source

        dsn = secret(self.dsn_env, f"source {self.name!r}")
        source = open_source(self.name, self.type, dsn, insecure=self.insecure, **self.options)
        try:
            yield source
        finally:
            source.close()

    def sizer(self) -> "Sizer | None":
        """Who resizes its compute; None where no sizing is declared. Raises ConfigError."""
        if not self.sizing:
            return None
        from ..model.sizing import SizeRules
        from ..warehouses.registry import open_sizer
        from .snowflake import opener

        dsn, rules = secret(self.dsn_env, f"source {self.name!r}"), SizeRules.from_json(self.sizing)
        return open_sizer(f"source {self.name}", self.type, dsn, rules, snowflake_opener=opener, insecure=self.insecure)
