"""What is still to do: queries and seconds, from estimates of the server and from what the last manifest took."""

from dataclasses import dataclass
from itertools import pairwise

from ..model.manifest import Manifest
from ..model.table import TableSpec
from ..sources.base import Read
from .density import Density
from .sparse import RangeSizer
from .strategy import Choice


@dataclass(frozen=True)
class Effort:
    """`queries` of the loop, and `seconds` for them and the files; None where nothing was measured yet."""

    queries: int
    seconds: float | None


def predict_remaining_effort(
    choice: Choice, spec: TableSpec, read: Read, density: Density | None, head: Manifest | None
) -> Effort:
    """What it takes to read the window, of which `choice` has the estimated rows."""
    pages = -(-choice.rows // spec.chunk.rows)
    queries = max(pages, _ranges(spec, read, choice.rows, density)) if choice.strategy == "range" else pages
    rate = dict(head.metrics).get("rows_per_second", 0.0) if head is not None else 0.0
    return Effort(max(1, queries), round(choice.rows / rate, 1) if rate else None)


def _ranges(spec: TableSpec, read: Read, rows: int, density: Density | None) -> int:
    """Ranges of ids, each part of the window scaled as its own density has it; a part without rows is jumped over."""
    low = read.after[0] if read.after else read.start or 0
    high = read.upto[0] if read.upto else read.end
    if not isinstance(low, int) or not isinstance(high, int) or high <= low:
        return 1
    density = density or Density((low, high), (rows,))
    edges = [low, *(edge for edge in density.edges if low < edge < high), high]
    return sum(_ranges_between(spec, density, start, end) for start, end in pairwise(edges))


def _ranges_between(spec: TableSpec, density: Density, start: int, end: int) -> int:
    sizer = RangeSizer(spec.sparse, spec.chunk.rows)
    advice = sizer.note(int(density.rows_between(start, end) * sizer.base / (end - start)), sizer.base)
    found = density.rows_between(start, end)
    return 1 if advice != "normal_processing" and found < 1 else -(-(end - start) // sizer.size)
