"""What the one transaction of a load does to the target, and what it counted."""

from dataclasses import dataclass

from ...model.errors import ConfigError
from .. import protocol
from ..base import LoadPlan
from . import missing, names
from .ledger import Counts, has_loads
from .merge import Merge
from .multiset import Multiset
from .schema import LONG_AGO, Shape
from .session import Session
from .staging import Staging


@dataclass
class Outcome:
    """What a load did, known before its COMMIT."""

    how: str
    counts: dict[int, Counts]
    staging: Staging
    in_target: int = 0
    why: str = ""
    target_rows: int | None = None


def check(plan: LoadPlan, shape: Shape) -> None:
    """Raises ConfigError where rows that are read again would be there twice."""
    again = next((manifest for manifest in plan.manifests if manifest.mode != "append"), None)
    if again and not shape.key and plan.delete_missing is None and not shape.created and plan.expected_seq:
        raise ConfigError(
            f"manifest {again.seq} reads rows again ({again.mode}), and without a key they would be there twice",
            table=plan.target.name,
            partition=plan.partition,
            fix="declare a key, or use load: replace",
        )


def check_rows(session: Session, plan: LoadPlan, shape: Shape) -> None:
    """Raises IdentityChanged where a load has written rows to a table without a key, though the ledger has none."""
    if protocol.begins_to_append(plan) and not shape.created:
        query = f"SELECT COUNT(*) FROM {names.table(plan.target)} WHERE {names.column(names.CAPTURED)} > {LONG_AGO}"
        if session.row(query)[0] and not has_loads(session, plan.target):
            raise protocol.unknown_rows(plan)


def write(
    session: Session, plan: LoadPlan, shape: Shape, staging: Staging, counts: dict[int, Counts], transaction_id: str
) -> Outcome:
    """Bring the rows in, and take out those that are gone."""
    if shape.key:
        outcome = _merge(session, plan, shape, staging, counts)
    else:
        outcome = _multiset(Multiset(session, plan, shape, staging, transaction_id), counts)
    if plan.delete_missing is not None and plan.delete_missing.column is None:
        outcome.why = "refresh: diff"
        if plan.refresh.mode == "swap":
            outcome.why += ", as always in Snowflake: its readers see one state or the other anyway"
    return outcome


def _merge(session: Session, plan: LoadPlan, shape: Shape, staging: Staging, counts: dict[int, Counts]) -> Outcome:
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    if not shape.created:
        last.deleted = missing.remove_gone(session, plan, shape, staging)
    if rule is not None and not shape.created:
        _, gone = missing.count(session, plan, shape, staging, rule)
        if gone:
            last.deleted += missing.delete(session, plan, shape, staging, rule)
    only_new = plan.load == "append" and all(manifest.mode == "append" for manifest in plan.manifests)
    merge = Merge(session, plan, shape, staging, only_new)
    in_target = merge.write(*merge.classify(counts)) if staging.kept else 0
    return Outcome("diff" if rule else "merge", counts, staging, in_target)


def _multiset(rows: Multiset, counts: dict[int, Counts]) -> Outcome:
    plan, staging = rows.plan, rows.staging
    rule, last = plan.delete_missing, counts[plan.manifests[-1].seq]
    if rule is None:
        return Outcome("append", counts, staging, rows.append(counts) if staging.kept else 0)
    last.deleted, new, present = rows.compare(rule, counts)
    rows.replace(rule, last.deleted, new, present)
    return Outcome("diff", counts, staging, sum(count.inserted + count.unchanged for count in counts.values()))
