"""A breaker per server: while one does not answer, one connection of this process at a time asks whether it is back.

200 tables then make one attempt at most every two seconds, not 200. Processes know nothing of each other: there the
jitter of `sync/retry.py` spreads the attempts.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from ..model.errors import DbError

PAUSE_SECONDS, PAUSE_MOST_SECONDS = 0.1, 2.0
"""Between two attempts to connect: the first, and what it doubles to."""


@dataclass
class Circuit:
    """What this process knows of one server."""

    failures: int = 0
    probes: int = 0
    next_probe: float = 0.0
    error: DbError | None = None
    probing: Lock = field(default_factory=Lock)

    def note(self, error: DbError | None) -> None:
        """An attempt to connect ended. A server that refuses a password does answer."""
        now = time.monotonic()
        if error is None or error.failure not in ("new_connection", "wait_longer"):
            self.failures, self.error = 0, None
        elif now >= self.next_probe:  # else it failed together with others
            self.failures, self.error = self.failures + 1, error
            self.next_probe = now + min(PAUSE_MOST_SECONDS, PAUSE_SECONDS * 2 ** min(self.failures - 1, 10))


_CIRCUITS: dict[str, Circuit] = defaultdict(Circuit)


@contextmanager
def connecting(server: str, who: str) -> Iterator[None]:
    """Around an attempt to connect to `server`, which raises DbError.

    Waits for its turn where the server is known not to answer, and raises what another attempt met meanwhile.
    """
    circuit = _CIRCUITS[server]
    if circuit.error is None:
        with _noted(circuit):
            yield
        return
    before = circuit.probes
    with circuit.probing:
        if (error := circuit.error) is not None and circuit.probes != before:
            raise _same(error, who)
        time.sleep(max(0.0, circuit.next_probe - time.monotonic()))
        try:
            with _noted(circuit):
                yield
        finally:
            circuit.probes += 1


@contextmanager
def _noted(circuit: Circuit) -> Iterator[None]:
    try:
        yield
    except DbError as error:
        circuit.note(error)
        raise
    circuit.note(None)


def _same(error: DbError, who: str) -> DbError:
    """The error as another connection's."""
    message = f"{who}: {error.message.partition(': ')[2]}"
    return DbError(message, code=error.code, phase="connect", failure=error.failure, fix=error.fix)
