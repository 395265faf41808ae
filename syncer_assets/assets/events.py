"""What a step says while it works: the engine's events as log lines, a long loop's progress, and observations."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import dagster as dg

from ..model.report import Emit, silent

if TYPE_CHECKING:
    from ..sync.progress import Progress

OBSERVE_EVERY_SECONDS = 30.0

listener: ContextVar[Emit] = ContextVar("listener", default=silent)
"""Hears the events of the steps that this thread runs itself; `syncer run` draws its progress bars from them."""


def log_emitter(log: "dg.DagsterLogManager") -> Emit:
    """An `Emit` that writes each event as one line: `event key=value ...`. One with a `fix` is a warning."""

    def emit(event: str, **fields: object) -> None:
        (log.warning if fields.get("fix") else log.info)(event_line(event, **fields))
        listener.get()(event, **fields)

    return emit


def event_line(event: str, **fields: object) -> str:
    """The line of an event; values with spaces are quoted, lists (which pictures are drawn of) are left out."""
    told = {name: value for name, value in fields.items() if value is not None and not isinstance(value, tuple | list)}
    return " ".join([event, *(f"{name}={_shown(value)}" for name, value in told.items())])


def report_progress(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str | None
) -> Callable[["Progress"], None]:
    """A callback for the engine, which calls every few seconds: a log line, and each half minute an observation."""
    observed = time.monotonic()

    def progress(now: "Progress") -> None:
        nonlocal observed
        share_percent = None if now.share is None else round(100 * now.share, 1)
        line = event_line("Reading", rows=now.rows, share_percent=share_percent, rows_per_second=now.rows_per_second)
        context.log.info(line)
        listener.get()("Reading", rows=now.rows, share=now.share)
        if time.monotonic() - observed >= OBSERVE_EVERY_SECONDS:
            observed = time.monotonic()
            metadata: dict[str, int | float] = {"rows_so_far": now.rows, "rows_per_second": now.rows_per_second}
            if share_percent is not None:
                metadata["share_percent"] = share_percent
            context.log_event(dg.AssetObservation(asset_key=key, partition=partition, metadata=metadata))

    return progress


def _shown(value: object) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return repr(text) if not text or any(character in text for character in ' "=\n') else text
