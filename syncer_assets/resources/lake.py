"""The lake as a Dagster resource."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import dagster as dg
import pydantic

from ..model.backoff import Backoff

if TYPE_CHECKING:
    from ..sync.lake import Lake

LAKE_RESOURCE = "lake"


class LakeResource(dg.ConfigurableResource):
    """Where the lake is. Keys and endpoint come from the environment (`AWS_ACCESS_KEY_ID`, ...)."""

    url: str = pydantic.Field(description="file://, s3://bucket/prefix, az:// or gs://.")
    options: dict[str, str] = pydantic.Field(default={}, description="The object store's own options; no secrets.")
    failover: dict[str, Any] = pydantic.Field(default={}, description="How long to wait for it, see Backoff.")

    def open(self) -> "Lake":
        """The opened lake. Raises ConfigError or ObjectStoreError."""
        from ..sync.lake import open_lake

        return open_lake(self.url, Backoff(**self.failover), **self.options)


def is_there(url: str) -> bool:
    """False for a folder that is not there, which looking must not make; a bucket is there until it is asked."""
    return not url.startswith("file://") or Path(unquote(url.removeprefix("file://"))).expanduser().is_dir()
