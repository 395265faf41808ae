"""Whether a read brought the whole list: by the total that the API tells, and by records that came twice.

A list that changes while it is read by page numbers shifts under them: records come twice, and others not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...model.api import Endpoint
from .streams import Stream


@dataclass(frozen=True)
class Verdict:
    """`doubts` say what speaks against it; `may_help` that another read may end better."""

    rows: int
    distinct: int | None
    total: int | None
    doubts: tuple[str, ...] = ()
    may_help: bool = False

    @property
    def complete(self) -> bool:
        return not self.doubts

    @property
    def duplicates(self) -> int | None:
        """Records whose id another one has; None where no id is declared."""
        return None if self.distinct is None else self.rows - self.distinct

    @property
    def description(self) -> str:
        """What was compared, in words."""
        if self.doubts:
            return "; ".join(self.doubts)
        told = "no total is told" if self.total is None else f"{self.total:,} are told"
        twice = "" if self.duplicates is None else f", {self.duplicates:,} came twice"
        return f"{self.rows:,} records came to the end of the pages, {told}{twice}"


def judge(endpoint: Endpoint, streams: Sequence[Stream]) -> Verdict:
    """Looks at each span by itself: a record on the edge of two may rightly come in both."""
    doubts: list[str] = []
    may_help = False
    for stream in streams:
        distinct = _distinct(stream) if endpoint.id else stream.rows
        changed = stream.total != stream.first_total
        if distinct < stream.rows and endpoint.paging.is_numbered:
            doubts.append(f"{stream.rows - distinct:,} of {stream.rows:,} records came twice")
            may_help = True
        elif stream.total is not None and distinct != stream.total:
            doubts.append(f"{distinct:,} records came, the API tells of {stream.total:,}")
            may_help |= changed or distinct < stream.total
        elif changed and not endpoint.id and endpoint.paging.is_numbered:
            before = "none" if stream.first_total is None else f"{stream.first_total:,}"
            doubts.append(f"the API told of {before}, then of {stream.total:,} records while it was read")
            may_help = True
    totals = [stream.total for stream in streams]
    return Verdict(
        rows=sum(stream.rows for stream in streams),
        distinct=sum(_distinct(stream) for stream in streams) if endpoint.id else None,
        total=None if None in totals else sum(total for total in totals if total is not None),
        doubts=tuple(doubts),
        may_help=may_help,
    )


def _distinct(stream: Stream) -> int:
    """Records without an id are all different."""
    import polars as pl

    return (
        pl.Series(values=stream.ids, dtype=pl.Int64).n_unique() + stream.without_id if stream.ids else stream.without_id
    )
