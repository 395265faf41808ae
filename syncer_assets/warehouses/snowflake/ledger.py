"""The ledger: schema `_SYNCER` of the warehouse, written in the transaction that writes the rows (DESIGN 6).

No key is enforced here, and UPDATE, DELETE and MERGE lock whole tables, for at most 20 waiters. So the epoch is judged
last: `fence` holds the lock of all targets for the moment before COMMIT only. Until then the target's own lock keeps
two merges of one table apart, and what was counted stands, since only a load with the latest epoch can commit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from ...model.errors import IdentityChanged, LostRace
from ...model.manifest import Manifest
from ...model.marks import Mark, encode
from ...model.table import Target
from .. import protocol
from ..base import LedgerRow, LoadPlan, Watermark
from . import catalog, names
from .ledger_sql import (
    ADD_TARGET_SQL,
    ADVANCE_SQL,
    FENCE_SQL,
    FORGET_SQL,
    IDENTIFY_SQL,
    LEDGER_SQL,
    NO_IDENTITY,
    RECORD_SQL,
    RECORD_TYPES,
    TABLES_SQL,
    TAKE_EPOCH_SQL,
    TARGET_SQL,
    WATERMARKS_SQL,
)
from .session import OURS, Session, transaction

ROWS_AT_ONCE = 500


@dataclass
class Counts:
    """What became of the rows of one manifest."""

    rows_in: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    deduplicated: int = 0
    deleted: int = 0


def register(session: Session, target: Target, lake_generation: str) -> None:
    """Make schemas, tables and the target's row; raise IdentityChanged where they belong to another lake or table."""
    known = _row(session, target)
    generation, oid = known
    current = catalog.table_identity(session, target)
    if has_loads(session, target):
        protocol.check_identity(target, lake_generation, generation, current, oid)
    if known != (lake_generation, current):
        session.execute(IDENTIFY_SQL, (lake_generation, current, target.name))


def adopt(session: Session, target: Target, lake_generation: str) -> None:
    """Write generation and identity anew; marks and ledger stay. Raises IdentityChanged if there is no table."""
    _row(session, target)
    current = catalog.table_identity(session, target)
    if current is None and has_loads(session, target):
        raise IdentityChanged(
            "the warehouse table does not exist, so there is nothing to adopt",
            table=target.name,
            fix="load it anew with `syncer run --full`",
        )
    session.execute(IDENTIFY_SQL, (lake_generation, current, target.name))


def forget(session: Session, target: Target, partition: str | None) -> None:
    """Drop marks and ledger rows. The epoch moves on, so that a load under way changes nothing any more."""
    if not _exists(session):
        return
    where, values = _of(target, partition)
    with transaction(session):
        session.execute(
            FORGET_SQL.format(identity=NO_IDENTITY if partition is None else ""), (target.name, target.name)
        )
        for table in ("WATERMARKS", "LOADS"):
            session.execute(f'DELETE FROM "_SYNCER"."{table}" WHERE target_name = ? {where}', values)
        session.execute("COMMIT")


def watermarks(session: Session, target: Target, partition: str | None = None) -> list[Watermark]:
    """The marks of the target's partitions, or of one."""
    if not _exists(session):
        return []
    where, values = _of(target, partition)
    found = session.rows(WATERMARKS_SQL.format(partition=where), values)
    return [Watermark(key, int(seq), *others) for key, seq, *others in found]


def rows(session: Session, target: Target, partition: str | None = None) -> list[LedgerRow]:
    """The manifests that were loaded."""
    if not _exists(session):
        return []
    where, values = _of(target, partition)
    return [_ledger_row(row) for row in session.rows(LEDGER_SQL.format(partition=where), values)]


def has_loads(session: Session, target: Target) -> bool:
    """Whether a manifest was ever loaded into the target."""
    return session.row('SELECT COUNT(*) FROM "_SYNCER"."LOADS" WHERE target_name = ?', (target.name,))[0] > 0


def take_epoch(session: Session, target: Target) -> int:
    """Make every load of this target that began earlier a stale one. Waits for one that is about to COMMIT.

    Raises LostRace where the target is not registered (any more)."""
    with transaction(session):
        if not session.execute(TAKE_EPOCH_SQL, (target.name, target.name)):
            raise protocol.unregistered(target)
        epoch = _epoch(session, target)
        session.execute("COMMIT")
    return epoch


def check_epoch(session: Session, plan: LoadPlan, epoch: int) -> None:
    """A look that locks nothing. Raises LostRace if the epoch was taken over."""
    if _epoch(session, plan.target) != epoch:
        raise _lost(plan)


def fence(session: Session, plan: LoadPlan, epoch: int, oid: str | None, transaction_id: str) -> None:
    """The statement that decides, just before the ledger is written: it locks the target's row, and notes the table's
    identity. Raises LostRace if the epoch was taken over, or the transaction ended."""
    if not session.execute(FENCE_SQL.format(ours=OURS), (oid, plan.target.name, epoch, transaction_id)):
        raise _lost(plan)


def check_position(session: Session, plan: LoadPlan) -> None:
    """The watermark must be where the plan was made for; raises LostRace otherwise."""
    where, values = _of(plan.target, plan.partition)
    found = session.rows(WATERMARKS_SQL.format(partition=where), values)
    seq = int(found[0][1]) if found else 0
    if seq != plan.expected_seq:
        raise LostRace(
            f"the warehouse has loaded manifest {seq}, not {plan.expected_seq}",
            table=plan.target.name,
            partition=plan.partition,
        )


def check_table(session: Session, plan: LoadPlan) -> str | None:
    """The table's identity, which must be the registered one, if one is.

    Raises IdentityChanged if the table was dropped or made anew since it was loaded."""
    rows = session.rows(TARGET_SQL, (plan.target.name,))
    current = catalog.table_identity(session, plan.target)
    if rows and rows[0][1] is not None and rows[0][1] != current:
        raise protocol.other_table(plan.target, dropped=current is None)
    return current


def record(
    session: Session,
    plan: LoadPlan,
    counts: dict[int, Counts],
    transaction_id: str,
    *,
    how: str,
    seconds: float,
    copies: int,
) -> None:
    """One row a manifest, and the marks of the last one. Raises LostRace if they are not where the plan expects them,
    or the transaction ended.

    What the load took as a whole (`seconds`, COPYs) is told with the last manifest.
    """
    last = plan.manifests[-1]
    found = [
        _record(plan, manifest, counts[manifest.seq], how, (seconds, copies) if manifest is last else (None, None))
        for manifest in plan.manifests
    ]
    columns = ", ".join(f"column{number}::{kind}" for number, kind in enumerate(RECORD_TYPES, 1))
    one = f"({', '.join('?' for _ in RECORD_TYPES)})"
    for start in range(0, len(found), ROWS_AT_ONCE):
        part = found[start : start + ROWS_AT_ONCE]
        statement = RECORD_SQL.format(columns=columns, rows=", ".join([one] * len(part)), ours=OURS)
        if session.execute(statement, [*(value for row in part for value in row), transaction_id]) != len(part):
            raise _lost(plan)
    moved = session.execute(
        ADVANCE_SQL,
        (
            *(plan.target.name, plan.partition, last.seq),
            *(_mark(last.low), _mark(last.safe), _mark(last.high), plan.expected_seq, transaction_id),
        ),
    )
    if moved != 1:
        raise LostRace("another load moved the watermark", table=plan.target.name, partition=plan.partition)


def was_committed(session: Session, plan: LoadPlan) -> bool:
    """Whether the plan's last manifest is in the ledger. Taking the epoch first waits for the lost session's end."""
    take_epoch(session, plan.target)
    last = plan.manifests[-1]
    found = session.rows(
        'SELECT manifest_sha256 FROM "_SYNCER"."LOADS" WHERE target_name = ? AND partition_key = ? AND seq = ?',
        (plan.target.name, plan.partition, last.seq),
    )
    if found and found[0][0] != last.sha256:
        raise LostRace(
            f"another manifest {last.seq} was loaded meanwhile", table=plan.target.name, partition=plan.partition
        )
    return bool(found)


def _row(session: Session, target: Target) -> tuple[str | None, str | None]:
    """(lake generation, identity of the table) of the target, whose row is made if it is missing."""
    names.check_target(target)
    if not _exists(session):
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {names.SCHEMA}")
        for statement in TABLES_SQL:
            session.execute(statement)
    schema = names.fold(target.schema)
    if not catalog.has_schema(session, schema):
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {names.quoted(schema)}")
    found = session.rows(TARGET_SQL, (target.name,))
    if not found:
        session.execute(ADD_TARGET_SQL, (target.name,))
        found = session.rows(TARGET_SQL, (target.name,))
    generation, oid = found[0]
    return generation, oid


def _epoch(session: Session, target: Target) -> int:
    return int(session.row('SELECT MAX(epoch) FROM "_SYNCER"."TARGETS" WHERE target_name = ?', (target.name,))[0])


def _lost(plan: LoadPlan) -> LostRace:
    return LostRace(
        "another load took the target over, or Snowflake ended the transaction",
        table=plan.target.name,
        partition=plan.partition,
    )


def _of(target: Target, partition: str | None) -> tuple[str, tuple[str, ...]]:
    return ("", (target.name,)) if partition is None else ("AND partition_key = ?", (target.name, partition))


def _ledger_row(row: Sequence) -> LedgerRow:
    key, seq, superseded, sha256, rows_in, inserted, updated, unchanged, stale, deduplicated, deleted = row[:11]
    run_id, loaded_at, seconds, size, files, copies, wal_bytes = row[11:]
    return LedgerRow(
        partition=key,
        seq=int(seq),
        superseded_by=_int(superseded),
        manifest_sha256=sha256,
        rows_in=int(rows_in),
        rows_inserted=int(inserted),
        rows_updated=int(updated),
        rows_unchanged=int(unchanged),
        rows_stale=int(stale),
        rows_deduplicated=int(deduplicated),
        rows_deleted=int(deleted),
        run_id=run_id,
        loaded_at=loaded_at.astimezone(UTC),
        seconds=seconds,
        bytes=_int(size),
        files=_int(files),
        copies=_int(copies),
        wal_bytes=_int(wal_bytes),
    )


def _int(value: object) -> int | None:
    return None if value is None else int(str(value))


def _record(
    plan: LoadPlan, manifest: Manifest, counts: Counts, how: str, whole: tuple[float | None, int | None]
) -> tuple:
    seconds, copies = whole
    files = [live.file for live in plan.files if live.seq == manifest.seq]
    return (
        *(plan.target.name, plan.partition, manifest.seq, plan.superseded.get(manifest.seq), manifest.sha256),
        *(counts.rows_in, counts.inserted, counts.updated, counts.unchanged, counts.stale, counts.deduplicated),
        *(counts.deleted, how, seconds, sum(file.bytes for file in files), len(files), copies, plan.run_id),
    )


def _mark(mark: Mark | None) -> str | None:
    return None if mark is None else json.dumps(encode(mark), ensure_ascii=False)


def _exists(session: Session) -> bool:
    return catalog.has_table(session, "_SYNCER", "LOADS")
