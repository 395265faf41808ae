"""What a report shows, as tables of texts; Markdown and the page draw the same ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from .figures import Comparison, Figures
from .file_loads import EntityReport, FileFigures, figures_of
from .keyed_updates import UpdateReport
from .list_reads import ListReport
from .report import Report, TableReport

LAST = 12
"""A table of partitions or days shows that many, the last ones; the JSON has all."""
NOTHING = "-"
Cells = tuple[str, ...]
MB = 1024 * 1024
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))

READING = ("rows read", "MB", "files", "queries", "seconds", "rows/s", "peak MB", "lag")
LOADING = ("loads", "rows loaded", "new", "changed", "same", "gone", "COPYs", "seconds", "rows/s", "WAL MB")
SPARSE = ("sparse windows", "queries saved", "seconds saved", "files saved")
FILES = ("files", "MB", "lines", "new", "changed", "same", "rejected", "duplicates", "seconds", "lines/s")
LISTS = ("reads", "records", "pages", "files", "MB", "last read")
UPDATES = ("partitions", "unfinished", "batches", "rows", "updated", "unmatched", "seconds", "rows/s", "last ended")
AGAINST = ("reading", "loading", "memory", "queries saved", "files saved", "COPYs saved")


@dataclass(frozen=True)
class Section:
    """A table of texts: the first column names, the others are numbers. `note` stands above it."""

    title: str
    header: Cells
    rows: tuple[Cells, ...]
    note: str = ""


def headline(report: Report) -> str:
    """What the report covers."""
    begin = f"the baseline of {moment(report.baseline_made_at)}" if report.baseline_made_at else ""
    if report.since:
        begin = f"{begin}, and {moment(report.since)}" if begin else moment(report.since)
    return f"{'Since ' + begin if begin else 'From the first sync on'}, until {moment(report.made_at)}."


def overview(report: Report) -> list[Section]:
    """All tables: what was read, what was loaded, and how that compares."""
    named = [(table.table, table.total) for table in report.tables]
    if len(named) > 1:
        named.append(("all", report.total))
    sections = []
    if named or not (report.files or report.lists or report.updates):
        sections.append(Section("Read into the lake", ("table", *READING), _rows(named, _reading)))
        sections.append(Section("Loaded into the warehouse", ("table", *LOADING), _rows(named, _loading)))
    if report.lists:
        sections.append(Section("Read from APIs", ("list", *LISTS), tuple(_list(each) for each in report.lists)))
    if report.files:
        entities = tuple((each.entity, *_files(each.total)) for each in report.files)
        note = "Each file as it was loaded last."
        sections.append(Section("Files loaded", ("entity", *FILES), entities, note))
    if report.updates:
        note = "The last cycle of each partition."
        updates = tuple(_update(each) for each in report.updates)
        sections.append(Section("Keyed updates", ("update", *UPDATES), updates, note))
    if any(found.sparse_detections for _, found in named):
        note = "Estimates, against a loop over fixed ranges of ids that writes a file for each range with rows."
        sections.append(Section("Saved on sparse ids", ("table", *SPARSE), _rows(named, _sparse), note))
    compared = tuple(
        (table.table, *_against(table.comparison)) for table in report.tables if table.comparison is not None
    )
    if report.baseline_made_at:
        note = "Ratios above 1 are better: more rows a second, less memory. Saved: what the rows would have taken then."
        unknown = [table.table for table in report.tables if table.comparison is None]
        if unknown:
            note += f" Not in the baseline: {', '.join(unknown)}."
        compared += tuple(
            (each.entity, NOTHING, _ratio(each.speed_ratio), *[NOTHING] * 4) for each in report.files if each.before
        )
        sections.append(Section(f"Against {moment(report.baseline_made_at)}", ("table", *AGAINST), compared, note))
    return sections


def details(table: TableReport) -> Iterator[Section]:
    """One table by partition and by day; nothing where there is a single one."""
    for name, parts in (("partition", table.partitions), ("day", table.days)):
        if len(parts) > 1:
            shown = list(parts.items())[-LAST:]
            note = f"The last {LAST} of {len(parts)}." if len(parts) > LAST else ""
            yield Section(f"By {name}: read", (name, *READING), _rows(shown, _reading), note)
            yield Section(f"By {name}: loaded", (name, *LOADING), _rows(shown, _loading), note)


def file_details(entity: EntityReport) -> Iterator[Section]:
    """One entity by partition and by day, and its last files."""
    for name, parts in (("partition", entity.partitions), ("day", entity.days)):
        if len(parts) > 1:
            shown = list(parts.items())[-LAST:]
            note = f"The last {LAST} of {len(parts)}." if len(parts) > LAST else ""
            rows = tuple((each, *_files(found)) for each, found in shown)
            yield Section(f"By {name}", (name, *FILES), rows, note)
    if entity.loads:
        note = f"The last {LAST} of {len(entity.loads)}." if len(entity.loads) > LAST else ""
        loads = tuple((load.path, *_files(figures_of([load]))[1:]) for load in entity.loads[-LAST:])
        yield Section("By file", ("file", *FILES[1:]), loads, note)


def moment(at: datetime | None) -> str:
    """A time for people, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else NOTHING


def number(value: float | None, digits: int = 0) -> str:
    """A number with separators; a dash for what was not measured."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """`12.3 s`, `5 min`, `3 h`, `2 d`."""
    for size, unit in UNITS:
        if seconds is not None and seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return NOTHING if seconds is None else f"{seconds:,.1f} s"


def _rows(named: Sequence[tuple[str, Figures]], cells: Callable[[Figures], Cells]) -> tuple[Cells, ...]:
    return tuple((name, *cells(found)) for name, found in named)


def _reading(found: Figures) -> Cells:
    return (
        *(number(found.rows), number(found.bytes / MB, 1), number(found.files)),
        *(number(found.queries), number(found.seconds, 1), number(found.rows_per_second)),
        *(number(found.peak_memory_mb), duration(found.lag_seconds)),
    )


def _loading(found: Figures) -> Cells:
    return (
        *(number(found.loads), number(found.rows_loaded), number(found.rows_inserted), number(found.rows_updated)),
        *(number(found.rows_unchanged), number(found.rows_deleted), number(found.copies)),
        *(number(found.load_seconds, 1), number(found.load_rows_per_second)),
        number(None if found.wal_bytes is None else found.wal_bytes / MB, 1),
    )


def _files(found: FileFigures) -> Cells:
    return (
        *(number(found.files), number(found.bytes / MB, 1), number(found.lines)),
        *(number(found.rows_inserted), number(found.rows_updated), number(found.rows_unchanged)),
        *(number(found.rejected), number(found.duplicates)),
        *(number(found.seconds, 1), number(found.lines_per_second)),
    )


def _list(found: ListReport) -> Cells:
    return (
        *(found.title, number(found.reads), number(found.records), number(found.pages)),
        *(number(found.files), number(found.bytes / MB, 1), moment(found.last_read_at)),
    )


def _update(found: UpdateReport) -> Cells:
    return (
        *(found.title, number(found.partitions), number(found.unfinished), number(found.batches), number(found.rows)),
        *(number(found.rows_updated), number(found.rows_unmatched), number(found.seconds, 1)),
        *(number(found.rows_per_second), moment(found.last_finished_at)),
    )


def _sparse(found: Figures) -> Cells:
    return (
        *(number(found.sparse_detections), number(found.queries_saved)),
        *(number(found.seconds_saved, 1), number(found.files_consolidated)),
    )


def _against(found: Comparison) -> Cells:
    ratios = (found.speed_ratio, found.load_speed_ratio, found.memory_ratio)
    saved = (found.queries_saved, found.files_saved, found.copies_saved)
    return (*map(_ratio, ratios), *(number(each) for each in saved))


def _ratio(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.2f}x"
