"""A page, asked for until it comes whole: the one place where requests to an API are made again (DESIGN 10)."""

import threading
from dataclasses import dataclass, field

from ...model.api import Endpoint, Span
from ...sources.rest import ApiError, Client, Page, Position, RateLimiter, followed, read_page, request_for
from ..retry import Backoff, Retry


class Stopped(Exception):
    """Another page's error has ended the read."""


@dataclass
class Fetcher:
    """Gets pages for several threads; `requests` and `retries` count what they sent."""

    client: Client
    endpoint: Endpoint
    limiter: RateLimiter
    backoff: Backoff
    requests: int = 0
    retries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, span: Span | None, position: Position) -> Page:
        """The page at a position. Raises ApiError when asking again is of no use, or the budget is spent."""
        request, retry = request_for(self.client, self.endpoint, span, position), Retry(self.backoff)
        while True:
            if not self.limiter.wait():
                raise Stopped
            try:
                self._count("requests")
                page = read_page(self.client.get(request.url, request.params, self.endpoint.path), self.endpoint)
                return page.leading_to(followed(self.client, self.endpoint, request, page.next))
            except ApiError as error:
                self._hold(error)
                retry.again(error)
                self._count("retries")

    def _hold(self, error: ApiError) -> None:
        """The server's own wish counts for all threads; one beyond the budget ends the read at once, and is told."""
        if error.retryable and error.wait_seconds:
            budget = self.backoff.budget_seconds
            if error.wait_seconds > budget:
                fix = f"run it again later, or raise `limits.budget_seconds` or `failover` ({budget:g})"
                raise ApiError(error.message, code=error.code, retryable=True, fix=fix)
            self.limiter.hold(error.wait_seconds)

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)
