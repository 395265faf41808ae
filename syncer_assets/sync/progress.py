"""How far a running loop is, told at most every few seconds."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from ..model.marks import Mark, Scalar

EVERY_SECONDS = 3.0


@dataclass(frozen=True)
class Progress:
    """Rows written so far, the share of the window behind the loop (0 to 1, None if untold), and the rate."""

    rows: int
    share: float | None
    rows_per_second: float
    seconds: float


class ProgressMeter:
    """Calls `tell` with a `Progress`, at most every EVERY_SECONDS."""

    def __init__(self, tell: Callable[[Progress], None] | None, low: Mark | None, high: Mark | None):
        self._tell, self._low, self._high = tell, low, high
        self._first: Mark | None = None
        self._started = self._told = time.monotonic()
        self.rows = 0

    def add(self, rows: int, page: Mark | None) -> None:
        """Rows were written, up to `page`."""
        self.rows += rows
        if page is None:
            return
        self._first = self._first or self._low or page
        self._tell_now(lambda: self._share(page))

    def at(self, rows: int, expected: float) -> None:
        """So many rows are there by now, of about so many."""
        self.rows = rows
        self._tell_now(lambda: min(1.0, rows / expected) if expected else None)

    def _tell_now(self, share: Callable[[], float | None]) -> None:
        now = time.monotonic()
        if self._tell is not None and now - self._told >= EVERY_SECONDS:
            self._told = now
            seconds = now - self._started
            self._tell(Progress(self.rows, share(), round(self.rows / seconds, 1), round(seconds, 1)))

    def _share(self, page: Mark) -> float | None:
        if self._first is None or self._high is None:
            return None
        low, now, high = (_number(mark[0]) for mark in (self._first, page, self._high))
        if low is None or now is None or high is None or high <= low:
            return None
        return min(1.0, (now - low) / (high - low))


def _number(value: Scalar) -> float | None:
    """A cursor value on a line, for shares; None where it has no place on one."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, int) else None


def peak_memory_mb() -> float:
    """The most memory that this process has had resident, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
