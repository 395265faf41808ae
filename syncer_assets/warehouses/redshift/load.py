"""A load from beginning to end: epoch, staging, ONE transaction, and what to do when COMMIT gives no answer."""

import resource
import time

import psycopg

from ...model.errors import CommitUnknown
from ...model.report import CheckResult, LoadReport
from .. import protocol
from ..base import LoadPlan
from . import ledger, schema, staging, write
from .schema import Shape
from .session import Sessions, commit, transaction
from .staging import Staging
from .write import Outcome


def load(sessions: Sessions, plan: LoadPlan, iam_role: str) -> LoadReport:
    """Load every pending manifest of a partition. The report is true only of a load that was committed.

    Raises LostRace (another load was faster: retry), IdentityChanged, SchemaChanged, RefusedByGuard, AssertionFailed,
    LakeCorrupt, DbError; in every case the target's rows are as they were."""
    started = time.monotonic()
    if not plan.manifests:
        return LoadReport(plan.target.name, plan.partition, nothing_new=True, seq=plan.expected_seq)
    protocol.check_plan(plan)
    connection = sessions.open(f"{plan.target.name} {plan.partition} {plan.run_id}")
    try:
        with sessions.errors("load", plan.target.name, plan.partition):
            outcome = _load(sessions, connection, plan, iam_role, started)
    finally:
        connection.close()
    return _report(plan, outcome, time.monotonic() - started)


def _load(sessions: Sessions, connection: psycopg.Connection, plan: LoadPlan, iam_role: str, started: float) -> Outcome:
    epoch = ledger.take_epoch(connection, plan.target)
    plan.emit("epoch taken", table=plan.target.name, partition=plan.partition, epoch=epoch)
    ledger.check_position(connection, plan)
    ledger.check_table(connection, plan)
    shape = schema.shape(connection, plan)
    if shape.widenings:
        for widening in shape.widenings:  # nothing is lost by one that stays without its load
            connection.execute(widening)
        shape = schema.shape(connection, plan)
    staged = staging.stage(connection, plan, shape, iam_role)
    plan.emit("rows staged", table=plan.target.name, partition=plan.partition, rows=staged.copied)
    return _transact(sessions, connection, plan, shape, epoch, staged, started)


def _transact(
    sessions: Sessions,
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    epoch: int,
    staged: Staging,
    started: float,
) -> Outcome:
    """The one transaction. What it does is decided before COMMIT; whether it did, by COMMIT or else by the ledger."""
    try:
        with transaction(connection):
            ledger.fence(connection, plan, epoch)
            ledger.check_position(connection, plan)
            ledger.check_table(connection, plan)
            write.change(connection, plan, shape)
            outcome = write.write(connection, plan, shape, staged)
            plan.emit("rows merged", table=plan.target.name, partition=plan.partition, how=outcome.how)
            seconds = time.monotonic() - started
            ledger.record(connection, plan, outcome.counts, how=outcome.how, seconds=seconds, copies=outcome.copies)
            plan.emit("ledger written", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
            with sessions.errors("commit", plan.target.name, plan.partition):
                commit(connection)
    except CommitUnknown as unknown:
        protocol.resolve_commit(sessions, ledger.was_committed, plan, unknown)
        return outcome
    plan.emit("load committed", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
    return outcome


def _report(plan: LoadPlan, outcome: Outcome, seconds: float) -> LoadReport:
    counts = outcome.counts.values()
    return LoadReport(
        target=plan.target.name,
        partition=plan.partition,
        manifests=len(plan.manifests),
        rows=sum(count.rows_in for count in counts),
        rows_inserted=sum(count.inserted for count in counts),
        rows_updated=sum(count.updated for count in counts),
        rows_unchanged=sum(count.unchanged for count in counts),
        rows_stale=sum(count.stale for count in counts),
        rows_deduplicated=sum(count.deduplicated for count in counts),
        rows_deleted=sum(count.deleted for count in counts),
        bytes=sum(live.file.bytes for live in plan.files),
        files=len(plan.files),
        copies=outcome.copies,
        seconds=round(seconds, 3),
        peak_memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        seq=plan.manifests[-1].seq,
        how=outcome.how,
        refresh_reason=outcome.why,
        columns=plan.columns,
        checks=[
            CheckResult(
                "row_count",
                passed=True,
                description="rows staged = rows of the manifests; every staged key is in the target",
                metadata={
                    "staged": outcome.copied,
                    "manifest": sum(live.file.rows for live in plan.files),
                    "in_target": outcome.in_target,
                },
            )
        ],
    )
