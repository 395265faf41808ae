"""Lines over time as SVG to stand in a page, which has the colours: no script, no font, no address from elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

WIDTH, HEIGHT = 440, 180
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 26
DOTS_MOST = 80
"""Above that many points a line has no dots: they would hide it."""


@dataclass(frozen=True)
class Series:
    """One line. `style` is the class that colours it."""

    name: str
    style: str
    points: Sequence[tuple[datetime, float]]


def plot(title: str, series: Sequence[Series], reference: float | None = None) -> str:
    """The lines over one axis of time from 0 up, with a dashed one at `reference`; empty without a point."""
    points = [point for line in series for point in line.points]
    if not points:
        return ""
    begin, end = min(at for at, _ in points), max(at for at, _ in points)
    top = _round_up(max([value for _, value in points] + ([reference] if reference else [])))
    span = (end - begin).total_seconds()

    def x(at: datetime) -> float:
        share = (at - begin).total_seconds() / span if span else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value in (0, top / 2, top):
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y(value)}" x2="{WIDTH - RIGHT}" y2="{y(value)}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{short(value)}</text>')
    if reference:
        parts.append(
            f'<line class="reference" x1="{LEFT}" y1="{y(reference)}" x2="{WIDTH - RIGHT}" y2="{y(reference)}">'
            f"<title>baseline: {short(reference)}</title></line>"
        )
    for line in series:
        parts += _line(line, [(x(at), y(value)) for at, value in line.points])
    first, last = _dates(begin, end)
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">{first}</text>')
    if last != first:
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{last}</text>')
    return "".join([*parts, "</svg>"])


def short(value: float) -> str:
    """A number of at most four signs and a unit: `0.25`, `12`, `3.4k`, `12M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _line(line: Series, places: Sequence[tuple[float, float]]) -> list[str]:
    drawn = []
    if len(places) > 1:
        path = " ".join(f"{x},{y}" for x, y in places)
        drawn.append(f'<polyline class="{line.style}" points="{path}"/>')
    if len(places) <= DOTS_MOST:
        for (at, value), (x, y) in zip(line.points, places, strict=True):
            told = f"{at:%Y-%m-%d %H:%M:%S} {line.name}: {value:,.1f}"
            drawn.append(f'<circle class="{line.style}" cx="{x}" cy="{y}" r="3"><title>{escape(told)}</title></circle>')
    return drawn


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten, which halves to a short number; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))


def _dates(begin: datetime, end: datetime) -> tuple[str, str]:
    form = "%H:%M:%S" if begin.date() == end.date() else "%Y-%m-%d"
    if begin == end:
        form = "%Y-%m-%d %H:%M:%S"
    return f"{begin:{form}}", f"{end:{form}}"
