"""`safe` is what was proven before the first row was read; what lies above it is read again (DESIGN 5)."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from syncer_assets.model.marks import is_below
from syncer_assets_tests.sync.tables import ORDERS, Rig, check, spec_of, transaction

INSERT = "INSERT INTO orders (status) VALUES ('{}')"
BY_ID = spec_of(cursor=["id"])
BY_TIME = spec_of()
BOTH = pytest.mark.parametrize("spec", [BY_ID, BY_TIME], ids=["id", "time"])


@BOTH
@pytest.mark.parametrize("event", ["window opened", "chunk read"])
def test_a_writer_that_ends_after_the_judgement_does_not_raise_safe(rig: Rig, spec: Any, event: str) -> None:
    """Rule 1. Its row was committed after our first row was read: the ceiling is proven, but the read is not."""
    rig.database.execute(ORDERS)
    with transaction(rig.database, INSERT.format("late")) as writer:
        rig.database.execute(INSERT.format("early"))

        def commit_then(happened: str, fields: dict[str, Any]) -> None:
            if happened == event:
                writer.commit()

        rig.sync(spec, on=commit_then, writers_open=True)
    head = rig.head(spec)
    assert head.safe is None and [file.provisional for file in head.files] == [True]
    rig.sync(spec)
    assert rig.in_lake(spec, "status") == {("early",): 1, ("late",): 1}
    assert rig.head(spec).safe == rig.head(spec).high


@BOTH
def test_safe_rises_though_some_writer_is_always_open(rig: Rig, spec: Any) -> None:
    """Captures that are not proven yet are kept and judged by the next sync."""
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT.format("first"))
    marks = []
    with transaction(rig.database, INSERT.format("a")) as one, transaction(rig.database) as other:
        for number in range(4):
            [ending, going_on] = [one, other] if number % 2 == 0 else [other, one]
            going_on.execute(INSERT.format(f"overlapping {number}").encode())
            rig.database.execute(INSERT.format(f"quick {number}"))
            rig.sync(spec, writers_open=True)
            marks.append(rig.head(spec).safe)
            ending.commit()
    assert marks[0] is None
    assert all(is_below(earlier, later) for earlier, later in pairwise(marks[1:])), marks
    assert rig.head(spec).proof != "lag"


@BOTH
def test_safe_never_falls(rig: Rig, spec: Any) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT.format("first"))
    rig.sync(spec)
    proven = rig.head(spec).safe
    with transaction(rig.database, INSERT.format("late")):
        rig.database.execute(INSERT.format("second"))
        rig.sync(spec, writers_open=True)
    assert rig.head(spec).safe == proven and is_below(proven, rig.head(spec).high)


@BOTH
def test_settling_waits_for_writers_that_end_soon(rig: Rig, spec: Any) -> None:
    rig.database.execute(ORDERS)
    with transaction(rig.database, INSERT.format("late")) as writer:
        rig.database.execute(INSERT.format("early"))

        def commit_then(happened: str, fields: dict[str, Any]) -> None:
            if happened == "ceiling captured":
                writer.commit()

        rig.sync(spec_of(cursor=spec.cursor, settle_seconds=1.0), on=commit_then)
    head = rig.head(spec)
    assert head.safe == head.high
    assert rig.in_lake(spec, "status") == {("early",): 1, ("late",): 1}


def test_a_time_of_an_application_clock_arrives_within_the_lag(rig: Rig) -> None:
    """Rule 4. The writer begins after everything was read, and writes a time that lies below the ceiling."""
    spec = spec_of(late_commit_lag=timedelta(minutes=5))
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT.format("now"))
    rig.sync(spec)
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('older', now() - interval '3 min')")
    rig.sync(spec)
    assert rig.in_lake(spec, "status") == {("now",): 1, ("older",): 1}


def test_a_future_time_is_reported_read_again_and_hides_nothing(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('future', now() + interval '1 year')")
    first = rig.sync(BY_TIME)
    outside = check(first, "rows_outside_partitions")
    assert (outside.passed, outside.severity, outside.metadata["rows_in_the_future"]) == (False, "WARN", 1)
    rig.database.execute(INSERT.format("now"))
    assert rig.sync(BY_TIME).rows == 2, "the future row is provisional, so it is read again"
    rig.database.execute("UPDATE orders SET status = 'changed', updated_at = updated_at WHERE status = 'future'")
    rig.sync(BY_TIME)
    assert rig.in_lake(BY_TIME, "status") == {("changed",): 1, ("now",): 1}


def test_rows_at_infinity_are_reported(rig: Rig) -> None:
    """They lie above every ceiling; never silently, and never called well."""
    rig.database.execute(ORDERS)
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('never', 'infinity'), ('old', '2024-01-01')")
    report = rig.sync(BY_TIME)
    assert report.rows == 1
    outside = check(report, "rows_outside_partitions")
    assert not outside.passed and outside.severity == "ERROR"
    assert outside.metadata["rows_without_end"] == 1 and outside.metadata["rows_in_the_future"] == 0


def test_dates_of_today_are_read_again(rig: Rig) -> None:
    rig.database.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, day date NOT NULL DEFAULT current_date)")
    spec = spec_of(cursor=["day"])
    rig.database.execute("INSERT INTO orders DEFAULT VALUES")
    rig.sync(spec)
    rig.database.execute("INSERT INTO orders DEFAULT VALUES")
    rig.sync(spec)
    assert rig.in_lake(spec, "id") == {(1,): 1, (2,): 1}


def test_append_ships_only_what_is_final(rig: Rig) -> None:
    """Rule 6."""
    spec = spec_of(cursor=["id"], load="append")
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT.format("final"))
    rig.sync(spec)
    with transaction(rig.database, INSERT.format("late")) as writer:
        rig.database.execute(INSERT.format("not final"))
        rig.sync(spec, writers_open=True)
        rig.load(spec)
        assert rig.in_warehouse("status") == {("final",): 1}
        writer.commit()
    rig.sync(spec)
    rig.load(spec)
    assert rig.in_warehouse("status") == {("final",): 1, ("late",): 1, ("not final",): 1}


def test_a_transaction_that_pins_longer_than_the_limit_is_told(rig: Rig) -> None:
    spec = spec_of(cursor=["id"], pin_limit=timedelta(0))
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT.format("first"))
    rig.sync(spec)
    with transaction(rig.database, INSERT.format("late")) as writer:
        rig.database.execute(INSERT.format("one"))
        rig.sync(spec, writers_open=True)
        rig.load(spec)
        rig.database.execute(INSERT.format("two"))
        report = rig.sync(spec, writers_open=True)
        protected = check(report, "cursor_protected")
        assert (protected.passed, protected.severity) == (False, "WARN")
        assert "a transaction has been open" in protected.description
        assert report.rows == 1, "the tail is capped: what was read before is carried, not read again"
        writer.commit()
    rig.sync(spec)
    rig.load(spec)
    expected = {("first",): 1, ("late",): 1, ("one",): 1, ("two",): 1}
    assert rig.in_lake(spec, "status") == rig.in_warehouse("status") == expected
