"""How long to wait for a server that fails over, and when to give up: `failover` in the YAML."""

from dataclasses import dataclass
from typing import Literal, get_args

Failover = Literal["fast", "normal", "slow"]
FAILOVERS: tuple[Failover, ...] = get_args(Failover)


@dataclass(frozen=True)
class Backoff:
    """Waits double from `base_seconds` to `cap_seconds`; each is drawn from zero up to that (full jitter).

    `budget_seconds` is how long a server may be away, from the first failure on; `attempts` how often a transaction is
    tried that others are in the way of; `run_seconds` how long one run waits in all, however often it goes on.
    """

    base_seconds: float = 0.2
    cap_seconds: float = 15.0
    budget_seconds: float = 180.0
    attempts: int = 8
    run_seconds: float = 1800.0

    @classmethod
    def of(cls, failover: Failover) -> "Backoff":
        """The profile of that name."""
        return PROFILES[failover]

    def or_longer(self, other: "Backoff") -> "Backoff":
        """The more patient one of two, for what needs both servers."""
        return self if self.budget_seconds >= other.budget_seconds else other

    def longest_wait(self, failures: int, *, patient: bool = False) -> float:
        """What the wait after so many failures in a row is drawn up to; a patient one begins at ten times the base."""
        first = min(10 * self.base_seconds, self.cap_seconds) if patient else self.base_seconds
        return min(self.cap_seconds, first * 2 ** min(failures, 40))


PROFILES: dict[Failover, Backoff] = {
    "fast": Backoff(base_seconds=0.2, cap_seconds=2.0, budget_seconds=30.0, attempts=4, run_seconds=300.0),
    "normal": Backoff(),
    "slow": Backoff(base_seconds=30.0, cap_seconds=240.0, budget_seconds=900.0, attempts=8, run_seconds=7200.0),
}
"""`slow` waits 30, 60, 120, 240 s at most: managed databases whose failover takes minutes."""
DEFAULT = PROFILES["normal"]
