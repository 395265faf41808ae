"""Which page is asked for first, and which after it (docs/apis.md)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from ...model.api import Endpoint, Paging, Span
from .client import Client
from .errors import ApiError
from .page import Page

_MOMENT = re.compile(r"\{(start|end)(?::([^{}]+))?\}")

Position = int | str | None
"""Where a page is: a number, a cursor or an address; None is the first page of those that are not counted."""


@dataclass(frozen=True)
class Request:
    """What one page is asked for by."""

    url: str
    params: Mapping[str, str]


def first_position(paging: Paging) -> Position:
    """Where reading begins."""
    return paging.first if paging.is_numbered else None


def request_for(client: Client, endpoint: Endpoint, span: Span | None, position: Position) -> Request:
    """The request of a page. An address that a page gave is asked as it stands."""
    if endpoint.paging.by == "link" and isinstance(position, str):
        return Request(position, {})
    found = relative_request(endpoint, span, position)
    return Request(f"{client.base_url}/{found.url}", found.params)


def relative_request(endpoint: Endpoint, span: Span | None, position: Position) -> Request:
    """The same below the API's address, for a position that is no address."""
    paging = endpoint.paging
    params = {name: filled(text, span) for name, text in endpoint.params}
    if paging.size_param and paging.size:
        params[paging.size_param] = str(paging.size)
    if paging.param and position is not None:
        params[paging.param] = str(position)
    return Request(filled(endpoint.path, span, in_path=True).lstrip("/"), params)


def next_position(endpoint: Endpoint, position: Position, page: Page, rows: int) -> tuple[Position, bool]:
    """Where the page after this one is, and whether this was the last. `rows` are those read, this page included.

    A total ends nothing by itself: some APIs never tell more than 10,000. A page that falls short is the last one where
    the API was said to end so, or where the total agrees.
    """
    paging = endpoint.paging
    if paging.by == "none":
        return None, True
    if not paging.is_numbered:
        return page.next, page.next is None
    is_short = paging.size is not None and page.rows < paging.size
    if page.rows == 0 or (is_short and (paging.ends == "short" or rows == page.total)):
        return position, True
    assert isinstance(position, int)
    return position + (1 if paging.by == "page" else page.rows), False


def followed(client: Client, endpoint: Endpoint, request: Request, next: str | None) -> str | None:
    """What a page says of the next one as it is asked for and written down: an address is made whole.

    Raises ApiError for another host, and where a secret is repeated.
    """
    if next is None:
        return None
    if endpoint.paging.by == "link":
        return client.followed(request.url, next, endpoint.path)
    client.refuse_secret(next, endpoint.path)
    return next


def filled(text: str, span: Span | None, *, in_path: bool = False) -> str:
    """`{start}` and `{end}` as ISO 8601, `{start:%Y-%m-%d}` by strftime, `{start:epoch}`, `{start:epoch_ms}`; in UTC.

    Other braces stay. Raises ApiError where there is no span to fill in.
    """

    def moment(found: re.Match[str]) -> str:
        if span is None:
            fix = "write `partitions`, whose times these are"
            raise ApiError(f"`{text}` asks for the times of a partition, and there are none", fix=fix)
        return _written((span.start if found[1] == "start" else span.end).astimezone(UTC), found[2])

    found = _MOMENT.sub(moment, text)
    return quote(found, safe="/:@!$&'()*+,;=-._~%") if in_path else found


def _written(moment: datetime, spec: str | None) -> str:
    match spec:
        case None:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        case "epoch":
            return str(int(moment.timestamp()))
        case "epoch_ms":
            return str(int(moment.timestamp() * 1000))
        case _:
            return moment.strftime(spec)
