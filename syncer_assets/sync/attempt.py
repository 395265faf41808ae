"""One attempt of a sync: what is found before the first row is read, the window, its rows, the manifest."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from .. import __version__
from ..model.capture import Capture, ServerIdentity
from ..model.errors import AttemptVoid, ConfigError
from ..model.manifest import Manifest
from ..model.marks import show
from ..model.partition import Partition
from ..model.report import Emit, SyncReport
from ..model.table import Mode, TableSpec
from ..sources.base import Read, Source, TableFacts
from . import checks, outcome, table_note
from .chunks import LoopStats
from .lake import Lake, Place
from .loop import Loop
from .mask import masker
from .metrics import Metrics
from .outside import refuse_null_cursor, refuse_null_order
from .progress import Progress, ProgressMeter
from .retry import Retry
from .rules import Resolved, check_same_cursor, check_same_rules, follows, resolve
from .savings import FixedRanges
from .whole_table import extract_whole_table
from .window import Window, assert_grown, carry, has_shrunk, is_closed, open_window, settle, stamp
from .writer import Count, Verify, WindowWriter


@dataclass(frozen=True)
class Attempt:
    """One attempt: what was found before the first row is read."""

    source: Source
    lake: Lake
    spec: TableSpec
    place: Place
    identity: ServerIdentity
    facts: TableFacts
    resolved: Resolved
    note: table_note.TableNote
    head: Manifest | None
    full: bool
    may_reread: bool
    may_read_on: bool
    run_id: str
    emit: Emit

    @classmethod
    def prepare(
        cls,
        source: Source,
        lake: Lake,
        spec: TableSpec,
        key: str,
        mode: Mode,
        asked_by_person: bool,
        run_id: str,
        emit: Emit,
    ) -> "Attempt":
        """Look at the table, the lake and the marks. Raises ConfigError or IdentityChanged before anything is read."""
        identity, facts = source.identity(), source.describe(spec.table)
        resolved = resolve(spec, facts)
        place = Place(spec.source, spec.table, key)
        note = table_note.read(lake, place, spec, identity.database)
        full = mode == "full"
        table_note.check_scheme(note, spec, full=full or not spec.cursor)
        head = lake.head(place)
        table_note.check_identity(note, head, identity.database, full=full)
        closed = head is not None and head.closed
        may_reread = full or (closed and mode == "auto" and asked_by_person)
        if spec.cursor and not full:
            check_same_cursor(head, spec, resolved)
        if spec.cursor and not may_reread:
            check_same_rules(head, resolved.columns)
            table_note.check_where(head, spec)
        return cls(
            source=source,
            lake=lake,
            spec=spec,
            place=place,
            identity=identity,
            facts=facts,
            resolved=resolved,
            note=note,
            head=head,
            full=full,
            may_reread=may_reread,
            may_read_on=not closed,
            run_id=run_id,
            emit=emit,
        )

    def run(self, report: SyncReport, progress: Callable[[Progress], None] | None, retry: Retry) -> None:
        """Read and commit; what was committed is added to `report`, which may hold what earlier attempts committed.

        Raises LostRace or AttemptVoid where the attempt has to be made afresh.
        """
        report.columns, report.uri = self.resolved.columns, self.lake.uri(self.place)
        if self.spec.cursor:
            self._run_window(report, progress, retry)
        else:
            draft = self._draft(None, stamp(self.source, self.spec.table, self.head, self.emit), "replace")
            ranges = FixedRanges(None, self.spec.chunk.rows)
            metrics = Metrics(self.spec, LoopStats(), ranges, asked_before=2)
            writer = self._writer(draft, lambda manifest: 0, lambda manifest, rows, found: 0, metrics, report)
            with writer:
                extract_whole_table(
                    self.source, self.place, self.spec, self.resolved, self.head, writer, report, self.emit
                )
        table_note.renew_scheme(self.lake, self.place, self.note, self.spec)

    def _run_window(self, report: SyncReport, progress: Callable[[Progress], None] | None, retry: Retry) -> None:
        assert self.resolved.cursor is not None
        partition = self.spec.partitions.partition(self.place.partition, self.resolved.cursor.kind)
        refuse_null_cursor(self.source, self.spec, self.resolved)
        capture = self.source.capture(self.spec, self.facts, self.resolved.order)
        report.queries += 1
        self.emit("ceiling captured", watermark_ceiling=show(capture.ceiling) if capture else None)
        if not self.full:
            assert_grown(self.head, capture, partition, self.spec.table)
        reads_nulls = self.spec.null_cursor == "include" and partition.start is None
        emptied = self.full and capture is None and self.head is not None
        if not (reads_nulls or emptied) and (capture is None or not (self.may_reread or self.may_read_on)):
            return self._tell_nothing_new(report)
        if self.may_reread and self.spec.load == "append" and not self.resolved.key:
            raise ConfigError(
                "a re-read would double the rows of an `append` table without a key",
                table=self.spec.table,
                partition=self.place.partition,
                fix="name a `key`, or empty the target and the lake's folder of the table first",
            )
        window = self._open_window(partition, capture)
        reads_sentinel = window.sentinel is not None and partition.start is None and partition.end is None
        if not (window.has_news(None if self.may_reread else self.head) or reads_nulls or reads_sentinel or emptied):
            return self._tell_nothing_new(report, window)
        window = carry(window, self.head, self.spec)
        server = capture.server if capture else self.identity.server
        self._read(window, partition, server, report, progress, retry)

    def _open_window(self, partition: Partition, capture: Capture | None) -> Window:
        if capture is None:
            return Window(low=None, safe=None, high=None, proof="snapshot")
        forget = self.full and (
            not table_note.belongs(self.note, self.head, self.identity.database)
            or not follows(self.head, self.spec, self.resolved)
            or has_shrunk(self.head, capture, partition)
        )
        earlier = () if self.head is None or forget else self.head.captures
        judged = settle(self.source, self.spec, self.resolved, [*earlier, capture], self.emit)
        return open_window(partition, self.head, capture, judged, whole=self.may_reread, forget=forget)

    def _read(
        self,
        window: Window,
        partition: Partition,
        server: str,
        report: SyncReport,
        progress: Callable[[Progress], None] | None,
        retry: Retry,
    ) -> None:
        spec, emit = self.spec, self.emit
        asked = time.monotonic()
        captured_at = stamp(self.source, spec.table, self.head, emit)
        round_trip_seconds = time.monotonic() - asked
        emit("window opened", low=show(window.low), safe=show(window.safe), watermark_ceiling=show(window.high))
        draft = self._draft(window, captured_at, "replace" if self.may_reread and self.head else "append")
        draft = replace(draft, closed=is_closed(window, partition), files=window.carried)
        base = self._base(window, partition)
        refuse_null_order(self.source, spec, self.resolved, base)
        loop = Loop.of(
            self.source,
            self.lake,
            self.place,
            spec,
            self.resolved,
            self.facts,
            base,
            window,
            self.head,
            server=server,
            retry=retry,
            emit=emit,
        )
        metrics = Metrics(
            spec,
            loop.stats,
            FixedRanges(self.resolved.cursor, spec.chunk.rows),
            round_trip_seconds,
            workers=loop.choice.workers,
            lag_seconds=outcome.lag_seconds(window.safe, captured_at),
        )
        writer = self._writer(
            draft,
            lambda manifest: checks.count_window(self.source, base, manifest),
            lambda manifest, rows, found: checks.verify_window(self.source, self.lake, base, manifest, rows, found),
            metrics,
            report,
        )
        with writer:
            self._write(loop, base, window, writer, ProgressMeter(progress, window.low, window.high))
            self._assert_same_table(server)
            if self.may_reread or window.has_news(self.head):
                writer.finish()
            elif not writer.finish_unless_same(self.head):
                report.queries += loop.stats.queries
                return self._tell_nothing_new(report, window)
        outcome.tell(report, spec, window, loop, writer, metrics, emit)
        report.checks = checks.lake_checks(
            self.source,
            spec,
            self.resolved,
            self.facts,
            window,
            report.rows,
            writer.rows_left_window,
            () if window.low is None else checks.columns_needing_full(self.source, base, self.head, self.resolved),
        )

    def _write(self, loop: Loop, base: Read, window: Window, writer: WindowWriter, meter: ProgressMeter) -> None:
        """All rows of the window, then those beside it."""
        rest = loop.read_in_parallel(base, window, writer, meter) if window.high else None
        if rest is not None:
            with loop.batches(rest) as batches:
                for batch in batches:
                    writer.add(batch)
                    meter.add(batch.num_rows, writer.page)
        for read in _beside(self.spec, self.resolved, base, window):
            with loop.pages(read) as batches:
                for batch in batches:
                    writer.add_beside(batch)
                    meter.add(batch.num_rows, writer.page)

    def _base(self, window: Window, partition: Partition) -> Read:
        """The rows of the window."""
        return Read(
            table=self.spec.table,
            columns=self.resolved.read,
            order=self.resolved.order,
            cursor=self.spec.cursor,
            after=self.head.high if self.head and window.carried else window.low,
            upto=window.high,
            start=partition.start,
            end=partition.end,
            prefix_column=partition.column,
            prefix=partition.prefix,
            prefix_length=partition.length,
            with_ties=self.resolved.with_ties,
            where=self.resolved.where,
        )

    def _draft(self, window: Window | None, captured_at: datetime, mode: str) -> Manifest:
        return Manifest(
            seq=self.head.seq + 1 if self.head else 1,
            mode=mode,  # type: ignore[arg-type]  # one of two constants
            source=self.spec.source,
            engine=self.source.engine,
            source_identity=self.identity.database,
            table=self.spec.table,
            partition=self.place.partition,
            low=window.low if window else None,
            safe=window.safe if window else None,
            high=window.high if window else None,
            proof=window.proof if window else "snapshot",
            captures=window.pending if window else (),
            captured_at=captured_at,
            key=self.resolved.key,
            cursor=self.spec.cursor,
            order=self.resolved.order,
            columns=self.resolved.columns,
            files=(),
            rows=0,
            scheme=self.spec.scheme,
            run_id=self.run_id,
            code_version=__version__,
        )

    def _writer(
        self, draft: Manifest, count: Count, verify: Verify, metrics: Metrics, report: SyncReport
    ) -> WindowWriter:
        return WindowWriter(
            self.lake,
            self.place,
            self.spec,
            draft,
            mask=masker(self.spec, [column.name for column in draft.columns]),
            count_rows=count,
            verify=verify,
            metrics=metrics,
            report=report,
            emit=self.emit,
        )

    def _assert_same_table(self, server: str) -> None:
        """Before the manifest is put: the columns and the server are those that the window was opened with."""
        if resolve(self.spec, self.source.describe(self.spec.table)).columns != self.resolved.columns:
            raise AttemptVoid("its columns changed while it was read", table=self.spec.table)
        if self.source.identity().server != server:
            raise AttemptVoid("another server answers than at the start", table=self.spec.table)

    def _tell_nothing_new(self, report: SyncReport, window: Window | None = None) -> None:
        standing = checks.standing_checks(self.source, self.spec, self.resolved, self.facts, window)
        outcome.tell_nothing_new(report, self.head, standing, self.emit)


def _beside(spec: TableSpec, resolved: Resolved, base: Read, window: Window) -> list[Read]:
    """Reads beside the window, provisional each time: rows without a cursor, and sentinels above the sequence."""
    reads = []
    if spec.null_cursor == "include" and base.start is None:
        keys = tuple(column for column in resolved.order if column.name in resolved.key)
        reads.append(replace(base, null_cursor=True, order=keys, after=None, upto=None, end=None))
    if window.sentinel is not None and base.start is None and base.end is None:
        reads.append(replace(base, after=window.high, upto=window.sentinel))
    return reads
