"""How patient the engine is with a server that fails over."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ..model.backoff import DEFAULT, Backoff, Failover
from .fields import PositiveFloat, PositiveInt
from .problems import Problem

if TYPE_CHECKING:
    from .connections import Connections


class FailoverEntry(dg.Resolvable, dg.Model):
    """Waits, in place of a profile's name. What is not written is as in `normal`."""

    base_seconds: PositiveFloat = Field(
        default=DEFAULT.base_seconds, description="What the first wait is drawn up to; each next one is twice as long."
    )
    cap_seconds: PositiveFloat = Field(default=DEFAULT.cap_seconds, description="What no wait is longer than.")
    budget_seconds: PositiveFloat = Field(
        default=DEFAULT.budget_seconds, description="How long the server may be away, from the first error on."
    )
    attempts: PositiveInt = Field(
        default=DEFAULT.attempts, description="How often a transaction is tried that others are in the way of."
    )
    run_seconds: PositiveFloat = Field(default=DEFAULT.run_seconds, description="How long a run waits in all.")


FailoverField = Failover | FailoverEntry
FAILOVER_DESCRIPTION = (
    "How long to wait for the server when it is away: fast (30 s), normal (3 minutes), slow (15 minutes, waits of 30 to"
    " 240 s), or a block of one's own."
)


def failover_problems(connections: "Connections") -> Iterator[Problem]:
    """Waits that do not fit one another."""
    fields: dict[tuple[str, ...], FailoverField] = {("lake",): connections.lake.failover}
    fields |= {("sources", name): entry.failover for name, entry in connections.sources.items()}
    fields |= {("warehouses", name): entry.failover for name, entry in connections.warehouses.items()}
    for path, value in fields.items():
        yield from waits_problems(path, value)


def waits_problems(path: tuple[str, ...], value: FailoverField) -> Iterator[Problem]:
    """Those of the `failover` at `path`."""
    backoff = backoff_of(value)
    waits = [backoff.base_seconds, backoff.cap_seconds, backoff.budget_seconds, backoff.run_seconds]
    if waits != sorted(waits):
        fix = "write base_seconds <= cap_seconds <= budget_seconds <= run_seconds"
        yield Problem((*path, "failover"), f"the waits do not fit: {waits}", fix)


def backoff_of(value: FailoverField) -> Backoff:
    """`slow` and `{base_seconds: 30, ..}` mean the same."""
    if isinstance(value, str):
        return Backoff.of(value)
    return Backoff(**value.model_dump(include=set(asdict(DEFAULT))))
