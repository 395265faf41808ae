"""The one layer that retries: by the class of an error, with full jitter, within budgets (DESIGN 10).

Nothing below it retries a statement. The object store's client repeats single requests (`lake.py`), and boto3 those of
the sizing; what they give up is not repeated here, but what they do not repeat is.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import stamina

from ..model.backoff import DEFAULT, Backoff
from ..model.errors import SyncError
from ..model.failures import HALVING, Failure
from ..model.report import Emit, silent

__all__ = ["DEFAULT", "Backoff", "Retry", "retrying"]

T = TypeVar("T")

WAIT_LEAST_SECONDS = 0.1
"""Between two attempts, unless the profile's own waits are shorter."""
RENEWALS = 3
"""How often a budget begins anew because an attempt ran for longer than it, which shows that the server was back."""


@dataclass
class Retry:
    """The retries of one run, or of one loop in it that goes on where it stopped. Not for several threads."""

    backoff: Backoff = DEFAULT
    emit: Emit = silent
    _failures: int = field(default=0, init=False)
    _conflicts: int = field(default=0, init=False)
    _since: float | None = field(default=None, init=False)
    _resumed: float = field(default=0.0, init=False)
    _renewals: int = field(default=0, init=False)
    _tried_once: set[str | None] = field(default_factory=set, init=False)
    _waited_seconds: float = field(default=0.0, init=False)

    def call(self, call: Callable[[], T]) -> T:
        """Call again, from the start, on errors that say that it may help. Raises what the last attempt raised."""
        for attempt in stamina.retry_context(on=self._hook, attempts=None, timeout=None):
            with attempt:
                result = call()
                self.succeeded()
                return result
        raise AssertionError("stamina ends by a result or an error")

    def again(self, error: SyncError, *, halved: bool = False) -> None:
        """Wait before the next attempt. Raises `error` where another one is of no use, or a budget is spent.

        `halved`: the next attempt asks for less than this one, which no budget counts: that ends by itself.
        """
        wait = self.wait_seconds(error, halved=halved)
        if wait is None:
            raise error
        time.sleep(wait)

    def wait_seconds(self, error: SyncError, *, halved: bool = False) -> float | None:
        """How long to wait before the next attempt; None where there is to be none, by nobody."""
        wait = self._wait_seconds(error, halved)
        error.given_up = wait is None
        return wait

    def _wait_seconds(self, error: SyncError, halved: bool) -> float | None:
        failure = failure_of(error)
        if failure == "never" or not (halved or self._may_repeat(failure, getattr(error, "code", None))):
            return None
        patient = failure == "wait_longer"
        most = self.backoff.longest_wait(0 if halved else self._failures, patient=patient)
        now = time.monotonic()
        if not halved and not self._is_within_budget(now, most):
            return None
        wait = random.uniform(min(WAIT_LEAST_SECONDS, most), most)
        self._waited_seconds += wait
        if self._waited_seconds > self.backoff.run_seconds:
            return None
        if patient and self._failures == 0:
            self.emit("the server has too much to do, waiting", code=getattr(error, "code", None), fix=error.fix)
        self._failures += not halved
        self._resumed = now + wait
        return wait

    def succeeded(self) -> None:
        """A step went through: the next failure begins a new budget."""
        self._failures, self._conflicts, self._since, self._renewals = 0, 0, None, 0
        self._tried_once.clear()

    def _may_repeat(self, failure: Failure, code: str | None) -> bool:
        if failure in ("once", "smaller_chunk"):
            if code in self._tried_once:
                return False
            self._tried_once.add(code)
        if failure in ("retry_transaction", "if_not_ours"):
            self._conflicts += 1
            return self._conflicts < self.backoff.attempts
        return True

    def _is_within_budget(self, now: float, wait: float) -> bool:
        """Whether the next attempt would begin before the server was away for too long."""
        budget = self.backoff.budget_seconds
        if self._since is not None and now - self._resumed > budget and self._renewals < RENEWALS:
            self._renewals += 1
            self._since, self._failures = None, 0
        self._since = now if self._since is None else self._since
        return now - self._since + wait < budget

    def _hook(self, error: Exception) -> float | bool:
        wait = self.wait_seconds(error) if isinstance(error, SyncError) else None
        if wait is None:
            return False
        self.emit(
            "trying again", reason=getattr(error, "code", None) or getattr(error, "kind", None), wait_seconds=wait
        )
        return wait


def retrying(call: Callable[[], T], backoff: Backoff = DEFAULT, emit: Emit = silent) -> T:
    """One call by a `Retry` of its own."""
    return Retry(backoff, emit).call(call)


def failure_of(error: SyncError) -> Failure:
    """The class of an error, as of now. One that has none is retried like a lost connection if it is `retryable`."""
    if error.given_up or not error.retryable:
        return "never"
    found: Failure | None = getattr(error, "failure", None)
    return found or "new_connection"


def asks_for_less(error: SyncError) -> bool:
    """Whether a loop of chunks should go on with half the rows."""
    return failure_of(error) in HALVING
