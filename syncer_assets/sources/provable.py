"""Which part of a captured ceiling may become final: a time may be older than its writer (DESIGN 5, rule 4)."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from ..model.marks import TIME_KINDS, CursorColumn, Mark, Scalar
from ..model.table import TableSpec

CLOCK_SET_BACK = timedelta(hours=3)
"""No zone sets its clocks back by more (Troll: two hours)."""


def provable(ceiling: Mark, cursor: CursorColumn, moment: datetime, spec: TableSpec) -> Mark | None:
    """The ceiling, or of a time what is older than the lag at `moment` where that is lower."""
    if cursor.kind not in TIME_KINDS:
        return ceiling
    limit: Scalar = moment - spec.late_commit_lag
    assert isinstance(limit, datetime)
    if cursor.kind == "timestamp":
        limit = _earliest_local(limit, ZoneInfo(spec.cursor_zone or "UTC"))
    elif cursor.kind == "date":
        limit = (limit - timedelta(hours=12)).date() - timedelta(days=1)
    first = ceiling[0]
    assert isinstance(first, date | datetime)
    return ceiling if first <= limit else (limit,)  # type: ignore[operator]  # both are of the cursor's kind


def _earliest_local(moment: datetime, zone: ZoneInfo) -> datetime:
    """What a clock of that zone shows at least, from that moment on: it may be about to be set back."""
    here = moment.astimezone(zone).replace(tzinfo=None)
    return min(here, (moment + CLOCK_SET_BACK).astimezone(zone).replace(tzinfo=None) - CLOCK_SET_BACK)
