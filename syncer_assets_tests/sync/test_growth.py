"""Growth is what the ledger measured: the first fill is none of it, and little that was measured is no number."""

from datetime import datetime, timedelta

import pytest

from syncer_assets.model.server import GB, ServerSize
from syncer_assets.model.table import SizeSettings
from syncer_assets.sync.growth import Growth, growth, next_class, storage
from syncer_assets.warehouses.base import LedgerRow
from syncer_assets_tests.warehouses.postgres.plans import START

DAY = timedelta(days=1)
SIZES = SizeSettings(streaming_mb=8, parallel_mb=200, parallel_rows=1_000_000)


def loaded(days: float, inserted: int, deleted: int = 0) -> LedgerRow:
    at = START + days * DAY
    return LedgerRow("all", 1, None, "sha", inserted, inserted, 0, 0, 0, 0, deleted, "run", at)


def after(days: float) -> datetime:
    return START + days * DAY


def test_the_first_day_of_a_table_is_no_growth() -> None:
    ledger = [loaded(0, 1_000_000), loaded(0.9, 500_000), loaded(3, 300), loaded(9, 800, deleted=100)]
    measured = growth(ledger, after(11))
    assert measured is not None
    assert (measured.rows_a_day, measured.days) == (100.0, 10.0)


@pytest.mark.parametrize("ledger", [[], [loaded(0, 100)], [loaded(0, 100), loaded(2, 100)]])
def test_little_that_was_measured_is_no_number(ledger: list[LedgerRow]) -> None:
    assert growth(ledger, after(2.5)) is None


def test_only_the_last_thirty_days_count() -> None:
    measured = growth([loaded(0, 5), loaded(40, 9_000_000), loaded(90, 3_000)], after(100))
    assert measured is not None and measured.rows_a_day == 100.0


def test_the_next_class_is_when_both_of_its_limits_are_reached() -> None:
    a_day = Growth(10_000, 10)
    assert next_class(a_day, 20_000, 4 * 2**20, SIZES) == "streaming from 40,000 rows on, in 2 days"
    assert next_class(a_day, 900_000, 180 * 2**20, SIZES) == "parallel from 1,000,000 rows on, in 10 days"
    assert next_class(a_day, 500_000, 50 * 2**20, SIZES) == "parallel from 2,000,000 rows on, in 150 days"
    assert next_class(a_day, 2_000_000, 400 * 2**20, SIZES) is None
    assert next_class(Growth(-5, 10), 20_000, 4 * 2**20, SIZES) is None
    assert next_class(a_day, -1, 0, SIZES) is None


@pytest.mark.parametrize(
    ("used_gb", "gb_a_day", "fine", "told"),
    [
        (50, 0.1, True, "full in 500 days"),
        (50, 1.0, False, "full in 50 days"),
        (95, None, False, "95% of 100 GB used, its growth is not measured yet"),
        (50, -1.0, True, "it grows by 0 bytes a day"),
        (101, 1.0, False, "full in 0 days"),
    ],
)
def test_a_declared_limit_is_warned_of_ninety_days_before(
    used_gb: int, gb_a_day: float | None, fine: bool, told: str
) -> None:
    passed, text = storage(ServerSize(storage_gb=100), used_gb * GB, None if gb_a_day is None else gb_a_day * GB)
    assert (passed, told in text) == (fine, True), text


def test_without_a_declared_limit_nothing_is_guessed() -> None:
    assert storage(ServerSize(), 5 * GB, GB)[0]
    assert "storage_gb" in storage(ServerSize(), 5 * GB, GB)[1]
