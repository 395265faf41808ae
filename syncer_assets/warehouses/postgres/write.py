"""What the one transaction of a load does to the target, and what it counted."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, LostRace, SchemaChanged
from .. import protocol
from ..base import CAPTURED_AT, LoadPlan
from . import catalog, deletes, indexes, ledger, names, refresh, schema, staging, swap
from .ledger import Counts
from .merge import Merge
from .missing import Missing
from .multiset import Multiset
from .refresh import SwapInstead
from .schema import Shape
from .staging import Staging
from .swap import Shadow


class DuplicateKeys(Exception):
    """The rows that were copied straight into a new table are not unique by key."""


@dataclass
class Outcome:
    """What a load did, known before its COMMIT."""

    how: str
    counts: dict[int, Counts]
    copied: int = 0
    in_target: int = 0
    created: bool = False
    why: str = ""
    wal_bytes: int | None = None
    target_rows: int | None = None


def change(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> None:
    """Make the target what the rows need. Raises LostRace, SchemaChanged or ConfigError where that must not be."""
    if shape.oid is not None and not catalog.is_as_seen(connection, plan.target, shape.oid):
        raise LostRace("somebody rewrote the table meanwhile", table=plan.target.name, partition=plan.partition)
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
    if plan.deletes and not shape.key:
        raise ConfigError("deleted rows are found by a key", table=plan.target.name, fix="declare a key")
    for change in shape.changes:
        connection.execute(change)
    if protocol.begins_to_append(plan) and not shape.created and _has_unknown_rows(connection, plan):
        raise protocol.unknown_rows(plan)
    if shape.key_index is not None and not shape.created:
        try:
            connection.execute(shape.key_index)
        except psycopg.errors.UniqueViolation:
            raise SchemaChanged(
                f"the table has no unique index on the key ({', '.join(plan.key)}), and rows that share a key",
                table=plan.target.name,
                fix="remove the duplicates, or declare the right key",
            ) from None


def _has_unknown_rows(connection: psycopg.Connection, plan: LoadPlan) -> bool:
    """Rows that a load has written, though the ledger has none."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {} > '-infinity')")
    row = connection.execute(query.format(names.table(plan.target), names.column(CAPTURED_AT))).fetchone()
    return row == (True,) and not ledger.has_loads(connection, plan.target)


def write(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging | None) -> Outcome:
    """Bring the rows in. Raises SwapInstead where a new table is to take the old one's place."""
    counts = {manifest.seq: Counts() for manifest in plan.manifests}
    if staged is None:
        outcome = _copy(connection, plan, shape, counts)
    elif shape.key:
        outcome = _merge(connection, plan, shape, staged, counts)
    else:
        outcome = _multiset(connection, plan, shape, staged, counts)
    if shape.created:
        _finish_table(connection, plan, shape, outcome.copied)
    return outcome


def put(
    connection: psycopg.Connection,
    plan: LoadPlan,
    shape: Shape,
    staged: Staging | None,
    shadow: Shadow,
    wanted: SwapInstead,
) -> Outcome:
    """Put the new table in the old one's place; `wanted` has the counts."""
    assert staged is not None
    swap.put_in_place(connection, plan, shape, shadow)
    return Outcome("swap", wanted.counts, staged.copied, wanted.in_target, why=wanted.reason)


def settle(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging) -> None:
    """Once more what the transaction that was given up did to the staged rows: only those that win are left."""
    ignored = {manifest.seq: Counts() for manifest in plan.manifests}
    with connection.transaction():
        if plan.delete_missing is not None:
            Missing(connection, plan, shape, staged, plan.delete_missing).drop_overtaken(ignored)
        deletes.drop_overtaken(connection, plan, shape, staged, ignored)
        if shape.key:
            Merge(connection, plan, shape, staged).deduplicate(ignored)


def copies_straight(plan: LoadPlan, shape: Shape) -> bool:
    """Into a new table, or without a key: where there is nothing to compare with and nothing to cast."""
    if not plan.files or plan.deletes or any(way.cast for way in staging.wires(shape)):
        return False
    rule = plan.delete_missing
    if rule is not None and any(live.captured_at < rule.captured_at for live in plan.files):
        return False
    return shape.created or (not shape.key and rule is None)


def _copy(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, counts: dict[int, Counts]) -> Outcome:
    copied = staging.copy_into_target(connection, plan, shape)
    for seq, rows in copied.rows.items():
        counts[seq].rows_in = counts[seq].inserted = rows
    return Outcome("copy", counts, copied.copied, in_target=copied.copied, created=shape.created)


def _merge(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    _count_in(staged, counts)
    missing = Missing(connection, plan, shape, staged, rule) if rule is not None else None
    present = gone = 0
    if missing is not None:
        missing.drop_overtaken(counts)
    deletes.apply(connection, plan, shape, staged, counts)
    if missing is not None and not shape.created:
        present, gone = missing.count()
        last.deleted += gone
    only_new = plan.load == "append" and all(manifest.mode == "append" for manifest in plan.manifests)
    merge = Merge(connection, plan, shape, staged, only_new)
    inserted, updated, kept = merge.classify(counts)
    why = refresh.decide(connection, plan, shape, counts, present=present, staged=inserted + updated + kept)
    if missing is not None and gone:
        missing.delete(gone)
    in_target = merge.write(inserted, updated, kept)
    return Outcome("diff" if rule else "merge", counts, staged.copied, in_target, shape.created, why=why)


def _multiset(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    _count_in(staged, counts)
    rows = Multiset(connection, plan, shape, staged)
    if rule is None:
        return Outcome("append", counts, staged.copied, rows.append(counts), shape.created)
    Missing(connection, plan, shape, staged, rule).drop_overtaken(counts)
    last.deleted, new, present = rows.compare(rule, counts)
    in_target = sum(count.inserted + count.unchanged for count in counts.values())
    why = refresh.decide(connection, plan, shape, counts, present=present, staged=in_target)
    rows.replace(last.deleted, new)
    return Outcome("diff", counts, staged.copied, in_target, shape.created, why=why)


def _count_in(staged: Staging, counts: dict[int, Counts]) -> None:
    for seq, rows in staged.rows.items():
        counts[seq].rows_in = rows


def _finish_table(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, rows: int) -> None:
    """Key and indexes of a new table, after its rows; of a large one, some wait for the COMMIT."""
    try:
        if shape.key_index is not None:
            connection.execute(shape.key_index)
        later = indexes.put_off(plan.indexes, rows)
        indexes.create_in_transaction(connection, plan.target, [i for i in plan.indexes if i not in later])
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name and error.diag.constraint_name.endswith("_pkey"):
            raise DuplicateKeys from None
        raise
