"""A load from beginning to end: epoch, staging, ONE transaction, and what to do when COMMIT gives no answer."""

import resource
import time
from dataclasses import dataclass, field

import psycopg

from ...model.errors import AssertionFailed, CommitUnknown, ConfigError, DbError, LostRace, SchemaChanged
from ...model.report import CheckResult, LoadReport
from ..base import LoadPlan
from . import indexes, ledger, schema, staging
from .ledger import Counts
from .merge import Merge
from .missing import Missing
from .multiset import Multiset
from .schema import Shape
from .session import Sessions, commit, transaction
from .staging import Staging

RECONNECT_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each attempt to reach the server after a COMMIT without an answer (a crash recovery takes a second)."""


class _DuplicateKeys(Exception):
    """The rows that were copied straight into a new table are not unique by key."""


@dataclass
class _Outcome:
    """What a load did, known before its COMMIT."""

    how: str
    counts: dict[int, Counts]
    copied: int = 0
    in_target: int = 0
    created: bool = False
    wal_bytes: int | None = None
    target_rows: int | None = None
    started: float = field(default_factory=time.monotonic)


def load(sessions: Sessions, plan: LoadPlan) -> LoadReport:
    """Load every pending manifest of a partition. The report is true only of a load that was committed.

    Raises LostRace (another load was faster: retry), IdentityChanged, SchemaChanged, RefusedByGuard, AssertionFailed,
    LakeCorrupt, DbError; in every case the target is as it was."""
    started = time.monotonic()
    if not plan.manifests:
        return LoadReport(plan.target.name, plan.partition, nothing_new=True, seq=plan.expected_seq)
    _check(plan)
    connection = sessions.open()
    try:
        with sessions.errors("load", plan.target.name, plan.partition):
            outcome = _load(sessions, connection, plan, started)
    finally:
        connection.close()
    return _report(plan, outcome, time.monotonic() - started)


def _check(plan: LoadPlan) -> None:
    expected = list(range(plan.expected_seq + 1, plan.expected_seq + 1 + len(plan.manifests)))
    if [manifest.seq for manifest in plan.manifests] != expected:
        raise AssertionFailed(
            f"the pending manifests are not numbers {expected[0]} to {expected[-1]}",
            table=plan.target.name,
            partition=plan.partition,
            fix="look for a manifest that was removed from the lake",
        )
    if not plan.key and plan.load == "upsert":
        raise ConfigError("upsert needs a key", table=plan.target.name, fix="declare `key`, or use load: replace")


def _load(sessions: Sessions, connection: psycopg.Connection, plan: LoadPlan, started: float) -> _Outcome:
    epoch = ledger.take_epoch(connection, plan.target)
    plan.emit("epoch taken", table=plan.target.name, partition=plan.partition, epoch=epoch)
    ledger.check_position(connection, plan)
    ledger.check_table(connection, plan)
    shape = schema.shape(connection, plan)
    if _copies_straight(plan, shape):
        try:
            return _transact(sessions, connection, plan, shape, epoch, None, started)
        except _DuplicateKeys:
            plan.emit("Keys are not unique, staging instead", table=plan.target.name, partition=plan.partition)
    staged = staging.stage(connection, plan, shape)
    plan.emit("rows staged", table=plan.target.name, partition=plan.partition, rows=staged.copied)
    return _transact(sessions, connection, plan, shape, epoch, staged, started)


def _copies_straight(plan: LoadPlan, shape: Shape) -> bool:
    """Into a new table, or without a key: where there is nothing to compare with and nothing to cast."""
    if not plan.files or any(way.cast for way in staging.wires(shape)):
        return False
    rule = plan.delete_missing
    if rule is not None and any(live.captured_at < rule.captured_at for live in plan.files):
        return False
    return shape.created or (not shape.key and rule is None)


def _transact(
    sessions: Sessions,
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    epoch: int,
    staged: Staging | None,
    started: float,
) -> _Outcome:
    """The one transaction. What it does is decided before COMMIT; whether it did, by COMMIT or else by the ledger."""
    before = _wal_position(connection)
    try:
        with transaction(connection):
            ledger.fence(connection, plan, epoch)
            ledger.check_position(connection, plan)
            ledger.check_table(connection, plan)
            _change(connection, plan, shape)
            outcome = _write(connection, plan, shape, staged)
            plan.emit("rows merged", table=plan.target.name, partition=plan.partition, how=outcome.how)
            ledger.record(connection, plan, outcome.counts, how=outcome.how, seconds=time.monotonic() - started)
            plan.emit("ledger written", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
            with sessions.errors("commit", plan.target.name, plan.partition):
                commit(connection)
    except CommitUnknown as unknown:
        _resolve(sessions, plan, unknown)
        return outcome
    plan.emit("load committed", table=plan.target.name, partition=plan.partition, seq=plan.manifests[-1].seq)
    after = _wal_position(connection)
    outcome.wal_bytes = after - before if before is not None and after is not None else None
    outcome.target_rows = _target_rows(connection, plan, outcome)
    return outcome


def _change(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> None:
    if schema.shape(connection, plan) != shape:
        raise LostRace("the table changed while rows were staged", table=plan.target.name, partition=plan.partition)
    again = next((manifest for manifest in plan.manifests if manifest.mode != "append"), None)
    if again and not shape.key and plan.delete_missing is None and not shape.created and plan.expected_seq:
        raise ConfigError(
            f"manifest {again.seq} reads rows again ({again.mode}), and without a key they would be there twice",
            table=plan.target.name,
            partition=plan.partition,
            fix="declare a key, or use load: replace",
        )
    for change in shape.changes:
        connection.execute(change)
    if shape.key_index is not None and not shape.created:
        try:
            connection.execute(shape.key_index)
        except psycopg.errors.UniqueViolation:
            raise SchemaChanged(
                f"the table has no unique index on the key ({', '.join(plan.key)}), and rows that share a key",
                table=plan.target.name,
                fix="remove the duplicates, or declare the right key",
            ) from None


def _write(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging | None) -> _Outcome:
    counts = {manifest.seq: Counts() for manifest in plan.manifests}
    if staged is None:
        outcome = _copy(connection, plan, shape, counts)
    elif shape.key:
        outcome = _merge(connection, plan, shape, staged, counts)
    else:
        outcome = _multiset(connection, plan, shape, staged, counts)
    if shape.created:
        _finish_table(connection, plan, shape)
    return outcome


def _copy(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, counts: dict[int, Counts]) -> _Outcome:
    copied = staging.copy_into_target(connection, plan, shape)
    for seq, rows in copied.rows.items():
        counts[seq].rows_in = counts[seq].inserted = rows
    return _Outcome("copy", counts, copied.copied, in_target=copied.copied, created=shape.created)


def _merge(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> _Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    _count_in(staged, counts)
    if rule is not None:
        missing = Missing(connection, plan, shape, staged, rule)
        missing.drop_overtaken(counts)
        last.deleted = 0 if shape.created else missing.delete()
    only_new = plan.load == "append" and all(manifest.mode == "append" for manifest in plan.manifests)
    in_target = Merge(connection, plan, shape, staged, only_new).run(counts)
    return _Outcome("diff" if rule else "merge", counts, staged.copied, in_target, shape.created)


def _multiset(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> _Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    _count_in(staged, counts)
    rows = Multiset(connection, plan, shape, staged)
    if rule is None:
        return _Outcome("append", counts, staged.copied, rows.append(counts), shape.created)
    Missing(connection, plan, shape, staged, rule).drop_overtaken(counts)
    last.deleted = rows.replace(rule, counts)
    in_target = sum(count.inserted + count.unchanged for count in counts.values())
    return _Outcome("diff", counts, staged.copied, in_target, shape.created)


def _count_in(staged: Staging, counts: dict[int, Counts]) -> None:
    for seq, rows in staged.rows.items():
        counts[seq].rows_in = rows


def _finish_table(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> None:
    """Key and indexes of a new table, after its rows."""
    try:
        if shape.key_index is not None:
            connection.execute(shape.key_index)
        indexes.create_in_transaction(connection, plan.target, plan.indexes)
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name and error.diag.constraint_name.endswith("_pkey"):
            raise _DuplicateKeys from None
        raise


def _resolve(sessions: Sessions, plan: LoadPlan, unknown: CommitUnknown) -> None:
    """Read the ledger over a new connection: returns if the load is in it, else raises a retryable DbError."""
    for wait in RECONNECT_SECONDS:
        time.sleep(wait)
        try:
            connection = sessions.open()
            try:
                with sessions.errors("commit", plan.target.name, plan.partition):
                    committed = ledger.was_committed(connection, plan)
            finally:
                connection.close()
        except DbError as error:
            if not error.retryable:
                raise
            continue
        if committed:
            plan.emit("COMMIT took effect, the ledger says", table=plan.target.name, partition=plan.partition)
            return
        raise DbError(
            f"the connection was lost at COMMIT and the ledger says that nothing was committed ({unknown.message})",
            code=unknown.code,
            phase="commit",
            retryable=True,
            table=plan.target.name,
            partition=plan.partition,
        )
    raise unknown


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


def _target_rows(connection: psycopg.Connection, plan: LoadPlan, outcome: _Outcome) -> int | None:
    if outcome.created:
        return sum(count.inserted for count in outcome.counts.values())
    row = connection.execute(
        "SELECT CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        (plan.target.schema, plan.target.table),
    ).fetchone()
    return row[0] if row else None


def _report(plan: LoadPlan, outcome: _Outcome, seconds: float) -> LoadReport:
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
