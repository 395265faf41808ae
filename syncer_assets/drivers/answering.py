"""Sessions that give up a server which no longer answers, whatever its line says.

Keepalives and TCP_USER_TIMEOUT notice a dead line. A proxy in between goes on acknowledging what nobody reads any more
(measured: a session waits for ever in spite of both), so silence itself has a limit: `answer_seconds`.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class Session(psycopg.Connection):
    """Psycopg's connection. One that was silent for `answer_seconds` is closed, and what waits for it fails as lost."""

    answer_seconds: float = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """What every statement and every piece of a COPY waits in."""
        return super().wait(self._heard(gen), *arguments, **named)

    def silent(self, seconds: float) -> psycopg.OperationalError:
        """Close the session, and say why."""
        self.pgconn.finish()
        return psycopg.OperationalError(f"the connection is lost: the server was silent for {seconds:.0f} s")

    def _heard(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """`gen`, which is told several times a second that nothing came."""
        try:
            state = next(gen)
            heard = monotonic()
            while True:
                ready = yield state
                if ready:
                    heard = monotonic()
                elif monotonic() - heard > self.answer_seconds:
                    raise self.silent(self.answer_seconds)
                state = gen.send(ready)
        except StopIteration as ended:
            return ended.value
