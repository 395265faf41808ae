"""Kills at each step of the protocol, a COMMIT without an answer, and two loads at once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from syncer_assets.model.errors import DbError, LostRace, SyncError
from syncer_assets.sync.retry import Backoff, retrying
from syncer_assets.warehouses.base import LoadPlan
from syncer_assets_tests.servers import poll
from syncer_assets_tests.warehouses.contract.under_test import Extraction, Loads, WarehouseUnderTest

STEPS = ("epoch taken", "rows staged", "rows merged", "ledger written")
"""What a load says before its COMMIT, in this order."""


class Killed(Exception):
    """The process of a load ended here."""


def at_step(step: str, act: Callable[[], None]) -> Callable[..., None]:
    """An `Emit` that acts once, when a load says `step`."""
    done: list[str] = []

    def emit(event: str, **fields: object) -> None:
        if event == step and not done:
            done.append(event)
            act()

    return emit


def again(loads: Loads, plan: LoadPlan) -> None:
    """Load a plan as the engine does: once more where the error says so, after a wait."""
    retrying(lambda: loads.warehouse.load(plan), Backoff(budget_seconds=60))


def state_in_the_end(loads: Loads) -> tuple[list, list, list]:
    """The state, by a session that may have to be opened anew."""
    found: list[tuple[list, list, list]] = []

    def asked() -> bool:
        try:
            found.append(loads.state())
        except SyncError as error:
            if not error.retryable:
                raise
        return bool(found)

    poll(asked, deadline_seconds=60)
    return found[0]


@pytest.mark.parametrize(
    ("step", "first"), [*((step, False) for step in STEPS), ("epoch taken", True), ("ledger written", True)]
)
def test_a_server_that_ends_every_session_has_changed_nothing(orders: Loads, step: str, first: bool) -> None:
    rows = 0 if first else 1
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b"), (2, "b")]), Extraction([(3, "b")])])
    before = orders.state()
    with pytest.raises(DbError) as raised:
        orders.warehouse.load(replace(plan, emit=at_step(step, orders.under_test.kill_sessions)))
    assert raised.value.retryable
    assert state_in_the_end(orders) == before
    again(orders, plan)
    assert orders.rows("id", "status") == [(1, "b"), (2, "b"), (3, "b")]
    assert [row.seq for row in orders.warehouse.ledger(orders.target)] == list(range(1, rows + 3))


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_ends_has_changed_nothing(orders: Loads, step: str) -> None:
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b"), (2, "b")])]), orders.state()

    def end() -> None:
        raise Killed

    with pytest.raises(Killed):
        orders.warehouse.load(replace(plan, emit=at_step(step, end)))
    assert orders.state() == before
    again(orders, plan)
    assert orders.rows("id", "status") == [(1, "b"), (2, "b")]
    assert [row.seq for row in orders.warehouse.ledger(orders.target)] == [1, 2]


@pytest.mark.parametrize("first", [True, False])
def test_a_lost_answer_to_commit_is_found_in_the_ledger(orders: Loads, first: bool) -> None:
    if not first:
        orders.load([(1, "a")])
    plan = orders.plan([Extraction([(1, "b"), (2, "b")])])
    with orders.under_test.lost_commit(True):
        report = orders.warehouse.load(plan)
    assert (report.rows, report.seq) == (2, 1 if first else 2)
    assert orders.rows("id", "status") == [(1, "b"), (2, "b")]
    assert [row.seq for row in orders.warehouse.ledger(orders.target)].count(report.seq) == 1


def test_a_commit_that_never_arrived_is_an_error_worth_a_retry(orders: Loads) -> None:
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()
    with orders.under_test.lost_commit(False), pytest.raises(DbError, match="nothing was committed") as raised:
        orders.warehouse.load(plan)
    assert raised.value.retryable and raised.value.phase == "commit"
    assert orders.state() == before
    assert orders.warehouse.load(plan).rows_updated == 1


@pytest.fixture
def rival(orders: Loads) -> Iterator[Loads]:
    """Another process that loads the same target."""
    other = replace(orders, warehouse=orders.under_test.open())
    yield other
    other.warehouse.close()


@pytest.mark.parametrize("first", [True, False])
def test_a_load_that_was_overtaken_changes_nothing(orders: Loads, rival: Loads, first: bool) -> None:
    """The slow one is under way when the fast one takes the epoch and loads the same manifest."""
    orders.load([(7, "x")]) if not first else orders.register()
    slow, fast = orders.plan([Extraction([(1, "slow")])]), orders.plan([Extraction([(1, "fast")])])
    overtaken = at_step("epoch taken" if first else "rows staged", lambda: again(rival, fast))
    with pytest.raises(LostRace, match=r"shop\.orders \[all\]"):
        orders.warehouse.load(replace(slow, emit=overtaken))
    assert (1, "fast") in orders.rows("id", "status") and len(orders.rows()) == (1 if first else 2)
    assert orders.warehouse.ledger(orders.target)[-1].manifest_sha256 == fast.manifests[-1].sha256


def test_forget_makes_a_running_load_stale(orders: Loads, rival: Loads) -> None:
    """Only the epoch tells: the marks of this partition are where the plan was made for."""
    orders.load([(1, "a")])
    plan, before = orders.plan([Extraction([(1, "b")])]), orders.state()
    forgotten = at_step("rows staged", lambda: rival.warehouse.forget(orders.target, "elsewhere"))
    with pytest.raises(LostRace, match="another load took the target over"):
        orders.warehouse.load(replace(plan, emit=forgotten))
    assert orders.state() == before


def test_loads_of_one_target_at_once_lose_nothing(orders: Loads, under_test: WarehouseUnderTest) -> None:
    """Every thread loads partitions of its own; who loses the race tries again."""
    workers, rounds = (2, 1) if under_test.name.endswith("snowflake") else (3, 3)  # its statements take their time
    orders.register()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        loads = Loads(under_test, under_test.open(), partition=f"p{number}", registered=True)
        try:
            for step in range(rounds):
                again(loads, loads.plan([Extraction([(number * 1000 + step * 10 + n, "x") for n in range(10)])]))
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)
        finally:
            loads.warehouse.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    ids = orders.ids()
    assert len(ids) == len(set(ids)) == 10 * workers * rounds
    ledger = orders.warehouse.ledger(orders.target)
    assert (len(ledger), sum(row.rows_inserted for row in ledger)) == (workers * rounds, 10 * workers * rounds)


def test_registering_at_once_is_safe(orders: Loads, under_test: WarehouseUnderTest) -> None:
    failures: list[BaseException] = []

    def register() -> None:
        warehouse = under_test.open()
        try:
            again_register(replace(orders, warehouse=warehouse))
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)
        finally:
            warehouse.close()

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [tuple(row) for row in under_test.query("SELECT count(*) FROM _syncer.targets")] == [(1,)]


def again_register(loads: Loads) -> None:
    def registered() -> bool:
        try:
            loads.register()
        except SyncError as error:
            if not error.retryable:
                raise
            return False
        return True

    poll(registered, deadline_seconds=60)
