"""The lists of APIs in `syncer status`: what was read of each, and its red checks. Asks no API."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .work import title_of

if TYPE_CHECKING:
    from ..assets.api import ApiList
    from ..sync.api.status import ListPartition


@dataclass(frozen=True)
class ListMarks:
    """A list, its partitions that were read, and the red checks of each. `error` says why nothing is known."""

    source: "ApiList"
    partitions: "Sequence[ListPartition]" = ()
    red: dict[str, list[str]] = field(default_factory=dict)
    error: str | None = None

    @property
    def title(self) -> str:
        return title_of(self.source)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.partitions)

    def to_json(self) -> Iterator[dict[str, object]]:
        """A row a partition."""
        for part in self.partitions:
            red = self.red.get(part.partition, [])
            yield {"list": self.title, **asdict(part), "captured_at": part.captured_at.isoformat(), "red_checks": red}
        if not self.partitions:
            yield {"list": self.title, "partition": None, "never_read": self.error is None, "error": self.error}


def lists_of(sources: "Sequence[ApiList]") -> list[ListMarks]:
    """How each list is."""
    reds = _red_checks(sources)
    found = []
    for source, red in zip(sources, reds, strict=True):
        try:
            found.append(ListMarks(source, _partitions(source), red))
        except SyncError as error:
            found.append(ListMarks(source, (), red, str(error)))
    return found


def _partitions(source: "ApiList") -> "list[ListPartition]":
    from ..sync.api.status import list_status

    files = source.existing_files()
    return [] if files is None else list_status(files, source.api.name, source.endpoint)


def _red_checks(sources: "Sequence[ApiList]") -> list[dict[str, list[str]]]:
    """Empty without DAGSTER_HOME: nothing remembers them."""
    from ..assets.api import api_check_specs
    from ..assets.red_checks import red_checks_of_asset
    from .execution import open_instance

    if not os.environ.get("DAGSTER_HOME") or not sources:
        return [{} for _ in sources]
    with open_instance() as instance:
        return [
            red_checks_of_asset(
                instance, [spec.key for spec in api_check_specs(source)], partitioned=source.is_partitioned
            )
            for source in sources
        ]
