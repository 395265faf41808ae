"""How fast an API is asked: requests evenly spaced, and none while the server asks to wait."""

import threading
import time


class RateLimiter:
    """Shared by the threads that ask one API."""

    def __init__(self, requests_per_second: float):
        self._spacing = 1 / requests_per_second
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait(self) -> bool:
        """Wait for this request's turn; False if there are to be no more."""
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._free_at:
                    self._free_at = now + self._spacing
                    return not self._stopped.is_set()
                left = self._free_at - now
            if self._stopped.wait(left):
                return False

    def hold(self, seconds: float) -> None:
        """No request for so long, of any thread."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() + seconds)

    def stop(self) -> None:
        """End all waiting."""
        self._stopped.set()
