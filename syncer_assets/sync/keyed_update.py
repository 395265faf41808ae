"""Keyed updates: a warehouse table's columns are kept like a source's, in batches of key prefixes, several at a time.

Nothing of a batch is half done: its rows and its line in the ledger are one transaction. A run that was killed goes on
with the batches that are left. Prefixes and keys may be personal: neither is told by any event, report or error.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pyarrow as pa

from ..model.errors import ConfigError
from ..model.keyed_update import UNGROUPED, KeyedReport, KeyedUpdateSpec
from ..model.report import CheckResult, Emit, silent
from ..model.sizing import Usage
from ..model.upkeep import MaintenanceRequest, Upkeep
from ..sources.arrow import arrow_type
from ..sources.base import Source
from ..sources.keyed import KeyedSource
from ..warehouses.base import Warehouse
from ..warehouses.keyed import Cycle, KeyedWarehouse, UpdateColumns
from ..warehouses.sizing import Sizer
from .keyed_cycle import KeyedMode, cycle_of
from .keyed_work import Work
from .retry import DEFAULT, Backoff, retrying

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
        report.columns = [(name, columns.types[name], columns.columns[name].name) for name in columns.targets]
        report.key_indexed = retrying(target.key_index, backoff)
        cycle = retrying(lambda: cycle_of(reader, target, spec, partition, mode, run_id, emit), backoff)
        _describe(report, cycle)
        with _sized(sizer, estimated_bytes(columns, cycle), run_id, emit, backoff) as usage:
            Work(reader, target, spec, columns, cycle, report, emit, backoff).run()
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
