"""A load from beginning to end: epoch, staging, ONE transaction, and what to do when COMMIT gives no answer."""

import resource
import time
from collections.abc import Mapping
from contextlib import suppress

from ...model.errors import CommitUnknown, LostRace
from ...model.report import CheckResult, LoadReport
from .. import protocol
from ..base import LoadPlan
from . import history, ledger, names, schema, staging, write
from .ledger import Counts
from .schema import Shape
from .session import Session, Sessions, commit, tag, transaction
from .staging import Staging
from .write import Outcome

NO_SUCH_OBJECT = 2003


def load(sessions: Sessions, plan: LoadPlan, options: Mapping[str, str]) -> LoadReport:
    """Load every pending manifest of a partition. The report is true only of a load that was committed.

    Raises LostRace (another load was faster: retry), IdentityChanged, SchemaChanged, RefusedByGuard, AssertionFailed,
    LakeCorrupt, DbError; in every case the target's rows are as they were."""
    started = time.monotonic()
    if not plan.manifests:
        return LoadReport(plan.target.name, plan.partition, nothing_new=True, seq=plan.expected_seq)
    protocol.check_plan(plan)
    session = sessions.open()
    try:
        with sessions.errors("load", plan.target.name, plan.partition):
            tag(session, run_id=plan.run_id, table=plan.target.name, partition=plan.partition)
            outcome = _load(sessions, session, plan, options, started)
        report = _report(plan, outcome, time.monotonic() - started)
        report.facts = history.facts(sessions, session, report.rows_inserted + report.rows_updated, outcome.target_rows)
        return report
    finally:
        session.close()


def _load(sessions: Sessions, session: Session, plan: LoadPlan, options: Mapping[str, str], started: float) -> Outcome:
    epoch = ledger.take_epoch(session, plan.target)
    plan.emit("epoch taken", table=plan.target.name, partition=plan.partition, epoch=epoch)
    ledger.check_position(session, plan)
    ledger.check_table(session, plan)
    shape = schema.shape(session, plan)
    write.check(plan, shape)
    staging.drop_leftovers(session, plan.target, epoch)
    counts = {manifest.seq: Counts() for manifest in plan.manifests}
    try:
        staged = staging.stage(session, plan, shape, counts, epoch, options)
        plan.emit("rows staged", table=plan.target.name, partition=plan.partition, rows=staged.copied)
        ledger.check_epoch(session, plan, epoch)
        for change in shape.changes:
            session.execute(change)
        return _transact(sessions, session, plan, shape, epoch, staged, counts, started)
    except Exception as error:
        if _was_overtaken(session, plan, epoch, error):
            raise LostRace(
                "another load took the target over", table=plan.target.name, partition=plan.partition
            ) from None
        raise
    finally:
        staging.drop(session, plan.target, epoch)


def _transact(
    sessions: Sessions,
    session: Session,
    plan: LoadPlan,
    shape: Shape,
    epoch: int,
    staged: Staging,
    counts: dict[int, Counts],
    started: float,
) -> Outcome:
    """The one transaction. What it does is decided before COMMIT; whether it did, by COMMIT or else by the ledger."""
    try:
        with transaction(session) as transaction_id:
            ledger.check_epoch(session, plan, epoch)
            ledger.check_position(session, plan)
            identity = ledger.check_table(session, plan)
            write.check_rows(session, plan, shape)
            outcome = write.write(session, plan, shape, staged, counts, transaction_id)
            plan.emit("rows merged", table=plan.target.name, partition=plan.partition, how=outcome.how)
            ledger.fence(session, plan, epoch, identity, transaction_id)
            seconds = time.monotonic() - started
            ledger.record(session, plan, counts, transaction_id, how=outcome.how, seconds=seconds, copies=staged.copies)
            plan.emit("ledger written", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
            with sessions.errors("commit", plan.target.name, plan.partition):
                commit(session)
    except CommitUnknown as unknown:
        protocol.resolve_commit(sessions, ledger.was_committed, plan, unknown)
        return outcome
    plan.emit("load committed", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
    with suppress(Exception):  # a number to show, of a load that is done
        outcome.target_rows = session.row(f"SELECT COUNT(*) FROM {names.table(plan.target)}")[0]
    return outcome


def _was_overtaken(session: Session, plan: LoadPlan, epoch: int, error: Exception) -> bool:
    """A newer load drops the tables of an older one, which then finds them missing."""
    if getattr(error, "errno", None) != NO_SUCH_OBJECT:
        return False
    with suppress(Exception):  # the first error is told then
        ledger.check_epoch(session, plan, epoch)
        return False
    return True


def _report(plan: LoadPlan, outcome: Outcome, seconds: float) -> LoadReport:
    counts, staged = outcome.counts.values(), outcome.staging
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
        copies=staged.copies,
        seconds=round(seconds, 3),
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
                metadata={
                    "staged": staged.copied,
                    "manifest": sum(live.file.rows for live in plan.files),
                    "in_target": outcome.in_target,
                },
            )
        ],
    )
