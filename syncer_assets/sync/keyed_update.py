"""Keyed updates: a warehouse table's columns are kept like a source's, in batches of key prefixes, several at a time.

Nothing of a batch is half done: its rows and its line in the ledger are one transaction. A run that was killed goes on
with the batches that are left. Prefixes and keys may be personal: neither is told by any event, report or error.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from threading import Lock
from typing import Literal

import pyarrow as pa

from ..model.errors import ConfigError, LostRace, SyncError
from ..model.keyed_update import UNGROUPED, Batch, BatchCounts, KeyedReport, KeyedUpdateSpec, Prefix, Slice
from ..model.report import CheckResult, Emit, silent
from ..model.sizing import Usage
from ..model.upkeep import MaintenanceRequest, Upkeep
from ..sources.arrow import arrow_type
from ..sources.base import Source
from ..sources.keyed import KeyedReader, KeyedSource
from ..warehouses.base import Warehouse
from ..warehouses.keyed import Cycle, KeyedTarget, KeyedWarehouse, KeyedWriter, Position, UpdateColumns
from ..warehouses.sizing import Sizer
from .keyed_plan import plan_batches
from .retry import DEFAULT, Backoff, Retry, retrying

KeyedMode = Literal["auto", "full"]
EMIT_SECONDS = 5.0
TEXT_BYTES = 32
"""What a value without a fixed width counts for, when a size is chosen."""


def keyed_update(
    source: Source,
    warehouse: Warehouse,
    spec: KeyedUpdateSpec,
    partition: str = UNGROUPED,
    *,
    mode: KeyedMode = "auto",
    run_id: str = "",
    sizer: Sizer | None = None,
    emit: Emit = silent,
    backoff: Backoff = DEFAULT,
) -> KeyedReport:
    """Bring the partition's rows up to date. `auto` goes on with a cycle that was not finished, `full` never does, and
    forgets the change cursor's mark. `sizer` resizes the source's compute while batches are fetched.

    Raises SyncError for the first batch that fails, when those under way have ended; what was done stays done.
    """
    started = time.monotonic()
    keyed, store = able(source, warehouse, spec)
    report = KeyedReport(spec.name, partition)
    retrying(lambda: _keep_indexes(warehouse, spec, report, emit), backoff)
    reader = keyed.keyed(spec)
    with closing(store.keyed(spec.target, spec.name, partition)) as target:
        columns = retrying(lambda: target.prepare(spec, reader.columns()), backoff)
        report.key_indexed = retrying(target.key_index, backoff)
        cycle = retrying(lambda: _cycle(reader, target, spec, partition, mode, run_id, emit), backoff)
        _describe(report, cycle)
        with _sized(sizer, estimated_bytes(columns, cycle), run_id, emit, backoff) as usage:
            _Work(reader, target, spec, columns, cycle, report, emit, backoff).run()
        retrying(lambda: target.finish(cycle), backoff)
        report.analyzed = retrying(lambda: target.analyze_if(spec.analyze_above), backoff)
    report.source_effort = {**reader.effort(), **usage.facts()}
    report.seconds = round(time.monotonic() - started, 3)
    report.checks += _checks(spec, report)
    return report


def able(source: Source, warehouse: Warehouse, spec: KeyedUpdateSpec) -> tuple[KeyedSource, KeyedWarehouse]:
    """The two as a keyed update needs them. Raises ConfigError."""
    if not isinstance(source, KeyedSource) or not isinstance(warehouse, KeyedWarehouse):
        raise ConfigError(
            f"a keyed update reads from snowflake and updates postgres, not from {source.engine} to {warehouse.engine}",
            table=spec.target.name,
            fix="use TableSync",
        )
    return source, warehouse


def _keep_indexes(warehouse: Warehouse, spec: KeyedUpdateSpec, report: KeyedReport, emit: Emit) -> None:
    """Declared indexes before the first batch: without one on the key, each batch scans the table."""
    if spec.indexes:
        request = MaintenanceRequest(always_analyze=False)
        kept = warehouse.maintain(spec.target, Upkeep(spec.indexes), request, emit=emit)
        report.indexes_created = len(kept.indexes_created)
        report.checks.append(CheckResult("as_declared", not kept.drift, "WARN", "; ".join(kept.drift)))


def _cycle(
    reader: KeyedReader,
    target: KeyedTarget,
    spec: KeyedUpdateSpec,
    partition: str,
    mode: KeyedMode,
    run_id: str,
    emit: Emit,
) -> Cycle:
    """The cycle that was not finished, or a new one."""
    position = target.take(run_id)
    cycle = None if mode == "full" else _unfinished(spec, position)
    if cycle is None:
        return _plan(reader, target, spec, partition, position, mode, emit)
    emit("Going on with a cycle", table=spec.target.name, batches=len(cycle.batches), done=len(cycle.done))
    return cycle


def _unfinished(spec: KeyedUpdateSpec, position: Position) -> Cycle | None:
    """The cycle to go on with: of the same declaration, and of today's window."""
    cycle = position.cycle
    if cycle is None or not is_current(spec, position.fingerprint, cycle.rows.since, cycle.rows.until):
        return None
    return replace(cycle, epoch=position.epoch)


def is_current(spec: KeyedUpdateSpec, fingerprint: str | None, since: date | None, until: date | None) -> bool:
    """Whether a cycle is of this declaration, and of today's window."""
    return fingerprint == spec.fingerprint() and (since, until) == window_today(spec)


def window_today(spec: KeyedUpdateSpec) -> tuple[date | None, date | None]:
    """`[since, until)`; open where there is no window."""
    return spec.window.bounds(datetime.now(UTC)) if spec.window else (None, None)


def slice_of(spec: KeyedUpdateSpec, fingerprint: str | None, mark: datetime | None, until: date | None) -> Slice:
    """The rows of a new cycle after one that ended with this mark and window; a mark of another declaration is void."""
    after = mark if fingerprint == spec.fingerprint() else None
    return Slice(*window_today(spec), after, until if after else None)


def _plan(
    reader: KeyedReader,
    target: KeyedTarget,
    spec: KeyedUpdateSpec,
    partition: str,
    position: Position,
    mode: KeyedMode,
    emit: Emit,
) -> Cycle:
    """Measure the prefixes, and write the batches down."""
    rows = slice_of(spec, position.fingerprint, position.mark if mode == "auto" else None, position.until)
    mark = _next_mark(reader, spec, rows, rows.changed_after)
    if spec.prefix_column not in spec.key.values() and (duplicates := reader.duplicate_keys(rows)):
        raise ConfigError(
            f"{duplicates} keys ({', '.join(spec.key.values())}) have several rows in the source, which may fall into"
            " different batches",
            table=spec.target.name,
            fix="choose one row a key in a `query`, or name a key that is unique",
        )
    measured, without = measure_all(reader, spec, rows)
    batches = batches_of(reader, spec, rows, measured, partition)
    cycle = Cycle(position.epoch, position.epoch, rows, tuple(batches), frozenset(), mark, without)
    target.begin(cycle, spec.fingerprint())
    emit(
        "Planned batches",
        table=spec.target.name,
        batches=len(batches),
        rows=sum(batch.rows for batch in batches),
        rows_of_largest=max((batch.rows for batch in batches), default=0),
        changed_only=rows.changed_after is not None,
    )
    return cycle


def _next_mark(reader: KeyedReader, spec: KeyedUpdateSpec, rows: Slice, after: datetime | None) -> datetime | None:
    """From where the next cycle asks for changes: the maximum of now, but no younger than the lag; it never falls."""
    if spec.changed is None:
        return None
    highest, now = reader.last_change(rows)
    wanted = min(highest, now - spec.changed_lag) if highest else None
    return max((mark for mark in (wanted, after) if mark), default=None)


def batches_of(
    reader: KeyedReader, spec: KeyedUpdateSpec, rows: Slice, measured: Sequence[Prefix], partition: str
) -> list[Batch]:
    """The partition's batches, of all the prefixes that were measured."""
    mine = [prefix for prefix in measured if not spec.is_grouped or spec.group_of(prefix.text) == partition]
    return plan_batches(mine, lambda length, within: reader.measure(rows, length, within)[0], spec.batch)


def measure_all(reader: KeyedReader, spec: KeyedUpdateSpec, rows: Slice) -> tuple[list[Prefix], int]:
    """The prefixes' sizes, and how many rows lie in none: without a value, or outside of the declared prefixes."""
    if not spec.prefixes:
        return reader.measure(rows, spec.length)
    declared = [Prefix(text, len(text)) for text in spec.prefixes]
    found, _ = reader.measure(rows, max(prefix.length for prefix in declared), declared)
    everything, empty = reader.measure(rows, 0)
    return found, sum(prefix.rows for prefix in everything) + empty - sum(prefix.rows for prefix in found)


@contextmanager
def _sized(sizer: Sizer | None, bytes: int, run_id: str, emit: Emit, backoff: Backoff) -> Iterator[Usage]:
    """The compute is large enough for so many bytes within the block. Without any, only what a killed run left is put
    back."""
    with ExitStack() as stack:
        if sizer is not None and bytes:
            yield retrying(lambda: stack.enter_context(sizer.sized(bytes, run_id=run_id, emit=emit)), backoff, emit)
            return
        if sizer is not None:
            retrying(lambda: sizer.restore(None, emit), backoff, emit)
        yield Usage()


def estimated_bytes(columns: UpdateColumns, cycle: Cycle) -> int:
    """What is left to fetch: the rows that were counted, by the width of their columns as Arrow."""
    rows = sum(batch.rows for batch in cycle.batches if batch.number not in cycle.done)
    return round(rows * sum(_width(arrow_type(column.type)) for column in columns.columns.values()))


def _width(kind: pa.DataType) -> float:
    try:
        return kind.bit_width / 8
    except ValueError:  # of no fixed width
        return TEXT_BYTES


def _describe(report: KeyedReport, cycle: Cycle) -> None:
    report.batches = len(cycle.batches)
    report.batches_done_before = len(cycle.done)
    report.batch_rows_most = max((batch.rows for batch in cycle.batches), default=0)
    report.rows_without_prefix = cycle.rows_without_prefix
    rows = cycle.rows
    report.since, report.until = str(rows.since or ""), str(rows.until or "")
    report.changed_after = rows.changed_after.isoformat() if rows.changed_after else ""


@dataclass
class _Work:
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


def _checks(spec: KeyedUpdateSpec, report: KeyedReport) -> list[CheckResult]:
    """What was asserted batch by batch, and what a person should know."""
    counts, without = report.counts, report.rows_without_prefix
    split = counts.updated + counts.unchanged + counts.unmatched
    return [
        CheckResult(
            "row_count",
            counts.fetched == split,
            description=f"{counts.fetched} rows fetched = {counts.updated} updated + {counts.unchanged} unchanged"
            f" + {counts.unmatched} that the table does not have",
            metadata={"rows_fetched": counts.fetched, "rows_updated": counts.updated},
        ),
        CheckResult(
            "rows_without_prefix",
            not without,
            "WARN",
            f"{without} rows lie in no batch by their {spec.prefix_column}" if without else "",
            {"rows": without},
        ),
        CheckResult(
            "key_indexed",
            report.key_indexed,
            "WARN",
            ""
            if report.key_indexed
            else f"no index of {spec.target.name} begins with a key column ({', '.join(spec.key)}): each batch scans"
            " the table. Declare one in `indexes`",
        ),
    ]
