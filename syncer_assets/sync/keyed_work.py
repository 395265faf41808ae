"""The batches of a keyed update, fetched and written: several at a time, each again while that may help."""

import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock

import pyarrow as pa

from ..model.errors import LostRace, SyncError
from ..model.keyed_update import Batch, BatchCounts, KeyedReport, KeyedUpdateSpec
from ..model.report import Emit
from ..sources.keyed import KeyedReader
from ..warehouses.keyed import Cycle, KeyedTarget, KeyedWriter, UpdateColumns
from .retry import Backoff, Retry

EMIT_SECONDS = 5.0


@dataclass
class Work:
    """The batches of a cycle, on several threads. The first error stops the others before their next batch."""

    reader: KeyedReader
    target: KeyedTarget
    spec: KeyedUpdateSpec
    columns: UpdateColumns
    cycle: Cycle
    report: KeyedReport
    emit: Emit
    backoff: Backoff
    lock: Lock = field(default_factory=Lock)
    waiting: deque[Batch] = field(default_factory=deque)
    error: BaseException | None = None
    said: float = field(default_factory=time.monotonic)
    written: int = 0

    def run(self) -> None:
        """All batches that are not done. Raises what the first of them raised."""
        left = [batch for batch in self.cycle.batches if batch.number not in self.cycle.done]
        self.waiting.extend(sorted(left, key=lambda batch: -batch.rows))  # the largest first, or they end alone
        # One session of the warehouse is the coordinator's.
        workers = max(1, min(self.spec.workers, self.spec.connection_limit - 1, len(left)))
        self.report.workers = workers
        with ThreadPoolExecutor(workers, thread_name_prefix="keyed-update") as pool:
            try:
                for done in [pool.submit(self._work) for _ in range(workers if left else 0)]:
                    done.result()
            except BaseException:  # a person's interrupt, too: nobody begins another batch
                self.waiting.clear()
                raise
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        with self.target.writer() as writer:
            while (batch := self._next()) is not None:
                try:
                    self._one(writer, batch)
                except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
                    with self.lock:
                        self.error = self.error or error
                        self.waiting.clear()
                    return

    def _next(self) -> Batch | None:
        with self.lock:
            return self.waiting.popleft() if self.waiting else None

    def _one(self, writer: KeyedWriter, batch: Batch) -> None:
        """A batch, again as long as errors say that it may help; one whose COMMIT was lost may be done already."""
        retry, started = Retry(self.backoff, self.emit), time.monotonic()
        meter = _Meter()
        while True:
            try:
                with closing(self._rows(batch, meter)) as rows:
                    counts = writer.write(self.cycle, batch, rows)
                break
            except LostRace:
                raise  # whoever took over does the rest
            except SyncError as error:
                retry.again(error)
                with self.lock:
                    self.report.retries += 1
                self.emit("batch failed, trying again", batch=batch.number, reason=error.kind)
                if (counts := self._was_done(writer, batch)) is not None:
                    break
        self._note(counts, time.monotonic() - started, meter)

    def _rows(self, batch: Batch, meter: "_Meter") -> Generator[pa.RecordBatch, None, None]:
        meter.begin()
        with closing(self.reader.fetch(self.cycle.rows, batch, self.columns.sources)) as parts:  # type: ignore[type-var]  # generators have close
            for part in parts:
                meter.fetched(part.nbytes)
                yield part
                meter.begin()
        meter.fetched(0)

    def _was_done(self, writer: KeyedWriter, batch: Batch) -> BatchCounts | None:
        try:
            return writer.was_done(self.cycle, batch)
        except SyncError as error:
            if not error.retryable:
                raise
            return None  # the next attempt finds out

    def _note(self, counts: BatchCounts, seconds: float, meter: "_Meter") -> None:
        report, total = self.report, len(self.cycle.batches)
        with self.lock:
            report.counts.add(counts)
            report.bytes += meter.bytes
            report.fetch_seconds = round(report.fetch_seconds + meter.seconds, 3)
            report.write_seconds = round(report.write_seconds + seconds - meter.seconds, 3)
            report.longest_batch_seconds = round(max(report.longest_batch_seconds, seconds), 3)
            self.written += 1
            done, rows = report.batches_done_before + self.written, report.counts.fetched
            is_time = time.monotonic() - self.said > EMIT_SECONDS
            if is_time:
                self.said = time.monotonic()
        if is_time:
            self.emit("Updating", table=self.spec.target.name, batches=done, batches_total=total, rows=rows)


@dataclass
class _Meter:
    """How long a batch waited for its rows, and how many bytes came."""

    seconds: float = 0.0
    bytes: int = 0
    began: float = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()

    def fetched(self, size: int) -> None:
        self.seconds += time.monotonic() - self.began
        self.bytes += size
