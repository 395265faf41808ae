"""How fast a table grows, by what its ledger says was loaded; when it will be of the next size, and the disk full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..model.server import ServerSize, size
from ..model.table import SizeSettings
from ..warehouses.base import LedgerRow

MB = 1024 * 1024
LOOKED_BACK = timedelta(days=30)
FIRST_FILL = timedelta(days=1)
"""What came in the first day of a table is not growth: it was there before."""
MEASURED_LEAST = timedelta(days=2)
SHORT_DAYS = 90
FULL_SHARE = 0.9


@dataclass(frozen=True)
class Growth:
    """Rows inserted less deleted, a day, over so many days up to now."""

    rows_a_day: float
    days: float

    def days_until(self, have: float, wanted: float) -> float | None:
        """Days until `have` rows are `wanted`; None where the table does not grow."""
        return None if self.rows_a_day <= 0 else max(0.0, (wanted - have) / self.rows_a_day)


def growth(ledger: Sequence[LedgerRow], now: datetime | None = None) -> Growth | None:
    """Of the last 30 days, without the table's first one. None where fewer than two days were measured."""
    if not ledger:
        return None
    now = now or datetime.now(UTC)
    begin = max(min(row.loaded_at for row in ledger) + FIRST_FILL, now - LOOKED_BACK)
    measured = now - begin
    if measured < MEASURED_LEAST:
        return None
    rows = sum(row.rows_inserted - row.rows_deleted for row in ledger if row.loaded_at > begin)
    days = measured / timedelta(days=1)
    return Growth(rows / days, days)


def next_class(growth: Growth, rows: int, bytes: int, sizes: SizeSettings) -> str | None:
    """When a table of `rows` and `bytes` is read another way (see SizeSettings); None where it is of the last class,
    where its size is not known, or where it does not grow."""
    if rows <= 0 or bytes <= 0 or growth.rows_a_day <= 0:
        return None
    row_bytes = bytes / rows
    if bytes < sizes.streaming_mb * MB:
        name, wanted = "streaming", sizes.streaming_mb * MB / row_bytes
    elif bytes < sizes.parallel_mb * MB or rows < sizes.parallel_rows:
        name, wanted = "parallel", max(sizes.parallel_mb * MB / row_bytes, sizes.parallel_rows)
    else:
        return None
    days = growth.days_until(rows, wanted)
    return None if days is None else f"{name} from {wanted:,.0f} rows on, in {_days(days)}"


def storage(server: ServerSize, database_bytes: int, bytes_a_day: float | None) -> tuple[bool, str]:
    """Whether the declared limit is far enough away, and in words how far."""
    limit = server.storage_bytes
    grows = "its growth is not measured yet"
    if bytes_a_day is not None:
        grows = f"it grows by {size(max(0.0, bytes_a_day))} a day"
    if limit is None:
        return True, f"{grows}; to be told when it is full declare `server: {{storage_gb: ..}}` of the warehouse"
    share = database_bytes / limit
    text = f"{share:.0%} of {size(limit)} used, {grows}"
    if bytes_a_day is None or bytes_a_day <= 0:
        return share < FULL_SHARE, text
    days = max(0.0, (limit - database_bytes) / bytes_a_day)
    return share < FULL_SHARE and days >= SHORT_DAYS, f"{text}: full in {_days(days)}"


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days < 3650 else "more than ten years"
