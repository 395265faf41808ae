"""The engine's errors as Dagster's: one message, no chained driver exception, retried only where that may help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from ..model.errors import DbError, SyncError

RETRY_POLICY = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
"""For a step whose process died; the engine itself retries what a database or network does (DESIGN 10)."""


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turns a SyncError into a Failure. Its text goes as it is: the engine keeps secrets and row values out of it."""
    try:
        yield
    except SyncError as error:
        metadata: dict[str, dg.MetadataValue] = {"error_kind": dg.MetadataValue.text(error.kind)}
        if isinstance(error, DbError) and error.code:
            metadata["error_code"] = dg.MetadataValue.text(error.code)
        raise dg.Failure(description=str(error), metadata=metadata, allow_retries=error.retryable) from None
