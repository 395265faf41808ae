"""The session that the small questions to a warehouse share. Every load has its own."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..model.errors import DbError
from ..model.table import Target
from .protocol import Closable, Sessions


class Session(Closable, Protocol):
    @property
    def closed(self) -> bool: ...


S = TypeVar("S", bound=Session)
T = TypeVar("T")


class Control(Generic[S]):
    """Opened by the first question, and anew after one that failed for a passing reason."""

    def __init__(self, sessions: Sessions[S]):
        self._sessions = sessions
        self._session: S | None = None

    def ask(self, target: Target | None, question: Callable[[S], T]) -> T:
        """The answer; `target` is named in an error. Raises DbError."""
        if self._session is None or self._session.closed:
            self._session = self._sessions.open()
        try:
            with self._sessions.errors("load", target.name if target else None):
                return question(self._session)
        except DbError as error:
            if error.retryable:
                self.close()
            raise

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
