"""An endpoint of a misbehaving API, read into a folder."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from syncer_assets.model.api import Api, ApiLimits, ApiManifest, ApiReport, Endpoint, Paging
from syncer_assets.sync.api import extract_pages
from syncer_assets.sync.api.extract import head_of
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.misbehaving_api import MisbehavingApi

QUICK = Backoff(base_seconds=0.01, cap_seconds=0.05, budget_seconds=1.0)
FAST = ApiLimits(requests_per_second=5_000, timeout_seconds=30)
PAGED = Endpoint(
    "orders",
    "/orders",
    records="data.items",
    id="id",
    total="meta.total",
    paging=Paging("page", "page", first=1, size_param="per_page", size=10),
)


@dataclass
class Rig:
    """`read` runs the endpoint once; the rest looks at what lies in the folder."""

    folder: Path
    endpoint: Endpoint = PAGED
    api: Api = field(default_factory=lambda: Api("crm", limits=FAST))
    secrets: Mapping[str, str] = field(default_factory=dict)
    backoff: Backoff = QUICK
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return open_lake(f"file://{self.folder}")

    def place(self, partition: str = "all") -> Place:
        return Place(self.api.name, self.endpoint.entity, partition)

    def read(self, server: MisbehavingApi, partition: str = "all", **more: Any) -> ApiReport:
        return extract_pages(
            self.lake,
            replace(self.api, backoff=self.backoff),
            self.endpoint,
            partition,
            base_url=server.url,
            secrets=self.secrets,
            run_id="run",
            emit=lambda event, **fields: self.events.append((event, fields)),
            **more,
        )

    def with_limits(self, **limits: Any) -> "Rig":
        return replace(self, api=replace(self.api, limits=replace(self.api.limits, **limits)))

    def manifest(self, partition: str = "all") -> ApiManifest | None:
        return head_of(self.lake, self.place(partition))

    def files(self) -> list[str]:
        """What a reader by pattern finds."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.jsonl.gz"))

    def lines(self, partition: str = "all") -> list[str]:
        """The records of the last manifest."""
        manifest = self.manifest(partition)
        packed = [
            gzip.decompress((self.folder / file.path).read_bytes()) for file in (manifest.files if manifest else ())
        ]
        return b"".join(packed).decode().split("\n")[:-1]

    def ids(self, partition: str = "all") -> list[int]:
        return [json.loads(line)["id"] for line in self.lines(partition)]

    def left(self) -> list[str]:
        """What is left of attempts."""
        return sorted(path.name for path in self.folder.rglob("_attempts/*/*"))
