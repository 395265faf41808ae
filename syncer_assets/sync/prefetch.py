"""An iterator that runs ahead in a thread of its own, so that reading overlaps with writing."""

from collections.abc import Iterator
from contextlib import closing
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterates over `source`, at most `depth` items ahead. An error of the source is raised where it would have been.

    `close` stops the thread and waits for it; it is called at the end of a `with` block.
    """

    def __init__(self, source: Iterator[T], depth: int = 4):
        self._queue: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
        self._stop = Event()
        run = copy_context().run
        self._thread = Thread(target=run, args=(self._run, source), name="syncer-prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error = self._queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def __enter__(self) -> "Prefetch[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; what was read ahead is dropped."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except Empty:
                self._thread.join(timeout=0.05)

    def _run(self, source: Iterator[T]) -> None:
        end: tuple[T | None, BaseException | None] = (None, None)
        try:
            with closing(source):  # type: ignore[type-var]  # generators have close
                for item in source:
                    if not self._put((item, None)):
                        return
        except BaseException as error:  # noqa: BLE001  # handed over and raised in the reader's thread, whatever it is
            end = (None, error)
        self._put(end)

    def _put(self, entry: tuple[T | None, BaseException | None]) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except Full:
                continue
        return False
