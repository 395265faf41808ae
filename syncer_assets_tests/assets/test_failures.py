"""The engine's errors become Failures: one message, no driver exception behind it, retried only where that helps."""

import dagster as dg
import pytest

from syncer_assets.assets.failures import engine_errors
from syncer_assets.model.errors import ConfigError, DbError, LostRace, SyncError


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ConfigError("no such table", table="public.orders", fix="name another"), False),
        (LostRace("another sync was first"), True),
        (DbError("connection lost", code="57P01", retryable=True), True),
        (DbError("wrong password", code="28P01"), False),
    ],
)
def test_an_error_becomes_a_failure(error: SyncError, retried: bool) -> None:
    with pytest.raises(dg.Failure) as raised, engine_errors():
        try:
            raise ConnectionError("password=canary")
        except ConnectionError:
            raise error from None
    failure = raised.value
    assert failure.description == str(error)
    assert failure.allow_retries is retried
    assert failure.__cause__ is None
    assert failure.__suppress_context__
    assert failure.metadata["error_kind"].value == error.kind
    if isinstance(error, DbError):
        assert failure.metadata["error_code"].value == error.code


def test_what_is_no_error_of_the_engine_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), engine_errors():
        raise ZeroDivisionError
