"""Which batches a keyed update writes: those that a run left, or those that the prefixes' sizes make now."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Literal

from ..model.errors import ConfigError
from ..model.keyed_update import Batch, KeyedUpdateSpec, Prefix, Slice
from ..model.report import Emit
from ..sources.keyed import KeyedReader
from ..warehouses.keyed import Cycle, KeyedTarget, Position
from .keyed_plan import plan_batches

KeyedMode = Literal["auto", "full"]


def cycle_of(
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
