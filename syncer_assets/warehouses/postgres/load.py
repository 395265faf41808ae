"""A load from beginning to end: epoch, staging, ONE transaction, and what to do when COMMIT gives no answer."""

import resource
import time
from contextlib import suppress
from dataclasses import replace

import psycopg

from ...model.errors import CommitUnknown
from ...model.report import CheckResult, LoadReport
from ...model.table import RefreshSettings
from .. import protocol
from ..base import LoadPlan
from . import deletes, indexes, ledger, schema, staging, swap, write
from .refresh import SwapInstead
from .schema import Shape
from .session import Sessions, commit, transaction
from .staging import Staging
from .swap import CannotSwap, Shadow
from .write import DuplicateKeys, Outcome

SWAP_PATIENCE_SECONDS = 60.0
"""How long readers may keep a new table from taking its place; then the changes are written into the old one."""
SWAP_PAUSE_SECONDS = 1.0
SWAP_REFUSED = (
    psycopg.errors.DependentObjectsStillExist,
    psycopg.errors.InvalidTableDefinition,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
)
"""What the server answers where a table has something that cannot be carried over."""


def load(sessions: Sessions, plan: LoadPlan) -> LoadReport:
    """Load every pending manifest of a partition. The report is true only of a load that was committed.

    Raises LostRace (another load was faster: retry), IdentityChanged, SchemaChanged, RefusedByGuard, AssertionFailed,
    LakeCorrupt, DbError; in every case the target is as it was."""
    started = time.monotonic()
    if not plan.manifests:
        return LoadReport(plan.target.name, plan.partition, nothing_new=True, seq=plan.expected_seq)
    protocol.check_plan(plan)
    connection = sessions.open()
    try:
        with sessions.errors("load", plan.target.name, plan.partition):
            outcome = _load(sessions, connection, plan, started)
    finally:
        connection.close()
    if outcome.created:
        later = indexes.put_off(plan.indexes, outcome.copied)
        indexes.create_by_sessions(sessions, plan.target, later, plan.emit)
    return _report(plan, outcome, time.monotonic() - started)


def _load(sessions: Sessions, connection: psycopg.Connection, plan: LoadPlan, started: float) -> Outcome:
    epoch = ledger.take_epoch(connection, plan.target)
    plan.emit("epoch taken", table=plan.target.name, partition=plan.partition, epoch=epoch)
    ledger.check_position(connection, plan)
    ledger.check_table(connection, plan)
    shape = schema.shape(connection, plan)
    if shape.oid is not None:
        swap.drop(connection, plan.target, shape.oid)
    if write.copies_straight(plan, shape):
        try:
            return _transact(sessions, connection, plan, shape, epoch, None, started)
        except DuplicateKeys:
            plan.emit("Keys are not unique, staging instead", table=plan.target.name, partition=plan.partition)
    staged = staging.stage(connection, plan, shape)
    deletes.stage(connection, plan, shape)
    plan.emit("rows staged", table=plan.target.name, partition=plan.partition, rows=staged.copied)
    try:
        return _transact(sessions, connection, plan, shape, epoch, staged, started)
    except SwapInstead as wanted:
        return _swap(sessions, connection, plan, shape, epoch, staged, started, wanted)


def _swap(
    sessions: Sessions,
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    epoch: int,
    staged: Staging,
    started: float,
    wanted: SwapInstead,
) -> Outcome:
    """Build the new table beside the old one, then only put it in place, as often as readers make that necessary."""
    assert shape.oid is not None
    write.settle(connection, plan, shape, staged)
    try:
        shadow = swap.build(sessions, connection, plan, shape, epoch)
        plan.emit("shadow built", table=plan.target.name, rows=shadow.rows)
        deadline = time.monotonic() + SWAP_PATIENCE_SECONDS
        swap.outlive_older(connection, deadline)
        plan.emit("shadow ready", table=plan.target.name, rows=shadow.rows)
        while True:
            try:
                return _transact(sessions, connection, plan, shape, epoch, staged, started, (shadow, wanted))
            except psycopg.errors.LockNotAvailable:
                if time.monotonic() > deadline:
                    raise CannotSwap("a reader held it for too long") from None
                plan.emit("Readers hold the table, swapping later", table=plan.target.name)
                time.sleep(SWAP_PAUSE_SECONDS)
    except (CannotSwap, *SWAP_REFUSED) as error:
        reason = str(error) if isinstance(error, CannotSwap) else type(error).__name__
        plan.emit("No swap, writing what changed", table=plan.target.name, reason=reason)
        diff = replace(plan, refresh=RefreshSettings("diff"))
        outcome = _transact(sessions, connection, diff, shape, epoch, staged, started)
        outcome.why = f"{wanted.reason}, but no swap: {reason}"
        return outcome
    finally:
        with suppress(psycopg.Error):  # a committed load stays one; the next load drops what stays
            swap.drop(connection, plan.target, shape.oid, epoch)


def _transact(
    sessions: Sessions,
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    epoch: int,
    staged: Staging | None,
    started: float,
    instead: tuple[Shadow, SwapInstead] | None = None,
) -> Outcome:
    """The one transaction. What it does is decided before COMMIT; whether it did, by COMMIT or else by the ledger."""
    before = _wal_position(connection)
    try:
        with transaction(connection):
            ledger.fence(connection, plan, epoch)
            ledger.check_position(connection, plan)
            ledger.check_table(connection, plan)
            write.change(connection, plan, shape)
            outcome = (
                write.put(connection, plan, shape, staged, *instead)
                if instead
                else write.write(connection, plan, shape, staged)
            )
            plan.emit("rows merged", table=plan.target.name, partition=plan.partition, how=outcome.how)
            outcome.wal_bytes = _wal_bytes(connection, before)
            seconds = time.monotonic() - started
            ledger.record(
                connection, plan, outcome.counts, how=outcome.how, seconds=seconds, wal_bytes=outcome.wal_bytes
            )
            plan.emit("ledger written", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
            with sessions.errors("commit", plan.target.name, plan.partition):
                commit(connection)
    except CommitUnknown as unknown:
        protocol.resolve_commit(sessions, ledger.was_committed, plan, unknown)
        return outcome
    plan.emit("load committed", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
    with suppress(psycopg.Error):  # it is committed: what the server tells no more is left out
        outcome.wal_bytes = _wal_bytes(connection, before)
        outcome.target_rows = _target_rows(connection, plan, outcome)
    return outcome


def _wal_position(connection: psycopg.Connection) -> int | None:
    """The server's WAL position in bytes; None where the role may not ask. Other sessions write WAL, too."""
    try:
        row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return None
    if row is None:
        return None
    high, _, low = str(row[0]).partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _wal_bytes(connection: psycopg.Connection, before: int | None) -> int | None:
    """WAL written since `before`; None where the role may not ask, which must not end a transaction."""
    after = None if before is None else _wal_position(connection)
    return None if before is None or after is None else after - before


def _target_rows(connection: psycopg.Connection, plan: LoadPlan, outcome: Outcome) -> int | None:
    if outcome.created:
        return sum(count.inserted for count in outcome.counts.values())
    row = connection.execute(
        "SELECT CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        (plan.target.schema, plan.target.table),
    ).fetchone()
    return row[0] if row else None


def _report(plan: LoadPlan, outcome: Outcome, seconds: float) -> LoadReport:
    counts = outcome.counts.values()
    rows = sum(count.rows_in for count in counts)
    named = sum(live.file.rows for live in plan.files)
    return LoadReport(
        target=plan.target.name,
        partition=plan.partition,
        manifests=len(plan.manifests),
        rows=rows,
        rows_inserted=sum(count.inserted for count in counts),
        rows_updated=sum(count.updated for count in counts),
        rows_unchanged=sum(count.unchanged for count in counts),
        rows_stale=sum(count.stale for count in counts),
        rows_deduplicated=sum(count.deduplicated for count in counts),
        rows_deleted=sum(count.deleted for count in counts),
        bytes=sum(live.file.bytes for live in plan.files),
        files=len(plan.files),
        copies=1 if plan.files else 0,
        seconds=round(seconds, 3),
        wal_bytes=outcome.wal_bytes,
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        seq=plan.manifests[-1].seq,
        target_rows_estimate=outcome.target_rows,
        how=outcome.how,
        refresh_reason=outcome.why,
        columns=plan.columns,
        checks=[
            CheckResult(
                "row_count",
                passed=True,
                description="rows staged = rows of the manifests; every staged key is in the target",
                metadata={"staged": outcome.copied, "manifest": named, "in_target": outcome.in_target},
            )
        ],
    )
