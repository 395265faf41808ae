"""Sensors and schedules whose ticks fail one after the other: a source that does not answer, a size that stays."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ..model import errors
from ..model.alert import Alert
from .sizes import SIZES

TICKS_IN_A_ROW = 3
COMPLETED = ("SUCCESS", "SKIPPED", "FAILURE")
TITLES = {SIZES: "A warehouse may have kept its larger size"}
OURS = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, errors.SyncError)}


def failing_sensors(instance: dg.DagsterInstance, page: str | None) -> Iterator[Alert | str]:
    """An alert for each whose last ticks all failed; the key of the trouble where the last one did not."""
    for state in instance.all_instigator_state():
        if state.status.value == "STOPPED":
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=TICKS_IN_A_ROW + 1)
        ended = [tick for tick in ticks if tick.status.value in COMPLETED][:TICKS_IN_A_ROW]
        key, name = f"sensor|{state.instigator_name}", state.instigator_name
        if ended and ended[0].status.value != "FAILURE":
            yield key
        elif len(ended) == TICKS_IN_A_ROW and all(tick.status.value == "FAILURE" for tick in ended):
            yield Alert(
                key=key,
                title=TITLES.get(name, "A sensor fails"),
                table=f"the sensor {name}",
                partition=None,
                cause=_cause(ended[0].error),
                command="syncer doctor",
                page=f"{page}/automation" if page else None,
            )


def _cause(error: Any) -> str:
    """The engine's own message; of any other exception its name alone, since its text may hold anything."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return "its ticks end with no error on record"
    if error.cls_name in OURS:
        return str(error.message).partition(": ")[2].strip() or str(error.message).strip()
    return f"its ticks end with {error.cls_name}"
