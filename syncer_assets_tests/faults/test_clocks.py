"""The source's clock jumps by an hour, is corrected by minutes, and changes to winter time: no row is lost or doubled.

The server's own clock stays: in these databases `clock_timestamp()` is a function of ours, which adds what a test says.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ITEMS, ORDERS, Job, Opened, target_of, write
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database

SetClock = Callable[[str], None]
CLOCK = """
CREATE SCHEMA clock;
CREATE TABLE clock.added AS SELECT interval '0' AS time;
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + time FROM clock.added';
GRANT USAGE ON SCHEMA clock TO PUBLIC;
GRANT SELECT ON clock.added TO PUBLIC;
"""
LOCAL = replace(
    ORDERS, table="public.local", settle_seconds=0, cursor_zone="Europe/Berlin", late_commit_lag=timedelta(minutes=5)
)


@pytest.fixture
def set_clock(job: Job, source_db: Database) -> SetClock:
    source_db.execute(CLOCK)
    source_db.execute(f"ALTER DATABASE {source_db.name} SET search_path = clock, pg_catalog, public")

    def set_clock(added: str) -> None:
        """An interval, or the time that it shall be now."""
        value = f"'{added}'" if added.endswith(("h", "min")) else f"'{added}' - pg_catalog.clock_timestamp()"
        source_db.execute(f"UPDATE clock.added SET time = {value}")
        struck()

    return set_clock


@pytest.mark.parametrize("jump", ["-1 h", "1 h"])
@pytest.mark.parametrize("spec", [ITEMS, EVENTS, COUNTRIES], ids=lambda spec: spec.name)
def test_ids_and_whole_tables_do_not_mind_a_clock_that_jumps(
    spec: TableSpec, jump: str, job: Job, set_clock: SetClock, source_db: Database, warehouse_db: Database
) -> None:
    _follow(job.only(spec), spec, [jump, "0 h"], set_clock, source_db, warehouse_db)


@pytest.mark.parametrize("jump", ["-4 min", "4 min"])
def test_a_jump_within_the_lag_loses_no_row_of_a_time_cursor(
    jump: str, job: Job, set_clock: SetClock, source_db: Database, warehouse_db: Database
) -> None:
    _follow(job.only(ORDERS), ORDERS, [jump, "0 h"], set_clock, source_db, warehouse_db)


@pytest.mark.parametrize("jumps", [["-1 h"], ["1 h", "0 h"]], ids=["set back", "set forward and back"])
def test_what_was_written_below_safe_is_told_and_reconciled(
    jumps: list[str], job: Job, set_clock: SetClock, source_db: Database, warehouse_db: Database
) -> None:
    """A clock that goes back by more than the lag stamps rows where no cursor looks any more."""
    told: list[str] = []
    with job.only(ORDERS).opened() as opened:
        opened.run()
        for round, jump in enumerate(jumps, 1):
            set_clock(jump)
            write(source_db, round)
            opened.run(lambda event, **fields: told.append(event))
        assert told.count("source clock was set back") == 1
        found = opened.reconcile(ORDERS)
        assert not found.before.equal and found.equal
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_the_hour_that_comes_twice_in_local_time_loses_no_row(
    job: Job, set_clock: SetClock, source_db: Database, warehouse_db: Database
) -> None:
    """In Berlin 02:15 comes after 02:45 on the last Sunday of October."""
    source_db.execute(
        "CREATE TABLE public.local (id bigserial PRIMARY KEY, what text, updated_at timestamp NOT NULL);"
        "CREATE INDEX ON public.local (updated_at)"
    )
    spec = LOCAL
    with job.only(spec).opened() as opened:
        for moment in ("00:30", "00:45", "01:05", "01:15", "01:55", "02:10", "02:40"):
            set_clock(f"2024-10-27 {moment}:00+00")
            source_db.execute(
                "INSERT INTO public.local (what, updated_at) SELECT %s, clock_timestamp() AT TIME ZONE 'Europe/Berlin'"
                " FROM generate_series(1, 120)",
                [moment],
            )
            opened.run()
            assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec))])


def _follow(
    job: Job, spec: TableSpec, clocks: list[str], set_clock: SetClock, source: Database, warehouse: Database
) -> None:
    """News and a run after each change of the clock, and once more."""
    with job.opened() as opened:
        opened.run()
        marks = None
        for round, clock in enumerate([*clocks, ""], 1):
            if clock:
                set_clock(clock)
            write(source, round)
            opened.run()
            marks = _assert_whole(opened, spec, source, warehouse, marks)


def _assert_whole(opened: Opened, spec: TableSpec, source: Database, warehouse: Database, marks: object) -> object:
    return assert_invariants(source, opened.lake, warehouse, [(spec, target_of(spec))], since=marks)  # type: ignore[arg-type]
