"""The engine's errors as Dagster's: one message, no chained driver exception, not retried a second time."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ..model.errors import SyncError

RETRY_POLICY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""For a step whose process died. What a database or network does, the engine has retried: one layer (DESIGN 10)."""

INTERRUPTED = "interrupted; what was committed stays, the next run goes on from there"


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turns a SyncError into a Failure. Its text goes as it is: the engine keeps secrets and row values out of it.

    So does an interrupt, which Dagster would retry by the policy: a run in one process that is terminated worked on.
    """
    try:
        yield
    except SyncError as error:
        metadata: dict[str, dg.MetadataValue] = {"error_kind": dg.MetadataValue.text(error.kind)}
        if code := getattr(error, "code", None):
            metadata["error_code"] = dg.MetadataValue.text(str(code))
        raise dg.Failure(description=str(error), metadata=metadata, allow_retries=False) from None
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        raise dg.Failure(description=INTERRUPTED, allow_retries=False) from None
