"""`with sizer.sized(..)`: the size found is written down, then changed; the last holder restores it.

Written down is a row for each load that holds a size, with its run and a heartbeat, and the size that was found before
the first of them. All is done under one lock: two loads at once get the larger of their sizes, neither shrinks the
other's. A load that was killed is silent: after `restore_after` the next one, or the sensor `sizes`, counts it out.
The warehouse never becomes smaller than it was found.
"""

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Protocol

from ...model.errors import SyncError
from ...model.report import Emit
from ...model.sizing import Size, SizeRules, Usage
from .book import Book, Holder

HEARTBEATS = 5
"""So many within `restore_after`."""
HEARTBEAT_SECONDS_MOST = 60.0


class Adapter(Protocol):
    """How one kind of warehouse is resized. Errors come as DbError."""

    def current(self) -> Size: ...

    def change(self, size: Size) -> None:
        """Returns when statements that start from now on run at that size."""
        ...

    def named(self, name: str) -> str:
        """A size's one name, of all its spellings. Raises ConfigError for a name that is no size."""
        ...

    def rank(self, name: str) -> float:
        """Larger is larger."""
        ...

    def credits_per_hour(self, name: str) -> float: ...


class Sizer:
    """The sizing of one warehouse."""

    def __init__(self, rules: SizeRules, adapter: Adapter, book: Book, clock: Callable[[], float] = time.time):
        self._rules, self._adapter, self._book, self._clock = rules, adapter, book, clock

    @contextmanager
    def sized(self, bytes: int, *, run_id: str, emit: Emit) -> Iterator[Usage]:
        """The warehouse is large enough for so many bytes within the block, and as it was found when the last one left.

        An error of restoring is told in the usage and by `emit`: the load itself is done, and the next one tries again.
        """
        wanted = self._rules.size_for(bytes)
        wanted = replace(wanted, name=self._adapter.named(wanted.name))
        holder, usage = uuid.uuid4().hex, Usage()
        with _terminable():
            try:
                usage.found = self._hold(Holder(holder, run_id, wanted, self._clock()))
                size = self._settle(emit)
                with self._beating(holder), _timed(usage, size.name, self._adapter):
                    yield usage
            finally:
                self._leave(holder, usage, emit)

    def look(self) -> Size:
        """The size of now; what sizing needs is tried on the way, and nothing resized. Raises DbError."""
        with self._book.locked():
            return self._adapter.current()

    def restore(self, run_id: str | None, emit: Emit) -> bool:
        """Count out the holders of a run that ended, and those that are silent; whether nobody holds a size now."""
        with self._book.locked() as page:
            gone = [holder.id for holder in page.holders() if holder.run_id == run_id]
            page.remove(gone)
        self._settle(emit)
        with self._book.locked() as page:
            return page.found() is None

    def _hold(self, holder: Holder) -> Size:
        with self._book.locked() as page:
            found = page.found()
            if found is None:
                found = self._adapter.current()
                page.write_found(found)
            page.add(holder)
            return found

    def _settle(self, emit: Emit) -> Size:
        """Give the living holders what they need; without any, what was found. The size that is there then."""
        with self._book.locked() as page:
            found, holders = page.found(), page.holders()
            latest = self._clock() - self._rules.restore_after.total_seconds()
            silent = [holder for holder in holders if holder.heartbeat_at < latest]
            page.remove([holder.id for holder in silent])
            current = self._adapter.current()
            if found is None:
                return current
            living = [holder.size for holder in holders if holder not in silent]
            wanted = self._largest([found, *living])
            if wanted != current:
                emit("warehouse size changed", size=str(wanted), size_before=str(current), holders=len(living))
                self._adapter.change(wanted)
            if not living:
                page.clear_found()
            return wanted

    def _leave(self, holder: str, usage: Usage, emit: Emit) -> None:
        try:
            with self._book.locked() as page:
                page.remove([holder])
            self._settle(emit)
        except SyncError as error:
            usage.problem = f"the size could not be restored: {error}"
            emit("warehouse size not restored", reason=str(error))

    def _largest(self, sizes: list[Size]) -> Size:
        size = max(sizes, key=lambda each: self._adapter.rank(each.name))
        factors = [each.acceleration for each in sizes if each.acceleration is not None]
        return replace(size, acceleration=max(factors, default=None))

    @contextmanager
    def _beating(self, holder: str) -> Iterator[None]:
        """A thread that says that the holder is alive. One beat that fails is made up for by the next."""
        ended = threading.Event()
        seconds = min(HEARTBEAT_SECONDS_MOST, self._rules.restore_after.total_seconds() / HEARTBEATS)

        def beat() -> None:
            while not ended.wait(seconds):
                try:
                    self._book.beat(holder, self._clock())
                except SyncError:
                    continue

        thread = threading.Thread(target=beat, name="warehouse-size-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _timed(usage: Usage, name: str, adapter: Adapter) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        seconds = time.monotonic() - started
        usage.seconds[name] = usage.seconds.get(name, 0.0) + seconds
        usage.credits += seconds / 3600 * adapter.credits_per_hour(name)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the block, where it would end the process at once. Only the main thread may say so."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def unwind(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
