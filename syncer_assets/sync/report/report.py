"""The report: each table's figures in sum, by partition and by day, and against a baseline."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from ...model.errors import SyncError
from ...model.files import FileSpec
from ...model.keyed_update import KeyedUpdateSpec
from ...model.table import TableSpec, Target
from ...warehouses.base import Warehouse
from ..lake import Lake
from .baseline import VERSION, Baseline
from .figures import Comparison, Figures, compare, figures
from .file_loads import EntityReport, OpenFiles, file_reports
from .history import Load, Seqs, Sync, TableHistory, table_history, table_title, target_title
from .keyed_updates import OpenWarehouse, UpdateReport, update_reports
from .list_reads import ListFiles, ListReport, list_reports

Wanted = tuple[TableSpec, Target]


@dataclass(frozen=True)
class TableReport:
    """A table. `comparison` is None without a baseline that has it; `before` are the baseline's figures."""

    table: str
    target: str
    total: Figures
    partitions: Mapping[str, Figures]
    days: Mapping[str, Figures]
    seqs: Mapping[str, Seqs]
    syncs: tuple[Sync, ...]
    loads: tuple[Load, ...]
    before: Figures | None = None
    comparison: Comparison | None = None
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "table": self.table,
            "target": self.target,
            "total": asdict(self.total),
            "partitions": [{"partition": name, **asdict(found)} for name, found in self.partitions.items()],
            "days": [{"day": day, **asdict(found)} for day, found in self.days.items()],
            "seqs": {name: asdict(seqs) for name, seqs in self.seqs.items()},
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "error": self.error,
        }


@dataclass(frozen=True)
class Report:
    """All tables, since a time or a baseline; else from the first sync on. The lag of all is the highest."""

    made_at: datetime
    lake_generation: str | None
    total: Figures
    tables: tuple[TableReport, ...]
    since: datetime | None = None
    baseline_made_at: datetime | None = None
    files: tuple[EntityReport, ...] = ()
    lists: tuple[ListReport, ...] = ()
    updates: tuple[UpdateReport, ...] = ()

    @property
    def errors(self) -> list[str]:
        """What could not be asked, each once."""
        found = (*self.tables, *self.files, *self.lists, *self.updates)
        return sorted({each.error for each in found if each.error})

    def to_json(self) -> dict[str, object]:
        """What `read_baseline` takes."""
        return {
            "version": VERSION,
            "made_at": self.made_at.isoformat(),
            "lake_generation": self.lake_generation,
            "since": self.since.isoformat() if self.since else None,
            "baseline_made_at": self.baseline_made_at.isoformat() if self.baseline_made_at else None,
            "total": asdict(self.total),
            "tables": [table.to_json() for table in self.tables],
            "files": [entity.to_json() for entity in self.files],
            "lists": [each.to_json() for each in self.lists],
            "updates": [each.to_json() for each in self.updates],
        }


def report(
    lake: Lake | None,
    tables: Iterable[Wanted],
    open_warehouse: OpenWarehouse,
    *,
    since: datetime | None = None,
    baseline: Baseline | None = None,
) -> Report:
    """What was done with these tables `since` a time and the baseline, from the lake and the warehouses' ledgers.

    Where a warehouse does not answer its tables are told without loads, and with the error. Raises SyncError where
    the lake does not; without a lake nothing was done.
    """
    made_at = datetime.now(UTC)
    if lake is None:
        histories = [TableHistory(table_title(spec), target_title(target)) for spec, target in tables]
    else:
        histories = list(_histories(lake, list(tables), open_warehouse, since, baseline))
    generation = lake.generation if lake and any(history.seqs for history in histories) else None
    return make_report(histories, made_at, generation, since=since, baseline=baseline)


def with_files(
    found: Report,
    entities: Iterable[FileSpec],
    open_files: OpenFiles,
    lists: Iterable[ListFiles],
    *,
    baseline: Baseline | None = None,
) -> Report:
    """The report, and what was done with these entities of files and these lists of APIs in the same time."""
    before = baseline.files if baseline else None
    return replace(
        found,
        files=tuple(file_reports(entities, open_files, since=found.since, before=before)),
        lists=tuple(list_reports(lists, since=_begin(found))),
    )


def with_updates(found: Report, updates: Iterable[KeyedUpdateSpec], open_warehouse: OpenWarehouse) -> Report:
    """The report, and what these keyed updates brought in the same time."""
    return replace(found, updates=tuple(update_reports(updates, open_warehouse, since=_begin(found))))


def make_report(
    histories: Sequence[TableHistory],
    made_at: datetime,
    lake_generation: str | None,
    *,
    since: datetime | None = None,
    baseline: Baseline | None = None,
) -> Report:
    """The report of these histories, which hold only what is to be counted."""
    syncs = sorted((sync for history in histories for sync in history.syncs), key=lambda sync: sync.at)
    loads = sorted((load for history in histories for load in history.loads), key=lambda load: load.at)
    tables = tuple(_table(history, baseline) for history in histories)
    lags = [table.total.lag_seconds for table in tables if table.total.lag_seconds is not None]
    return Report(
        made_at=made_at,
        lake_generation=lake_generation,
        total=replace(figures(syncs, loads), lag_seconds=max(lags, default=None)),
        tables=tables,
        since=since,
        baseline_made_at=baseline.made_at if baseline else None,
    )


def _begin(found: Report) -> datetime | None:
    """What is told by its time alone counts from here on."""
    return max((each for each in (found.since, found.baseline_made_at) if each is not None), default=None)


def _histories(
    lake: Lake,
    tables: Sequence[Wanted],
    open_warehouse: OpenWarehouse,
    since: datetime | None,
    baseline: Baseline | None,
) -> Iterator[TableHistory]:
    """The histories in the order of the tables. A warehouse that failed once is not asked again."""

    def history(wanted: Wanted, warehouse: Warehouse | None, error: str | None = None) -> TableHistory:
        spec, target = wanted
        after = baseline.seqs(table_title(spec), target_title(target), lake.generation) if baseline else {}
        return table_history(lake, spec, target, warehouse, since=since, after=after, error=error)

    for name, group in groupby(tables, key=lambda wanted: wanted[1].warehouse):
        waiting = deque(group)
        error = None
        try:
            with open_warehouse(name) as warehouse:
                while waiting:
                    yield history(waiting[0], warehouse)
                    waiting.popleft()
        except SyncError as found:
            error = str(found)
        yield from (history(wanted, None, error) for wanted in waiting)


def _table(history: TableHistory, baseline: Baseline | None) -> TableReport:
    known = baseline.tables.get((history.table, history.target)) if baseline else None
    total = figures(history.syncs, history.loads)
    return TableReport(
        table=history.table,
        target=history.target,
        total=total,
        partitions=_by(history, lambda done: done.partition),
        days=_by(history, lambda done: done.at.date().isoformat()),
        seqs=history.seqs,
        syncs=history.syncs,
        loads=history.loads,
        before=known.figures if known else None,
        comparison=compare(known.figures, total) if known else None,
        error=history.error,
    )


def _by(history: TableHistory, name: Callable[[Sync | Load], str]) -> dict[str, Figures]:
    groups: dict[str, tuple[list[Sync], list[Load]]] = {}
    for sync in history.syncs:
        groups.setdefault(name(sync), ([], []))[0].append(sync)
    for load in history.loads:
        groups.setdefault(name(load), ([], []))[1].append(load)
    return {each: figures(*groups[each]) for each in sorted(groups)}
