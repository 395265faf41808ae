"""How far one sync reads, and how much of it is proven final (DESIGN 5, rules 1, 4 and 7)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..model.capture import Capture
from ..model.errors import IdentityChanged
from ..model.manifest import DataFile, Manifest
from ..model.marks import Mark, highest, is_below, lowest, show
from ..model.partition import Partition
from ..model.report import Emit
from ..model.table import TableSpec
from ..sources.base import Source
from .rules import Resolved

POLL_SECONDS = 0.1
CAPTURES_MOST = 32


@dataclass(frozen=True)
class Window:
    """`(low, high]` of a partition; rows up to `safe` are final. `pending` are captures for the next sync to judge.

    `sentinel` is an id above the sequence whose rows are read beside the window; `ids_from_elsewhere` says that there
    are too many for that. `carried` are the provisional files of the last manifest where they are not read again: see
    `carry`.
    """

    low: Mark | None
    safe: Mark | None
    high: Mark | None
    proof: str
    pending: tuple[Capture, ...] = ()
    sentinel: Mark | None = None
    pinned_seconds: float = 0.0
    ids_from_elsewhere: bool = False
    carried: tuple[DataFile, ...] = ()

    def has_news(self, head: Manifest | None) -> bool:
        """Rule 7: something to read if the maximum is above `high`, or `safe` has not reached it."""
        if self.high is None:
            return False
        return head is None or is_below(head.high, self.high) or is_below(head.safe, self.high)


def settle(
    source: Source,
    spec: TableSpec,
    resolved: Resolved,
    captures: Sequence[Capture],
    emit: Emit,
) -> list[Capture]:
    """Wait at most `settle_seconds` for the listed writers of the newest capture to end; the captures as judged."""
    deadline = time.monotonic() + spec.settle_seconds
    judged = source.judge(spec, resolved.order, captures)
    newest = captures[-1]
    while True:
        current = next((c for c in judged if c.source_time == newest.source_time), None)
        if current is None or current.proven or time.monotonic() >= deadline or current.proof == "lag":
            break
        time.sleep(POLL_SECONDS)
        judged = source.judge(spec, resolved.order, judged)
    emit("ceiling judged", proven=sum(c.proven for c in judged), unproven=sum(not c.proven for c in judged))
    return judged


def stamp(source: Source, table: str, head: Manifest | None, emit: Emit) -> datetime:
    """The source's time, taken before the first row; later than the extraction before, though its clock was set back.

    Which version of a row wins is decided by it (DESIGN 6).
    """
    now = source.clock(table)
    if head is None or now > head.captured_at:
        return now
    emit("source clock was set back", table=table, seconds=(head.captured_at - now).total_seconds())
    return head.captured_at + timedelta(microseconds=1)


def open_window(
    partition: Partition,
    head: Manifest | None,
    capture: Capture,
    judged: Sequence[Capture],
    *,
    whole: bool,
    forget: bool,
) -> Window:
    """The window of this sync. `whole` reads the partition from its start; `forget` drops the marks of before.

    Only captures proven *before the first row is read* may raise `safe` (rule 1): the caller has judged them by now.
    """
    before = None if head is None or forget else head.safe
    provable = [c.provable for c in judged if c.proven and c.provable is not None]
    safe = highest(before, _within(highest(*provable), partition))
    high = highest(_within(capture.ceiling, partition), None if head is None or forget else head.high)
    safe = lowest(safe, high)
    pending = [c for c in judged if not c.proven]
    waiting = max(((capture.source_time - (c.first_seen or c.source_time)).total_seconds() for c in pending), default=0)
    return Window(
        low=None if whole else before,
        safe=safe,
        high=high,
        proof=capture.proof,
        pending=_thinned(pending),
        sentinel=capture.sentinel,
        pinned_seconds=waiting,
        ids_from_elsewhere=capture.allocated is not None
        and capture.sentinel is None
        and is_below(capture.allocated, capture.ceiling),
    )


def carry(window: Window, head: Manifest | None, spec: TableSpec) -> Window:
    """Cap the tail that is read again: while one writer pins `safe` for longer than `pin_limit`, the provisional files
    of the last manifest stay, and only what lies above its `high` is read. Once `safe` moves, all of it is read again.
    """
    pinned = window.pinned_seconds > spec.pin_limit.total_seconds()
    if not pinned or head is None or window.low is None or window.low != head.safe or window.safe != head.safe:
        return window
    if spec.null_cursor == "include" or window.sentinel is not None:
        return window
    return replace(window, carried=carried(head))


def is_closed(window: Window, partition: Partition) -> bool:
    """Closed only when `safe` has reached the partition's end."""
    return partition.end is not None and window.safe == (partition.end,)


def assert_grown(head: Manifest | None, capture: Capture | None, partition: Partition, table: str) -> None:
    """A maximum below `safe` means another table than the one that was read: truncated, restored, or rows deleted."""
    if has_shrunk(head, capture, partition):
        assert head is not None
        reached = show(_within(capture.ceiling, partition)) if capture else "none: the table is empty"
        raise IdentityChanged(
            f"the source's highest cursor value ({reached}) lies below what was proven final ({show(head.safe)}): "
            "the table was truncated, restored, or its newest rows were deleted",
            table=table,
            partition=head.partition,
            fix="`syncer run --full` reads it anew; what that does not bring is left to reconcile",
        )


def has_shrunk(head: Manifest | None, capture: Capture | None, partition: Partition) -> bool:
    """True if the maximum fell below `safe`, and no sequence shows that ids above were handed out before."""
    if head is None or head.safe is None:
        return False
    if capture is not None and capture.allocated is not None and not is_below(capture.allocated, head.safe):
        return False
    return is_below(_within(capture.ceiling, partition) if capture else None, head.safe)


def carried(head: Manifest) -> tuple[DataFile, ...]:
    """The provisional files of a manifest as the next one names them again, with the extraction that they are of."""
    read = {"carried_from": head.seq, "captured_at": head.captured_at.isoformat()}
    tail = [file for file in head.files if file.provisional]
    return tuple(file if file.carried_from is not None else replace(file, **read) for file in tail)


def _within(mark: Mark | None, partition: Partition) -> Mark | None:
    """A mark cut to the partition: None below its start, `(end,)` where it reaches the end."""
    if mark is None:
        return None
    if partition.end is not None and not is_below(mark[:1], (partition.end,)):
        return (partition.end,)
    if partition.start is not None and is_below(mark[:1], (partition.start,)):
        return None
    return mark


def _thinned(captures: Sequence[Capture]) -> tuple[Capture, ...]:
    """At most CAPTURES_MOST: while one writer stays open for days, every second capture of the middle is as good."""
    kept = list(captures)
    while len(kept) > CAPTURES_MOST:
        kept = [*kept[0:1], *kept[1:-1:2], kept[-1]]
    return tuple(kept)
