"""A picture of how a window was read: where its rows lie among the ids, the chunks that read them, rows a second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import Any

from ..model.report import Emit

COLUMNS = 64
BARS = " ▁▂▃▄▅▆▇█"
SAMPLES_MOST = 8_192

Sample = tuple[int, int]
"""An id, and how many rows from there on it stands for; a chunk's last id stands for none."""


@dataclass(frozen=True)
class Chunk:
    """A query of the loop: its rows, the seconds that it took, and its last id."""

    rows: int
    seconds: float
    last_id: int | None = None


@dataclass
class ReadingPicture:
    """Hears the engine's events, and draws what it heard as Markdown. Memory is bounded however many rows there are."""

    emit: Emit
    samples: list[Sample] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)

    def hear(self, event: str, **fields: object) -> None:
        """An `Emit` that passes everything on."""
        self.emit(event, **fields)
        if event == "chunk read":
            ids, rows, seconds = fields.get("ids"), fields.get("rows_found"), fields.get("seconds")
            found: list[Sample] = list(ids) if isinstance(ids, tuple) else []
            self.samples += found
            last = found[-1][0] if found else None
            self.chunks.append(Chunk(_number(rows), _number(seconds), last))
            if len(self.samples) > SAMPLES_MOST:
                self.samples = thinned(self.samples)

    def to_markdown(self) -> str | None:
        """The picture, or None where nothing was read."""
        chunks = [chunk for chunk in self.chunks if chunk.rows]
        if not chunks:
            return None
        lines = _ids(self.samples, chunks) if self.samples else [f"{len(chunks):,} chunks"]
        return "\n".join(["```", *lines, *_speed(chunks), "```"])


def thinned(samples: Sequence[Sample]) -> list[Sample]:
    """Half as many samples, each for twice the rows; several readers' samples are brought into order."""
    ordered = sorted(samples)
    pairs = zip(ordered[::2], [*ordered[1::2], (0, 0)] if len(ordered) % 2 else ordered[1::2], strict=True)
    return [(first, rows + others) for (first, rows), (_, others) in pairs]


def bars(values: Sequence[float]) -> str:
    """A row of bars; what is not nothing is seen."""
    most = max(values, default=0) or 1
    steps = len(BARS) - 1
    return "".join(BARS[0 if value <= 0 else max(1, round(steps * value / most))] for value in values)


def _ids(samples: Sequence[Sample], chunks: Sequence[Chunk]) -> list[str]:
    """Rows by id, and below them where chunks end."""
    low, high = min(samples)[0], max(samples)[0]
    ids, read = high - low + 1, sum(rows for _, rows in samples)
    width = min(COLUMNS, ids)
    rows = [0.0] * width
    for (first, count), (following, _) in pairwise([*sorted(samples), (high + 1, 0)]):
        if count:
            begin, end = width * (first - low) / ids, width * (max(following, first + 1) - low) / ids
            rows[int(begin)] += 1
            _spread(rows, begin, end, count - 1)
    ends = ["─"] * width
    for chunk in chunks:
        if chunk.last_id is not None:
            ends[width * (chunk.last_id - low) // ids] = "┤"
    return [
        f"{read:,} rows in ids {low:,} .. {high:,}: {_percent(100 * read / ids)} of the ids, {len(chunks):,} chunks",
        "",
        f"rows    {bars(rows)}",
        f"chunks  {''.join(ends)}",
        f"        {f'{low:,}':<{max(1, width - len(f'{high:,}'))}}{high:,}",
        f"        a column is {ids / width:,.0f} ids",
    ]


def _spread(rows: list[float], begin: float, end: float, count: int) -> None:
    """Those rows evenly over the columns from `begin` to `end`."""
    for column in range(int(begin), min(len(rows), ceil(end))):
        rows[column] += count * (min(end, column + 1) - max(begin, column)) / (end - begin)


def _speed(chunks: Sequence[Chunk]) -> list[str]:
    """Rows a second, chunk after chunk; nothing where one chunk was all."""
    if len(chunks) < 2:
        return []
    together = ceil(len(chunks) / COLUMNS)
    groups = [chunks[start : start + together] for start in range(0, len(chunks), together)]
    speeds = [sum(c.rows for c in group) / max(0.001, sum(c.seconds for c in group)) for group in groups]
    each = "a column is a chunk" if together == 1 else f"a column is {together:,} chunks"
    return ["", f"rows/s  {bars(speeds)}", f"        at most {max(speeds):,.0f}, {each}"]


def _number(value: object) -> Any:
    return value if isinstance(value, int | float) else 0


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 10 else f"{value:.2g} %"
