"""The lake as a Dagster resource."""

from typing import TYPE_CHECKING

import dagster as dg
import pydantic

if TYPE_CHECKING:
    from ..sync.lake import Lake

LAKE_RESOURCE = "lake"


class LakeResource(dg.ConfigurableResource):
    """Where the lake is. Keys and endpoint come from the environment (`AWS_ACCESS_KEY_ID`, ...)."""

    url: str = pydantic.Field(description="file://, s3://bucket/prefix, az:// or gs://.")
    options: dict[str, str] = pydantic.Field(default={}, description="The object store's own options; no secrets.")

    def open(self) -> "Lake":
        """The opened lake. Raises ConfigError or ObjectStoreError."""
        from ..sync.lake import open_lake

        return open_lake(self.url, **self.options)
