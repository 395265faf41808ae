"""What one answer brought: the records as JSON lines, and what it says about the pages before and after it."""

import json
from dataclasses import dataclass, replace

from ...model.api import Endpoint
from .client import Response
from .errors import ApiError
from .links import next_link
from .records import Document, NoJson, NotThere, path_of


@dataclass(frozen=True)
class Page:
    """`lines` are the records, one a line. `ids` are their ids as hashes, None of one that has none.

    `next` is what the answer says of the page that follows, `total` the records that it says there are in all.
    """

    lines: bytes
    rows: int
    ids: tuple[int | None, ...]
    next: str | None
    total: int | None
    bytes_received: int

    def leading_to(self, next: str | None) -> "Page":
        """The same page with another `next`."""
        return self if next == self.next else replace(self, next=next)


def read_page(response: Response, endpoint: Endpoint) -> Page:
    """Raises ApiError where the answer is no page of this endpoint."""
    text = _text(response, endpoint)
    records_at, total_at = path_of(endpoint.records), path_of(endpoint.total)
    by_path = endpoint.paging.by in ("cursor", "link") and endpoint.paging.next is not None
    next_at = path_of(endpoint.paging.next)
    try:
        paths = [*([total_at] if endpoint.total else []), *([next_at] if by_path else [])]
        document = Document(text, records_at, paths, path_of(endpoint.id) if endpoint.id else None)
        found = document.records()
    except NoJson as error:
        raise _no_json(response, endpoint, str(error)) from None
    except NotThere as error:
        raise ApiError(
            f"GET {endpoint.path} was answered with a page in which `records: {endpoint.records or '$'}` {error}",
            fix="name the path of the array of records, such as data.items",
        ) from None
    if found is None and endpoint.null_records == "fail":
        raise ApiError(
            f"GET {endpoint.path} was answered with null at `records: {endpoint.records}`",
            fix="write `null_records: empty` if the API means an empty list by it",
        )
    cut, ids = found or ([], [])
    follows = document.value(next_at) if by_path else None
    if endpoint.paging.by == "link" and not by_path:
        follows = next_link(response.headers.get("link", ""))
    return Page(
        lines=_lines(cut),
        rows=len(cut),
        ids=tuple(map(_hash, ids)),
        next=str(follows) if isinstance(follows, str) and follows else None,
        total=_total(document.value(total_at) if endpoint.total else None, response, endpoint),
        bytes_received=response.bytes_received,
    )


def ids_of(lines: bytes, endpoint: Endpoint) -> list[int | None]:
    """The ids of records that were written before, as `Page.ids` has them."""
    found = Document(f"[{','.join(lines.decode().split(chr(10))[:-1])}]", (), id=path_of(endpoint.id)).records()
    return [_hash(each) for each in (found or ([], []))[1]]


def _text(response: Response, endpoint: Endpoint) -> str:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise _no_json(response, endpoint, "it is HTML")
    try:
        return response.body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_json(response, endpoint, f"byte {error.start:,} is no UTF-8") from None


def _lines(cut: list[str]) -> bytes:
    """Line breaks between the tokens of a record become blanks; within a string JSON allows none."""
    if any("\n" in record or "\r" in record for record in cut):
        cut = [record.replace("\n", " ").replace("\r", " ") for record in cut]
    return "".join(f"{record}\n" for record in cut).encode()


def _hash(id: object) -> int | None:
    return None if id is None else hash(id if isinstance(id, str) else json.dumps(id))


def _total(told: object, response: Response, endpoint: Endpoint) -> int | None:
    if endpoint.total_header:
        told = response.headers.get(endpoint.total_header.lower())
    text = str(told).strip()
    return int(text) if told is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


def _no_json(response: Response, endpoint: Endpoint, why: str) -> ApiError:
    """Tried again: a proxy's page of excuses, or a body that broke off where no length was told."""
    return ApiError(
        f"GET {endpoint.path} was answered 200, but not with JSON: {why}",
        code=200,
        retryable=True,
        fix="look at what it answers; a page for people may mean a wrong `base_url`, or a session that has ended",
    )
