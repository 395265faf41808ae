"""The engine's errors become Failures: one message, no driver exception behind it, and no second layer of retries."""

import os
import signal

import dagster as dg
import pytest

from syncer_assets.assets.failures import INTERRUPTED, engine_errors
from syncer_assets.model.errors import ConfigError, DbError, LostRace, SyncError


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("no such table", table="public.orders", fix="name another"),
        LostRace("another sync was first"),
        DbError("connection lost", code="57P01", retryable=True),
        DbError("wrong password", code="28P01"),
    ],
)
def test_an_error_becomes_a_failure(error: SyncError) -> None:
    with pytest.raises(dg.Failure) as raised, engine_errors():
        try:
            raise ConnectionError("password=canary")
        except ConnectionError:
            raise error from None
    failure = raised.value
    assert failure.description == str(error)
    assert not failure.allow_retries  # the engine has retried it, or it was of no use
    assert failure.__cause__ is None
    assert failure.__suppress_context__
    assert failure.metadata["error_kind"].value == error.kind
    if isinstance(error, DbError):
        assert failure.metadata["error_code"].value == error.code


def test_what_is_no_error_of_the_engine_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), engine_errors():
        raise ZeroDivisionError


def test_a_step_that_is_interrupted_is_not_tried_again() -> None:
    """Dagster does so by a policy: a run that is terminated, all of it in one process, would go on."""
    tries: list[int] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def interrupted() -> None:
        tries.append(1)
        with engine_errors():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    result = dg.materialize([interrupted], raise_on_error=False)
    assert not result.success and tries == [1]
    [failure] = result.get_step_failure_events()
    assert INTERRUPTED in str(failure.step_failure_data.user_failure_data)
