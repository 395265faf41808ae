"""The one layer that retries: how often, how long, and never what it must not. A fake clock stands in for waiting."""

import random
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import pytest

from syncer_assets.model.backoff import PROFILES, Backoff
from syncer_assets.model.errors import (
    AssertionFailed,
    CommitUnknown,
    ConfigError,
    DbError,
    LakeCorrupt,
    LostRace,
    ObjectStoreError,
    SyncError,
)
from syncer_assets.model.failures import Failure
from syncer_assets.sync import retry as retry_module
from syncer_assets.sync.retry import Retry, retrying


@dataclass
class FakeClock:
    """Time passes by sleeping alone; each wait is as long as it may be."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClock]:
    clock = FakeClock()
    monkeypatch.setattr(retry_module, "time", clock)
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    yield clock


def failing(failure: Failure, code: str = "X") -> DbError:
    return DbError("it failed", code=code, failure=failure, fix="mend it")


def attempts(retry: Retry, error: SyncError, most: int = 1000) -> int:
    """How often something is tried that fails so each time, with an error of its own."""
    error = copy(error)
    for number in range(1, most):
        try:
            retry.again(error)
        except SyncError as raised:
            assert raised is error
            return number
    return most


@pytest.mark.parametrize(
    "error",
    [
        failing("never"),
        ConfigError("wrong"),
        AssertionFailed("counts differ"),
        LakeCorrupt("gone"),
        ObjectStoreError("denied", code="AccessDenied", failure="never"),
        ObjectStoreError("busy", code="SlowDown", failure="wait_longer"),  # the store's client has retried it
    ],
    ids=lambda error: getattr(error, "code", None) or error.kind,
)
def test_what_would_fail_again_is_tried_once_and_without_a_wait(clock: FakeClock, error: SyncError) -> None:
    assert attempts(Retry(), error) == 1 and clock.waits == []


@pytest.mark.parametrize("error", [failing("once"), failing("smaller_chunk"), ObjectStoreError("x", failure="once")])
def test_what_may_pass_is_tried_once_more(clock: FakeClock, error: SyncError) -> None:
    retry = Retry()
    assert attempts(retry, error) == 2
    retry.succeeded()
    assert attempts(retry, error) == 2


@pytest.mark.parametrize("failure", ["retry_transaction", "if_not_ours"])
def test_a_transaction_that_others_are_in_the_way_of_has_so_many_attempts(clock: FakeClock, failure: Failure) -> None:
    assert attempts(Retry(Backoff(attempts=4)), failing(failure)) == 4


@pytest.mark.parametrize(
    "error", [failing("new_connection"), failing("wait_longer"), LostRace("x"), CommitUnknown("x", retryable=True)]
)
def test_a_server_is_waited_for_until_the_budget_is_spent(clock: FakeClock, error: SyncError) -> None:
    began = clock.now
    attempts(Retry(Backoff(budget_seconds=100)), error)
    assert 100 - 15 <= clock.now - began < 100


def test_the_waits_of_the_slow_profile_are_the_ones_of_managed_failovers(clock: FakeClock) -> None:
    attempts(Retry(PROFILES["slow"]), failing("new_connection"))
    assert clock.waits[:5] == [30, 60, 120, 240, 240]


def test_the_waits_are_drawn_from_all_up_to_the_longest(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda least, most: drawn.append((least, most)) or most)
    attempts(Retry(Backoff(base_seconds=1, cap_seconds=4, budget_seconds=12)), failing("new_connection"))
    assert drawn == [(0.1, 1), (0.1, 2), (0.1, 4), (0.1, 4)]


def test_a_server_that_has_too_much_to_do_is_given_time_and_one_warning(clock: FakeClock) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    retry = Retry(Backoff(base_seconds=1, cap_seconds=15), lambda event, **fields: events.append((event, fields)))
    attempts(retry, failing("wait_longer", "53300"))
    assert clock.waits[0] == 10
    assert events == [("the server has too much to do, waiting", {"code": "53300", "fix": "mend it"})]


def test_a_chunk_that_is_halved_costs_no_budget(clock: FakeClock) -> None:
    retry = Retry(Backoff(attempts=2, budget_seconds=1))
    for _ in range(8):
        clock.now += 3600  # the limit of time that ended the statement
        retry.again(failing("smaller_chunk", "1969"), halved=True)
    retry.again(failing("smaller_chunk", "1969"))
    with pytest.raises(DbError):
        retry.again(failing("smaller_chunk", "1969"))


def test_an_attempt_that_ran_for_long_begins_a_new_budget_three_times(clock: FakeClock) -> None:
    """A load of an hour that a failover ends at its end is worth to be begun anew, but not for ever."""
    retry, error, tried = Retry(Backoff(budget_seconds=60)), failing("new_connection"), 0
    with pytest.raises(DbError):
        for _ in range(100):
            clock.now += 3600
            tried += 1
            retry.again(error)
    assert tried == 1 + 3 + 1


def test_a_run_does_not_wait_for_ever_in_all(clock: FakeClock) -> None:
    """A source that comes back for a moment, again and again."""
    retry = Retry(Backoff(base_seconds=10, cap_seconds=10, budget_seconds=60, run_seconds=100))
    with pytest.raises(DbError):
        for _ in range(100):
            retry.again(failing("new_connection"))
            retry.succeeded()
    assert sum(clock.waits) == 100


def test_calls_and_loops_are_retried_alike() -> None:
    quick, calls = Backoff(0.001, 0.002, 5.0, attempts=4), 0

    def call() -> str:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise failing("retry_transaction", "40P01")
        return "done"

    assert retrying(call, quick) == "done" and calls == 4
    calls = -1000
    with pytest.raises(DbError) as raised:
        retrying(call, quick)
    assert raised.value.code == "40P01" and calls == -996


def test_what_one_gave_up_nobody_further_out_tries_again(clock: FakeClock) -> None:
    """Attempts do not multiply: a loop within a call within a run."""
    tried = 0

    def loop() -> None:
        nonlocal tried
        retry = Retry(Backoff(attempts=3))
        while tried < 100:
            tried += 1
            retry.again(failing("retry_transaction"))

    with pytest.raises(DbError):
        retrying(lambda: retrying(loop))
    assert tried == 3


def test_another_exception_passes_at_once() -> None:
    def call() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        retrying(call)
