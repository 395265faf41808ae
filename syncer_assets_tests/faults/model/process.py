"""A run that can be stopped at any step: for a while, as a stopped process is, or for good, as `kill -9` does.

It is a thread that nobody wakes up again: nothing that would tidy up behind it is run before the machine's own end.
"""

import threading
from collections.abc import Callable
from typing import Any

from syncer_assets.model.errors import SyncError

CURRENT = threading.local()
"""`CURRENT.emit` is that of the process whose thread this is, for steps that the engine does not tell."""


class Ended(BaseException):
    """Raised in threads that were killed, when the machine has ended and nothing looks at them any more."""


class Process:
    """Runs `work(emit)` up to its `nth` step called `step`; without a step to its end."""

    def __init__(self, work: Callable[[Callable[..., None]], Any], step: str | None = None, nth: int = 1):
        self._work, self._step, self._nth = work, step, nth
        self._seen = 0
        self._waits, self._may_go_on, self._is_over = threading.Event(), threading.Event(), False
        self.error: BaseException | None = None
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Process":
        """Runs until it waits or has ended."""
        self._thread.start()
        self._until_it_rests()
        return self

    @property
    def is_stopped(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        """Goes on to its end, as a stopped process does that nobody told what has happened since."""
        self._step = None
        self._waits.clear()
        self._may_go_on.set()
        self._thread.join(timeout=100)
        assert not self._thread.is_alive()

    def bury(self) -> None:
        """Its thread ends now; whatever it does on the way out is not looked at."""
        self._is_over = True
        self._may_go_on.set()
        self._thread.join(timeout=120)

    def _until_it_rests(self) -> None:
        while self._thread.is_alive() and not self._waits.is_set():
            self._waits.wait(0.002)

    def _run(self) -> None:
        CURRENT.emit = self._emit
        try:
            self.result = self._work(self._emit)
        except SyncError as error:
            self.error = error
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001  # told by the machine, in its own thread
            self.error = error

    def _emit(self, event: str, **fields: object) -> None:
        if self._is_over:
            raise Ended
        if event != self._step:
            return
        self._seen += 1
        if self._seen == self._nth:
            self._waits.set()
            self._may_go_on.wait()
            if self._is_over:
                raise Ended
