"""Extraction: one sync of one partition of a table into the lake (DESIGN 5 and 6)."""

import time
from collections.abc import Callable

from ..model.errors import AttemptVoid, DbError, LostRace, ObjectStoreError
from ..model.partition import UNPARTITIONED
from ..model.report import Emit, SyncReport, silent
from ..model.table import Mode, TableSpec
from ..sources.base import Source
from .attempt import Attempt
from .lake import Lake
from .progress import Progress, peak_memory_mb
from .retry import DEFAULT, Backoff, Retry

ATTEMPTS = 5


def extract(
    source: Source,
    lake: Lake,
    spec: TableSpec,
    partition: str = UNPARTITIONED,
    *,
    mode: Mode = "auto",
    asked_by_person: bool = False,
    run_id: str = "",
    emit: Emit = silent,
    progress: Callable[[Progress], None] | None = None,
    backoff: Backoff = DEFAULT,
) -> SyncReport:
    """Read what is new in a partition and commit it to the lake; the report says what was committed and asserted.

    `mode: auto` reads an open partition on from its mark and re-reads a closed one whole only when a person asked for
    it; `continue` never re-reads, `full` always does. An attempt that lost a race, its server or its columns is thrown
    away and made afresh, at most ATTEMPTS times. Raises SyncError; nothing is half done then.
    """
    started = time.monotonic()
    retry, anew, number = Retry(backoff, emit), Retry(backoff, emit), 1  # rows that come give only the first new hope
    report, first_seq = SyncReport(table=spec.table, partition=partition), None
    while True:
        try:
            attempt = Attempt.prepare(source, lake, spec, partition, mode, asked_by_person, run_id, emit)
            first_seq = first_seq or (attempt.head.seq + 1 if attempt.head else 1)
            attempt.run(report, progress, retry)
            break
        except (LostRace, AttemptVoid) as error:
            if number == ATTEMPTS:
                raise
            number += 1
            emit("attempt thrown away", reason=error.kind)
        except (DbError, ObjectStoreError) as error:
            anew.again(error)
            emit("source connection lost, starting anew", code=error.code)
    if removed := lake.remove_orphans(attempt.place, since=first_seq):
        emit("orphans removed", objects=removed)
    report.seconds = round(time.monotonic() - started, 3)
    report.peak_memory_mb = peak_memory_mb()
    return report
