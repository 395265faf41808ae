"""The one layer that retries: exponential back-off with jitter, within a budget (DESIGN 10)."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import stamina

from ..model.errors import SyncError

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """Seconds of the first and the longest wait, and how long to go on in all."""

    base_seconds: float = 0.2
    cap_seconds: float = 15.0
    budget_seconds: float = 180.0


DEFAULT = Backoff()


@dataclass
class Retry:
    """Retries of a loop that goes on where it stopped: `again` waits, or raises what it was given."""

    backoff: Backoff = DEFAULT
    _failures: int = field(default=0, init=False)
    _since: float | None = field(default=None, init=False)

    def again(self, error: SyncError) -> None:
        """Wait before the next attempt. Raises `error` where it is permanent or the budget is spent."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if not error.retryable or now - self._since > self.backoff.budget_seconds:
            raise error
        wait = min(self.backoff.cap_seconds, self.backoff.base_seconds * 2**self._failures)
        self._failures += 1
        time.sleep(random.uniform(wait / 2, wait))

    def succeeded(self) -> None:
        """A step went through: the next failure begins a new budget."""
        self._failures, self._since = 0, None


def retrying(call: Callable[[], T], backoff: Backoff = DEFAULT) -> T:
    """Call again on errors that say so, from the start, within the budget; other errors pass at once."""
    for attempt in stamina.retry_context(
        on=lambda error: isinstance(error, SyncError) and error.retryable,
        attempts=None,
        timeout=backoff.budget_seconds,
        wait_initial=backoff.base_seconds,
        wait_max=backoff.cap_seconds,
        wait_jitter=backoff.base_seconds,
    ):
        with attempt:
            return call()
    raise AssertionError("stamina ends by a result or an error")
