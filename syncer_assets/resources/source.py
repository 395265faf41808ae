"""A source database as a Dagster resource."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
import pydantic

from .environment import secret

if TYPE_CHECKING:
    from ..sources.base import Source


def source_resource(source: str) -> str:
    """The resource key of a source."""
    return f"source__{source}"


class SourceResource(dg.ConfigurableResource):
    """How to reach a source. The DSN itself is never part of Dagster's config: it is read when a connection opens."""

    name: str = pydantic.Field(description="The source's name in the YAML.")
    type: str = pydantic.Field(description="The kind of database: postgres, mysql, ...")
    dsn_env: str = pydantic.Field(description="The name of the environment variable that holds the DSN.")
    options: dict[str, str] = pydantic.Field(default={}, description="Settings of the adapter; no secrets.")

    @contextmanager
    def open(self) -> Iterator["Source"]:
        """The opened source, closed at the end. Raises ConfigError if the variable is not set, or DbError."""
        from ..sources.registry import open_source

        source = open_source(self.name, self.type, secret(self.dsn_env, f"source {self.name!r}"), **self.options)
        try:
            yield source
        finally:
            source.close()
