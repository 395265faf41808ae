"""The report as one HTML page that needs nothing from elsewhere: plots over time, a table for each thing told."""

from collections.abc import Callable, Iterator, Sequence
from html import escape

from .figures import Figures
from .file_loads import EntityReport
from .history import Load, Sync
from .plot import Series, plot
from .report import Report, TableReport
from .sections import MB, Section, details, file_details, headline, overview

POINTS_MOST = 500

STYLE = """
:root { color-scheme: light dark; --ink: #1b2330; --faint: #5d6878; --line: #d7dce3; --ground: #ffffff;
  --lake: #2563c9; --load: #b4540a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --faint: #9aa5b4; --line: #353d49; --ground: #14181e; --lake: #79aefc; --load: #f2a65a; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
  max-width: 84rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
p { color: var(--faint); margin: .2rem 0 .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: 500; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem 1.5rem; }
figure { margin: 0; } figcaption { color: var(--faint); font-size: .9rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--faint); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .reference { stroke: var(--faint); stroke-dasharray: 5 4; }
svg polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg polyline.lake { stroke: var(--lake); } svg circle.lake { fill: var(--lake); }
svg polyline.load { stroke: var(--load); } svg circle.load { fill: var(--load); }
b.lake { color: var(--lake); } b.load { color: var(--load); }
"""


def page(report: Report) -> str:
    """The whole page."""
    body = [f"<h1>Sync report</h1><p>{escape(headline(report))}</p>"]
    body += [_table(section, "h2") for section in overview(report)]
    body += [part for table in report.tables for part in _of_table(table)]
    body += [part for entity in report.files for part in _of_files(entity)]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sync report</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _of_table(table: TableReport) -> Iterator[str]:
    yield f"<h2>{escape(table.table)}</h2>"
    if table.error:
        yield f"<p>Without the warehouse: {escape(table.error)}</p>"
    plots = [drawn for drawn in _plots(table) if drawn]
    if plots:
        legend = '<b class="lake">lake</b>) and a load (<b class="load">warehouse</b>'
        yield f"<p>A point a sync ({legend}){_cut(table)}.</p>"
        yield f'<div class="plots">{"".join(plots)}</div>'
    else:
        yield "<p>Nothing was synced.</p>"
    yield from (_table(section, "h3") for section in details(table))


def _of_files(entity: EntityReport) -> Iterator[str]:
    yield f"<h2>{escape(entity.entity)}</h2>"
    if entity.error:
        yield f"<p>{escape(entity.error)}</p>"
    yield from (_table(section, "h3") for section in file_details(entity))


def _plots(table: TableReport) -> Iterator[str]:
    syncs, loads, before = table.syncs[-POINTS_MOST:], table.loads[-POINTS_MOST:], table.before or Figures()
    speed = [
        _series(syncs, "lake", lambda sync: sync.rows / sync.seconds if sync.rows and sync.seconds else None),
        _series(loads, "load", lambda load: load.rows / load.seconds if load.rows and load.seconds else None),
    ]
    yield _figure("rows", [_series(syncs, "lake", _rows), _series(loads, "load", _rows)])
    yield _figure("rows a second", speed, before.rows_per_second)
    yield _figure(
        "seconds",
        [_series(syncs, "lake", lambda sync: sync.seconds), _series(loads, "load", lambda load: load.seconds)],
    )
    yield _figure("memory, MB", [_series(syncs, "lake", lambda sync: sync.peak_memory_mb)], before.peak_memory_mb)
    yield _figure(
        "bytes, MB",
        [_series(syncs, "lake", lambda sync: sync.bytes / MB), _series(loads, "load", lambda load: _mb(load.bytes))],
    )
    yield _figure("queries", [_series(syncs, "lake", lambda sync: sync.queries)])
    yield _figure("lag, seconds", [_series(syncs, "lake", lambda sync: sync.lag_seconds)])
    yield _figure("WAL, MB", [_series(loads, "load", lambda load: _mb(load.wal_bytes))])


def _series(done: Sequence[Sync] | Sequence[Load], style: str, value: Callable) -> Series:
    points = [(each.at, float(found)) for each in done if (found := value(each)) is not None]
    return Series("warehouse" if style == "load" else style, style, points)


def _figure(title: str, series: Sequence[Series], reference: float | None = None) -> str:
    drawn = plot(title, series, reference)
    return drawn and f"<figure><figcaption>{escape(title)}</figcaption>{drawn}</figure>"


def _rows(done: Sync | Load) -> int:
    return done.rows


def _mb(size: int | None) -> float | None:
    return None if size is None else size / MB


def _cut(table: TableReport) -> str:
    most = max(len(table.syncs), len(table.loads))
    return f", the last {POINTS_MOST} of {most}" if most > POINTS_MOST else ""


def _table(section: Section, level: str) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in section.header)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in section.rows)
    note = f"<p>{escape(section.note)}</p>" if section.note else ""
    return (
        f"<{level}>{escape(section.title)}</{level}>{note}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
