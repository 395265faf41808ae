"""Where the rows of a table lie in its space of ids: a histogram from a bounded number of the server's estimates.

It is remembered in the lake as `_density.json` beside `_table.json`. It is a hint: it may be stale or lost, and nothing
that is read depends on it.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

import obstore
from obstore.exceptions import BaseError

from ..model.errors import LakeCorrupt, ObjectStoreError
from ..sources.base import Read, Source
from .lake import Lake, Place

PROBES_MOST = 48
FIRST_BUCKETS = 16
REMEMBERED_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class Density:
    """About `rows[i]` rows have ids in `(edges[i], edges[i + 1]]`; within a bucket they are taken to lie evenly."""

    edges: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.rows)

    def rows_between(self, low: int, high: int) -> float:
        """About how many rows have ids in `(low, high]`."""
        return max(0.0, self._rows_up_to(high) - self._rows_up_to(low))

    def id_after(self, low: int, rows: float) -> int:
        """The id up to which about that many rows lie above `low`; the last edge where there are not so many."""
        wanted = self._rows_up_to(low) + rows
        if wanted >= self.total:
            return self.edges[-1]
        sums = list(accumulate(self.rows, initial=0))
        bucket = max(1, bisect_left(sums, wanted))
        start, end = self.edges[bucket - 1], self.edges[bucket]
        return start + int((end - start) * (wanted - sums[bucket - 1]) / max(1, self.rows[bucket - 1]))

    def _rows_up_to(self, id_: int) -> float:
        if id_ <= self.edges[0]:
            return 0.0
        bucket = bisect_left(self.edges, id_)
        if bucket >= len(self.edges):
            return float(self.total)
        start, end = self.edges[bucket - 1], self.edges[bucket]
        return sum(self.rows[: bucket - 1]) + self.rows[bucket - 1] * ((id_ - start) / (end - start))


def estimate(rows_between: Callable[[int, int], int], low: int, high: int, probes: int = PROBES_MOST) -> Density:
    """The histogram of `(low, high]`, by at most `probes` questions: even buckets, then the fullest ones halved."""
    count = max(1, min(FIRST_BUCKETS, high - low, probes))
    edges = [low + (high - low) * number // count for number in range(count + 1)]
    rows = [rows_between(start, end) for start, end in pairwise(edges)]
    while count < probes:
        fullest = max(range(len(rows)), key=lambda number: rows[number] if edges[number + 1] - edges[number] > 1 else 0)
        start, end = edges[fullest], edges[fullest + 1]
        if end - start <= 1 or rows[fullest] * len(rows) <= 2 * sum(rows):
            break
        middle = start + (end - start) // 2
        left = rows_between(start, middle)
        edges.insert(fullest + 1, middle)
        rows[fullest : fullest + 1] = [left, max(0, rows[fullest] - left)]
        count += 1
    return Density(tuple(edges), tuple(rows))


def density_of(source: Source, lake: Lake, place: Place, read: Read, low: int, high: int) -> Density:
    """The histogram of a table from below `low` to `high`: the remembered one where it is fresh, else asked and kept.

    `read` is any read of the table; ids are those of its first order column.
    """
    known = remembered(lake, place, read.order[0].name)
    if known is not None and known.edges[0] <= low and high <= known.edges[-1]:
        return known

    def ask(start: int, end: int) -> int:
        part = replace(read, after=(start,), upto=(end,), start=None, end=None, limit=None)
        return source.explain(part).rows

    if known is not None and known.edges[0] <= low <= known.edges[-1]:
        last = known.edges[-1]
        found = Density((*known.edges, high), (*known.rows, ask(last, high)))
        if len(found.rows) <= 2 * PROBES_MOST:
            _remember(lake, place, read.order[0].name, found)
            return found
    found = estimate(ask, low, high)
    _remember(lake, place, read.order[0].name, found)
    return found


def remembered(lake: Lake, place: Place, cursor: str) -> Density | None:
    """What was found within the last day; None where there is nothing of use."""
    try:
        body = json.loads(lake.get(_path(place)))
        made_at = datetime.fromisoformat(body["made_at"])
        if body["cursor"] != cursor or datetime.now(UTC) - made_at > REMEMBERED_FOR:
            return None
        return _checked(body["edges"], body["rows"])
    except (LakeCorrupt, ObjectStoreError, ValueError, KeyError, TypeError):
        return None  # a hint that cannot be read is asked for anew


def _checked(edges: Sequence[int], rows: Sequence[int]) -> Density:
    if len(edges) != len(rows) + 1 or not rows or any(one >= other for one, other in pairwise(edges)):
        raise ValueError
    return Density(tuple(edges), tuple(rows))


def _remember(lake: Lake, place: Place, cursor: str, density: Density) -> None:
    body = {
        "version": 1,
        "cursor": cursor,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "edges": list(density.edges),
        "rows": list(density.rows),
    }
    with suppress(BaseError, OSError):
        obstore.put(lake.store, _path(place), json.dumps(body).encode())


def _path(place: Place) -> str:
    return f"{place.table_folder}/_density.json"
