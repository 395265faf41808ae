"""What a run would ask an API for: partitions, windows, pages. Nothing is asked, and nothing is written."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from ...model.api import ApiManifest, Endpoint, Span
from ...sources.rest import first_position, relative_request
from ..lake import Lake, Place
from .attempt import usable_attempt
from .extract import due_partitions, head_of, is_closed


@dataclass(frozen=True)
class ListPlan:
    """A partition that would be read. `pages` are those of its last read, None if there was none; `pages_kept` are
    there already, of a run that failed. `first` is the first request, without the API's address."""

    partition: str
    reason: str
    windows: int
    pages: int | None
    pages_kept: int
    first: str


def plan_list(lake: Lake | None, source: str, endpoint: Endpoint, partition: str | None = None) -> list[ListPlan]:
    """What is not closed, or the partition that a person asks for. `lake` is the store of the files, None where it is
    not there yet. Raises ObjectStoreError, LakeCorrupt."""
    keys = endpoint.partitions.keys(None, datetime.now(UTC))
    if partition is not None:
        keys = [key for key in keys if key == partition]
    elif lake is not None:
        keys = due_partitions(lake, source, endpoint)
    asked = partition is not None
    return [_plan(lake, Place(source, endpoint.entity, key), endpoint, asked=asked) for key in keys]


def _plan(lake: Lake | None, place: Place, endpoint: Endpoint, *, asked: bool) -> ListPlan:
    head = head_of(lake, place) if lake is not None else None
    kept = usable_attempt(lake, place, head.seq + 1 if head else 1, endpoint) if lake is not None else None
    spans = endpoint.spans(place.partition)
    return ListPlan(
        partition=place.partition,
        reason=_reason(endpoint, head, asked=asked),
        windows=len(spans),
        pages=head.pages if head else None,
        pages_kept=sum(step.pages for step in kept.steps()) if kept else 0,
        first=_first(endpoint, spans[0]),
    )


def _reason(endpoint: Endpoint, head: ApiManifest | None, *, asked: bool) -> str:
    if head is None:
        return "never read"
    if is_closed(endpoint, head):
        return "asked for" if asked else "left half done"
    if endpoint.partitions.by == "none":
        return "it never closes"
    return "the endpoint changed" if head.fingerprint != endpoint.fingerprint else "read before it was final"


def _first(endpoint: Endpoint, span: Span | None) -> str:
    request = relative_request(endpoint, span, first_position(endpoint.paging))
    return f"GET /{request.url}{f'?{urlencode(request.params)}' if request.params else ''}"
