"""What reading the lists of APIs brought: a manifest is a read of a partition."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePosixPath

from ...model.api import ApiManifest, Endpoint
from ...model.errors import SyncError
from ..api.extract import manifest_at
from ..lake import Lake, Place

AT_ONCE = 8


@dataclass(frozen=True)
class ListFiles:
    """A list of an API. `open` gives the store of its files, or None where that is not there yet."""

    title: str
    source: str
    endpoint: Endpoint
    open: Callable[[], Lake | None]


@dataclass(frozen=True)
class ListReport:
    """The reads of a list: what they received, and what they wrote. A read that found the same records writes none."""

    title: str
    reads: int = 0
    records: int = 0
    pages: int = 0
    files: int = 0
    bytes: int = 0
    last_read_at: datetime | None = None
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        at = self.last_read_at.isoformat() if self.last_read_at else None
        return {**asdict(self), "list": self.title, "last_read_at": at}


def list_reports(lists: Iterable[ListFiles], *, since: datetime | None = None) -> list[ListReport]:
    """The reads of these lists `since` a time."""
    return [_list(each, since) for each in lists]


def _list(wanted: ListFiles, since: datetime | None) -> ListReport:
    try:
        lake = wanted.open()
        reads = _reads(lake, wanted, since) if lake else []
    except SyncError as error:
        return ListReport(wanted.title, error=str(error))
    written = [file for manifest in reads for file in manifest.files if _is_new(file.path, manifest.seq)]
    return ListReport(
        wanted.title,
        reads=len(reads),
        records=sum(manifest.rows for manifest in reads),
        pages=sum(manifest.pages for manifest in reads),
        files=len(written),
        bytes=sum(file.bytes for file in written),
        last_read_at=max((manifest.captured_at for manifest in reads), default=None),
    )


def _reads(lake: Lake, wanted: ListFiles, since: datetime | None) -> list[ApiManifest]:
    places = [
        Place(wanted.source, wanted.endpoint.entity, key)
        for key in lake.partitions(wanted.source, wanted.endpoint.entity)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [
            manifest for part in pool.map(lambda place: list(_recent(lake, place, since)), places) for manifest in part
        ]


def _recent(lake: Lake, place: Place, since: datetime | None) -> Iterator[ApiManifest]:
    for seq in reversed(lake.seqs(place)):
        manifest = manifest_at(lake, place, seq)
        if since is not None and manifest.captured_at < since:
            return
        yield manifest


def _is_new(path: str, seq: int) -> bool:
    """Files are named after the manifest that was the first to name them."""
    return PurePosixPath(path).name.startswith(f"{seq:08d}-")
