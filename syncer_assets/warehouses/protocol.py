"""What all warehouses hold to in a load, whatever their SQL: the plan, identities, and a COMMIT without an answer."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Protocol, TypeVar

from ..model.errors import AssertionFailed, CommitUnknown, ConfigError, DbError, IdentityChanged, LostRace, Phase
from ..model.table import Target
from .base import LoadPlan

RECONNECT_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Waits before each attempt to reach the server after a COMMIT without an answer (a crash recovery takes a second)."""


class Closable(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=Closable)
Opened = TypeVar("Opened", bound=Closable, covariant=True)


class Sessions(Protocol[Opened]):
    """What opens sessions of a warehouse, and names its driver's errors."""

    def open(self) -> Opened: ...

    def errors(
        self, phase: Phase, table: str | None = None, partition: str | None = None
    ) -> AbstractContextManager[None]: ...


def check_plan(plan: LoadPlan) -> None:
    """Raises AssertionFailed where a manifest is missing among the pending ones, ConfigError for a key that is."""
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


def resolve_commit(
    sessions: Sessions[S], was_committed: Callable[[S, LoadPlan], bool], plan: LoadPlan, unknown: CommitUnknown
) -> None:
    """Ask the ledger, each time over a new session: returns if the load is in it, else raises a retryable DbError."""
    for wait in RECONNECT_SECONDS:
        time.sleep(wait)
        try:
            with closing(sessions.open()) as session, sessions.errors("commit", plan.target.name, plan.partition):
                committed = was_committed(session, plan)
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


def unregistered(target: Target) -> LostRace:
    """The load began by registering its target: what forgot that may have forgotten more, so that all is asked anew."""
    return LostRace("the ledger lost the target since it was registered, as by a failover", table=target.name)


def begins_to_append(plan: LoadPlan) -> bool:
    """Whether the ledger says that nothing was loaded yet, and rows that are there all the same would come twice."""
    return not plan.key and plan.delete_missing is None and not plan.expected_seq


def unknown_rows(plan: LoadPlan) -> IdentityChanged:
    """The error of rows of ours in a table without a key, of which the ledger knows no load."""
    return IdentityChanged(
        "the table has rows of loads that the ledger does not know; without a key they would be there twice",
        table=plan.target.name,
        partition=plan.partition,
        fix="restore the schema _syncer beside the table, or empty the table: it is loaded anew then",
    )


def check_identity(
    target: Target, lake_generation: str, known_generation: str | None, object_: object, known_object: object
) -> None:
    """Raises IdentityChanged where marks belong to another lake, or to another table than the one that is there now.

    The objects are what tells a table from one that was made anew: an OID, a time. None: there is none."""
    if known_generation is not None and known_generation != lake_generation:
        raise IdentityChanged(
            f"the marks in the warehouse belong to lake generation {known_generation}, not {lake_generation}",
            table=target.name,
            fix="load it anew with `syncer run --full`, or, if it is the same data, `syncer adopt`",
        )
    if known_object is not None and known_object != object_:
        raise other_table(target, dropped=object_ is None)


def other_table(target: Target, *, dropped: bool) -> IdentityChanged:
    """The error of a table that is not the one that was loaded."""
    return IdentityChanged(
        "the warehouse table was dropped after it was loaded"
        if dropped
        else "the warehouse table is another one than was loaded (it was dropped and made anew)",
        table=target.name,
        fix="load it anew with `syncer run --full`"
        + ("" if dropped else ", or, if its rows are right, `syncer adopt`"),
    )
