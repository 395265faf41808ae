"""Reads the spans of a partition, several pages at a time where they are known, and keeps them in order as steps."""

import contextlib
import hashlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from ...model.api import Endpoint, Span
from ...model.errors import SyncError
from ...sources.rest import ApiError, Page, Position, first_position, next_position
from .attempt import Attempt, Step
from .fetch import Fetcher

STEP_SECONDS = 1.0
STEP_BYTES = 8 * 1024 * 1024


@dataclass
class Stream:
    """A span and how far it was read. `ids` are the hashes of its records' ids, in no order that counts."""

    number: int
    span: Span | None
    position: Position
    steps: int = 0
    pages: int = 0
    rows: int = 0
    done: bool = False
    first_total: int | None = None
    total: int | None = None
    without_id: int = 0
    ids: array = field(default_factory=lambda: array("q"))
    seen: set[str] = field(default_factory=set)
    ahead: deque[tuple[Position, Future[Page]]] = field(default_factory=deque)
    kept: list[Page] = field(default_factory=list)
    kept_seen: list[str] = field(default_factory=list)
    kept_since: float = 0.0

    def add_ids(self, ids: Sequence[int | None]) -> None:
        known = [each for each in ids if each is not None]
        self.ids.extend(known)
        self.without_id += len(ids) - len(known)

    def resume(self, step: Step, ids: Sequence[int | None]) -> None:
        """Go on behind a step that is there already."""
        self.position, self.steps, self.done = step.next, step.number, step.done
        self.pages, self.rows = self.pages + step.pages, self.rows + step.rows
        self.first_total = step.first_total
        self.total = step.total
        self.seen |= set(step.seen)
        self.add_ids(ids)


@dataclass
class Reading:
    """A read of all spans. `told` hears the pages and rows so far, after each step."""

    fetcher: Fetcher
    endpoint: Endpoint
    attempt: Attempt
    streams: list[Stream]
    concurrency: int
    pages_most: int
    told: Callable[["Reading"], None]
    bytes_received: int = 0

    @property
    def rows(self) -> int:
        return sum(stream.rows for stream in self.streams)

    @property
    def pages(self) -> int:
        return sum(stream.pages for stream in self.streams)

    @property
    def total(self) -> int | None:
        """The records that the API says there are; None if a span was told none."""
        told = [stream.total for stream in self.streams]
        return None if None in told else sum(total for total in told if total is not None)

    def run(self) -> None:
        """To the end of every span. What was received before an error is kept. Raises ApiError, LostRace."""
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="api") as pool:
            try:
                while active := [stream for stream in self.streams if not stream.done]:
                    self._ask(pool, active)
                    heads = [stream.ahead[0][1] for stream in active if stream.ahead]
                    ready = wait(heads, return_when=FIRST_COMPLETED).done
                    for stream in active:
                        if stream.ahead and stream.ahead[0][1] in ready:
                            self._take(stream)
            except BaseException as error:
                self.fetcher.limiter.stop()
                if isinstance(error, ApiError):
                    for stream in self.streams:
                        with contextlib.suppress(SyncError):  # the first error is the one to tell
                            self._keep(stream)
                raise

    def _ask(self, pool: ThreadPoolExecutor, active: Sequence[Stream]) -> None:
        """A page of each span, then, as far as `concurrency` goes, the pages that are known to follow."""
        free = self.concurrency - sum(len(stream.ahead) for stream in active)
        for only_first in (True, False):
            for stream in active:
                while free > 0 and not (only_first and stream.ahead):
                    position = self._next_to_ask(stream)
                    if not position:
                        break
                    stream.ahead.append((*position, pool.submit(self.fetcher.page, stream.span, *position)))
                    free -= 1

    def _next_to_ask(self, stream: Stream) -> tuple[Position] | None:
        """The position of a page that is known to be there, None if the pages ahead have to be seen first."""
        if not stream.ahead:
            return (stream.position,)
        paging, last = self.endpoint.paging, stream.ahead[-1][0]
        if not (paging.is_numbered and paging.size and stream.total is not None and isinstance(last, int)):
            return None
        step = 1 if paging.by == "page" else paging.size
        following = last + step
        before = (following - paging.first) * (paging.size if paging.by == "page" else 1)
        return (following,) if before < stream.total else None

    def _take(self, stream: Stream) -> None:
        position, future = stream.ahead.popleft()
        try:
            page = future.result()
        except ApiError as error:
            if not self._is_past_the_end(error, stream):
                raise
            stream.done = True
            self._keep(stream)
            return
        stream.rows, stream.pages = stream.rows + page.rows, stream.pages + 1
        stream.first_total = page.total if stream.pages == 1 else stream.first_total
        stream.total = page.total if page.total is not None else stream.total
        stream.add_ids(page.ids)
        self.bytes_received += page.bytes_received
        stream.position, stream.done = next_position(self.endpoint, position, page, stream.rows)
        self._refuse_circles(stream, page)
        if stream.ahead and (stream.done or stream.ahead[0][0] != stream.position):
            for _, useless in stream.ahead:  # the server gave fewer records than were asked for
                useless.cancel()
            stream.ahead.clear()
        if not stream.kept:
            stream.kept_since = time.monotonic()
        stream.kept.append(page)
        size = sum(len(each.lines) for each in stream.kept)
        if stream.done or size >= STEP_BYTES or time.monotonic() - stream.kept_since >= STEP_SECONDS:
            self._keep(stream)

    def _keep(self, stream: Stream) -> None:
        """Write what was received since the last step."""
        if not stream.kept and not (stream.done and stream.steps == 0):
            return
        stream.steps += 1
        step = Step(
            span=stream.number,
            number=stream.steps,
            pages=len(stream.kept),
            rows=sum(page.rows for page in stream.kept),
            next=stream.position,
            done=stream.done,
            first_total=stream.first_total,
            total=stream.total,
            seen=tuple(stream.kept_seen),
        )
        lines = b"".join(page.lines for page in stream.kept)
        stream.kept, stream.kept_seen = [], []
        self.attempt.write(step, lines)
        self.told(self)

    def _refuse_circles(self, stream: Stream, page: Page) -> None:
        """A cursor or address that was there before: the end if it brings nothing, else a circle without end."""
        if self.pages > self.pages_most:
            raise ApiError(
                f"GET {self.endpoint.path} has no end after {self.pages_most:,} pages",
                fix="ask for larger pages, cut the endpoint by `partitions`, or raise `limits.pages`",
            )
        if stream.done or self.endpoint.paging.is_numbered:
            return
        digest = hashlib.blake2b(str(stream.position).encode(), digest_size=8).hexdigest()
        if digest in stream.seen:
            if page.rows:
                raise ApiError(
                    f"GET {self.endpoint.path} leads in a circle: page {stream.pages:,} names one that was read",
                    fix="compare `pages.next` with the API's manual, and tell those who run the API",
                )
            stream.done = True
        stream.seen.add(digest)
        stream.kept_seen.append(digest)

    def _is_past_the_end(self, error: ApiError, stream: Stream) -> bool:
        """Some APIs answer 404 to the page after the last; it counts as the end where their own total agrees."""
        numbered = self.endpoint.paging.is_numbered
        return error.code == 404 and numbered and stream.pages > 0 and stream.rows == stream.total


def open_streams(endpoint: Endpoint, partition: str) -> list[Stream]:
    """A stream for each span, at its beginning."""
    start = first_position(endpoint.paging)
    return [Stream(number, span, start) for number, span in enumerate(endpoint.spans(partition))]
