"""What the one transaction of a load does to the target, and what it counted."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from ...model.errors import ConfigError, LostRace
from .. import protocol
from ..base import CAPTURED_AT, LoadPlan
from ..postgres.ledger import Counts
from . import deletes, ledger, names, schema
from .merge import Merge
from .missing import Missing
from .multiset import Multiset
from .schema import Shape
from .staging import Staging

NO_SWAP = "Redshift keeps its tables: what changed is written"


@dataclass
class Outcome:
    """What a load did, known before its COMMIT."""

    how: str
    counts: dict[int, Counts]
    copied: int = 0
    copies: int = 0
    in_target: int = 0
    why: str = ""


def change(connection: psycopg.Connection, plan: LoadPlan, shape: Shape) -> None:
    """Make the target what the rows need. Raises LostRace, SchemaChanged or ConfigError where that must not be."""
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


def _has_unknown_rows(connection: psycopg.Connection, plan: LoadPlan) -> bool:
    """Rows that a load has written, though the ledger has none."""
    query = sql.SQL("SELECT COUNT(*) FROM {} WHERE {} > " + schema.LONG_AGO)
    row = connection.execute(query.format(names.table(plan.target), names.column(CAPTURED_AT))).fetchone()
    return bool(row and row[0]) and not ledger.has_loads(connection, plan.target)


def write(connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging) -> Outcome:
    """Bring the rows in."""
    counts = {manifest.seq: Counts(rows_in=staged.rows[manifest.seq]) for manifest in plan.manifests}
    outcome = (_merge if shape.key else _multiset)(connection, plan, shape, staged, counts)
    if plan.delete_missing is not None and plan.refresh.mode == "swap":
        outcome.why = NO_SWAP
    return outcome


def _merge(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    missing = Missing(connection, plan, shape, staged, rule) if rule is not None else None
    if missing is not None:
        missing.drop_overtaken(counts)
    deletes.apply(connection, plan, shape, staged, counts)
    gone = missing.count() if missing is not None and not shape.created else 0
    last.deleted += gone
    only_new = plan.load == "append" and all(manifest.mode == "append" for manifest in plan.manifests)
    merge = Merge(connection, plan, shape, staged, only_new)
    inserted, updated, kept = merge.classify(counts)
    if missing is not None and gone:
        missing.delete(gone)
    in_target = merge.write(inserted, 0 if only_new else updated, kept)
    return Outcome("diff" if rule else "merge", counts, staged.copied, staged.copies, in_target)


def _multiset(
    connection: psycopg.Connection, plan: LoadPlan, shape: Shape, staged: Staging, counts: dict[int, Counts]
) -> Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    rows = Multiset(connection, plan, shape, staged)
    if rule is None:
        return Outcome("append", counts, staged.copied, staged.copies, rows.append(counts))
    Missing(connection, plan, shape, staged, rule).drop_overtaken(counts)
    if shape.created:
        in_target = rows.append(counts)
    else:
        last.deleted = rows.compare(rule, counts)
        in_target = sum(count.inserted + count.unchanged for count in counts.values())
        new = sum(count.inserted for count in counts.values())
        if last.deleted + new:
            rows.replace(rule, last.deleted, new)
    return Outcome("diff", counts, staged.copied, staged.copies, in_target)
