"""Times lie: rows may carry values older than their writer, and newer than now (rule 4)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.model.marks import CursorColumn, is_below
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.provable import provable as provable_of
from syncer_assets_tests.sources.postgres.ceilings import Ceilings
from syncer_assets_tests.sync.tables import transaction

TABLE = "CREATE TABLE t (id bigserial PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now())"
HOUR = timedelta(hours=1)


def insert(ceilings: Ceilings, age: timedelta) -> None:
    ceilings.database.execute("INSERT INTO t (updated_at) VALUES (now() - %s)", [age])


def test_only_what_is_older_than_the_lag_can_become_safe(ceilings: Ceilings) -> None:
    ceilings.database.execute(TABLE)
    insert(ceilings, timedelta(minutes=1))
    capture = ceilings.capture(ceilings.spec("updated_at", late_commit_lag=HOUR))
    assert capture.provable == (capture.source_time - HOUR,)
    assert capture.ceiling == (ceilings.database.scalar("SELECT max(updated_at) FROM t"),)


def test_a_maximum_older_than_the_lag_can_become_safe_itself(ceilings: Ceilings) -> None:
    ceilings.database.execute(TABLE)
    insert(ceilings, 2 * HOUR)
    capture = ceilings.capture(ceilings.spec("updated_at", late_commit_lag=HOUR))
    assert capture.provable == capture.ceiling


def test_a_future_value_does_not_become_safe(ceilings: Ceilings) -> None:
    ceilings.database.execute(TABLE)
    insert(ceilings, -HOUR)
    capture = ceilings.capture(ceilings.spec("updated_at"))
    assert capture.provable == (capture.source_time,) != capture.ceiling


def test_the_lag_never_overrides_a_writer_that_is_known_to_be_open(ceilings: Ceilings) -> None:
    ceilings.database.execute(TABLE)
    insert(ceilings, 24 * HOUR)
    spec = ceilings.spec("updated_at")
    with transaction(ceilings.database, "INSERT INTO t DEFAULT VALUES"):
        assert not ceilings.proven(spec, ceilings.capture(spec))


def test_the_lag_is_the_proof_of_ids_whose_writers_cannot_be_listed(ceilings: Ceilings) -> None:
    ceilings.database.execute(f"{TABLE}; CREATE VIEW v AS SELECT * FROM t")
    insert(ceilings, HOUR)
    waiting = ceilings.spec("id", "public.v", key=("id",), late_commit_lag=HOUR)
    assert ceilings.protection(waiting).proof == "lag"
    assert not ceilings.proven(waiting, ceilings.capture(waiting))
    assert ceilings.becomes_proven(ceilings.spec("id", "public.v", key=("id",)), ceilings.capture(waiting))


def test_the_lag_is_in_the_value_of_times_whose_writers_cannot_be_listed(ceilings: Ceilings) -> None:
    ceilings.database.execute(f"{TABLE}; CREATE VIEW v AS SELECT * FROM t")
    insert(ceilings, timedelta(0))
    capture = ceilings.capture(ceilings.spec("updated_at", "public.v", key=("id",), late_commit_lag=HOUR))
    assert capture.proven and capture.provable == (capture.source_time - HOUR,)


def test_the_maximum_leaves_infinity_out(ceilings: Ceilings) -> None:
    """Else every row after it would lie below the ceiling."""
    ceilings.database.execute(TABLE)
    ceilings.database.execute("INSERT INTO t (updated_at) VALUES ('infinity'), ('2024-01-01Z')")
    assert ceilings.capture(ceilings.spec("updated_at")).ceiling == (datetime(2024, 1, 1, tzinfo=UTC),)


def test_a_naive_time_is_refused_without_its_zone(ceilings: Ceilings) -> None:
    ceilings.database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamp)")
    with pytest.raises(ConfigError, match=r"public\.t: the cursor 'updated_at'.*cursor_zone"):
        ceilings.capture(ceilings.spec("updated_at"))


def test_a_naive_time_is_compared_in_its_zone(ceilings: Ceilings) -> None:
    ceilings.database.execute("CREATE TABLE t (id int PRIMARY KEY, updated_at timestamp)")
    ceilings.database.execute("INSERT INTO t VALUES (1, now() AT TIME ZONE 'Asia/Tokyo' - interval '2 h')")
    capture = ceilings.capture(ceilings.spec("updated_at", cursor_zone="Asia/Tokyo", late_commit_lag=3 * HOUR))
    limit = (capture.source_time - 3 * HOUR).astimezone(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None)
    assert capture.provable == (limit,) and is_below(capture.provable, capture.ceiling)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll"]
)
def test_a_clock_that_is_set_back_writes_nothing_below_what_is_provable(zone: str) -> None:
    """Around every change of the clocks: what is written later than `moment - lag` lies above."""
    spec = TableSpec("shop", "public.t", cursor=("at",), cursor_zone=zone, late_commit_lag=timedelta(minutes=5))
    cursor, far = CursorColumn("at", "timestamp"), (datetime(2100, 1, 1),)  # noqa: DTZ001  # naive on purpose
    days = [
        date(2024, 3, 10),
        date(2024, 3, 31),
        date(2024, 4, 6),
        date(2024, 10, 5),
        date(2024, 10, 27),
        date(2024, 11, 3),
    ]
    starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    for moment in (start + minutes * timedelta(minutes=5) for start in starts for minutes in range(288)):
        provable = provable_of(far, cursor, moment, spec)
        for later in (timedelta(0), timedelta(minutes=31), 1.5 * HOUR, 2.5 * HOUR):
            written = (moment - spec.late_commit_lag + later).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
            assert not is_below((written,), provable), (zone, moment)


def test_a_date_is_provable_only_when_no_zone_can_write_it_any_more() -> None:
    spec = TableSpec("shop", "public.t", cursor=("day",), late_commit_lag=timedelta(0))
    cursor, far = CursorColumn("day", "date"), (date(2100, 1, 1),)
    for hour in range(48):
        moment = datetime(2024, 2, 28, tzinfo=UTC) + hour * HOUR
        provable = provable_of(far, cursor, moment, spec)
        assert provable is not None
        assert provable[0] < moment.astimezone(ZoneInfo("Etc/GMT+12")).date()  # type: ignore[operator]  # a date
