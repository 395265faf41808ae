"""What a run would do with a table: windows, chunks, SQL, files, types and risks. Nothing is written or read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..model.capture import Protection
from ..model.columns import Column
from ..model.manifest import Manifest
from ..model.marks import Mark, is_below, show
from ..model.partition import UNPARTITIONED
from ..model.risk import SMALL_ROWS, Risk
from ..model.table import TableSpec
from ..sources.advice import Advice
from ..sources.base import Read, Source, TableFacts
from .density import PROBES_MOST, Density, estimate, remembered
from .effort import predict_remaining_effort
from .lake import Lake, Place
from .mask import in_words
from .pending import pending_of, table_keys
from .rules import Resolved, resolve
from .strategy import PARQUET_SHARE, choose, is_by_id

MB = 1024 * 1024


@dataclass(frozen=True)
class PartitionPlan:
    """One sync of one partition. `rows`, `chunks`, `files` and `seconds` are estimates; `low` None: from its start.

    `seconds` None: nothing was measured yet. `strategy` and `size_class` are how it would be read, with their reasons.
    """

    partition: str
    reason: str
    low: str | None
    ceiling: str | None
    rows: int
    chunks: int
    files: int
    access: str
    sql: str
    strategy: str
    strategy_reason: str
    size_class: str
    size_reason: str
    workers: int
    seconds: float | None


@dataclass(frozen=True)
class TypePlan:
    """A column on its way. `note` says what becomes of it where that is not plain."""

    name: str
    source_type: str
    lake_type: str
    note: str = ""


@dataclass(frozen=True)
class TablePlan:
    """A table's plan. `risks` are for a person to weigh."""

    table: str
    load: str
    key: tuple[str, ...]
    cursor: tuple[str, ...]
    rows_estimate: int
    bytes_estimate: int
    proof: str
    partitions: tuple[PartitionPlan, ...]
    columns: tuple[TypePlan, ...]
    risks: tuple[Risk, ...]

    @property
    def rows(self) -> int:
        return sum(partition.rows for partition in self.partitions)

    @property
    def chunks(self) -> int:
        return sum(partition.chunks for partition in self.partitions)

    @property
    def files(self) -> int:
        return sum(partition.files for partition in self.partitions)


def plan(source: Source, lake: Lake | None, spec: TableSpec, partition: str | None = None) -> TablePlan:
    """The plan of one table, or of one partition of it. `lake` None: nothing was synced yet. Raises SyncError."""
    facts = source.describe(spec.table)
    resolved = resolve(spec, facts)
    protection = source.protection(spec, facts, resolved.order) if spec.cursor else None
    planner = _Planner(source, lake, spec, facts, resolved)
    return TablePlan(
        table=spec.table,
        load=spec.load,
        key=resolved.key,
        cursor=spec.cursor,
        rows_estimate=facts.rows_estimate,
        bytes_estimate=facts.bytes_estimate,
        proof=protection.proof if protection else "snapshot",
        partitions=tuple(planner.partitions(partition)),
        columns=tuple(_types(spec, facts, resolved)),
        risks=tuple(_risks(source.advice, spec, facts, resolved, protection)),
    )


@dataclass(frozen=True)
class _Planner:
    """What every partition's plan needs to know of its table."""

    source: Source
    lake: Lake | None
    spec: TableSpec
    facts: TableFacts
    resolved: Resolved

    def partitions(self, only: str | None) -> list[PartitionPlan]:
        """The partitions that have something to read, or the one that is asked for."""
        due = self._due(only)
        density = self._density(due)
        return [self._partition(key, reason, maximum, density) for key, reason, maximum in due]

    def _density(self, due: "list[tuple[str, str, Mark | None]]") -> Density | None:
        """Where the rows lie: as remembered, or asked now where that takes fewer questions than one a partition."""
        maximum = due[0][2] if due else None
        if not is_by_id(self.resolved, self.spec) or maximum is None or not isinstance(maximum[0], int):
            return None
        place = Place(self.spec.source, self.spec.table, UNPARTITIONED)
        known = remembered(self.lake, place, self.spec.cursor[0]) if self.lake else None
        if known is not None or len(due) <= PROBES_MOST:
            return known
        base = replace(self._read(due[0][0], None), start=None, end=None)
        lowest = self.source.lowest(base)
        if not isinstance(lowest, int) or lowest > maximum[0]:
            return None

        def ask(start: int, end: int) -> int:
            return self.source.explain(replace(base, after=(start,), upto=(end,))).rows

        return estimate(ask, lowest - 1, maximum[0])

    def _due(self, only: str | None) -> list[tuple[str, str, Mark | None]]:
        if not self.spec.cursor:
            return [(UNPARTITIONED, "read whole each time", None)]
        known = table_keys(self.source, self.spec, self.resolved.cursor)
        if only is not None:
            return [(only, "asked for", known.maximum)]
        if self.lake is None:
            return [(key, "never read", known.maximum) for key in known.keys] if known.maximum else []
        due = pending_of(self.source, self.lake, self.spec)
        return [(found.partition, found.reason, known.maximum) for found in due]

    def _partition(self, key: str, reason: str, maximum: Mark | None, density: Density | None) -> PartitionPlan:
        head = self.lake.head(Place(self.spec.source, self.spec.table, key)) if self.lake else None
        read = self._read(key, head)
        beyond = read.end is not None and maximum is not None and not is_below(maximum, (read.end,))
        ceiling = (read.end,) if beyond and read.end is not None else maximum
        window = replace(read, upto=ceiling)
        first = replace(read, limit=self.spec.chunk.rows + 1)
        plan = self.source.explain(first if self.spec.cursor else read)
        rows = self._rows(window, density)
        choice = choose(self.source, self.spec, self.resolved, self.facts, window, rows)
        effort = predict_remaining_effort(choice, self.spec, window, density, head)
        return PartitionPlan(
            partition=key,
            reason=reason,
            low=show(read.after),
            ceiling=show(ceiling),
            rows=rows,
            chunks=effort.queries if self.spec.cursor else 1,
            files=self._files(rows),
            access=plan.access,
            sql=self.source.sql(first if self.spec.cursor else read),
            strategy=choice.strategy,
            strategy_reason=choice.reason,
            size_class=choice.size_class,
            size_reason=choice.size_reason,
            workers=choice.workers,
            seconds=effort.seconds,
        )

    def _rows(self, window: Read, density: Density | None) -> int:
        if density is not None and window.upto is not None:
            low, high = window.after[0] if window.after else window.start, window.upto[0]
            if isinstance(low, int) and isinstance(high, int) and density.edges[0] <= low and high <= density.edges[-1]:
                return round(density.rows_between(low, high))
        found = self.source.explain(replace(window, upto=None)).rows
        return min(found, self.facts.rows_estimate) if self.facts.rows_estimate > 0 else found

    def _read(self, key: str, head: Manifest | None) -> Read:
        kind = self.resolved.cursor.kind if self.resolved.cursor else None
        partition = self.spec.partitions.partition(key, kind)
        return Read(
            table=self.spec.table,
            columns=self.resolved.read,
            order=self.resolved.order,
            cursor=self.spec.cursor,
            after=head.safe if head is not None and self.spec.cursor else None,
            start=partition.start,
            end=partition.end,
            prefix_column=partition.column,
            prefix=partition.prefix,
            prefix_length=partition.length,
            with_ties=self.resolved.with_ties,
            where=self.resolved.where,
        )

    def _files(self, rows: int) -> int:
        if not rows:
            return 0
        files = 1
        if self.facts.rows_estimate > 0:
            size = self.facts.bytes_estimate / self.facts.rows_estimate * rows * PARQUET_SHARE
            files = max(files, -(-int(size) // int(self.spec.files.target_mb * MB)))
        return max(files, -(-rows // self.spec.files.max_rows)) if self.spec.files.max_rows else files


def _types(spec: TableSpec, facts: TableFacts, resolved: Resolved) -> list[TypePlan]:
    lake = {column.name: column for column in resolved.columns}
    return [_type(spec, facts, column.column, lake.get(column.column.name)) for column in facts.columns]


def _type(spec: TableSpec, facts: TableFacts, column: Column, lake: Column | None) -> TypePlan:
    if lake is None:
        return TypePlan(column.name, column.source_type, "", "left out")
    found = facts.column(column.name)
    notes = []
    if lake.hidden:
        notes.append(f"{in_words(spec, column.name)}; the value itself is not written anywhere")
    elif found is not None and found.as_text:
        notes.append("as the server's own text" + ("" if column.portable else "; text in the warehouse too"))
    if found is not None and found.guard is not None:
        allowed = column.name in spec.allow_lossy
        notes.append(f"lossy: {found.guard.loses}" if allowed else f"refused: {found.guard.holds}")
    return TypePlan(column.name, column.source_type, lake.type, "; ".join(notes))


def _risks(
    advice: Advice, spec: TableSpec, facts: TableFacts, resolved: Resolved, protection: Protection | None
) -> Iterator[Risk]:
    if protection is not None and not protection.protected:
        yield Risk(protection.risk, f"late commits may be missed: {protection.reason}")
    indexed = any(columns[: len(spec.cursor)] == spec.cursor for columns in facts.indexes)
    if spec.cursor and not indexed and not 0 <= facts.rows_estimate <= SMALL_ROWS:
        wanted = advice.create_index(spec.table, list(dict.fromkeys((*spec.cursor, *resolved.key))))
        yield Risk("cursor_without_index", f"cursor without an index, each chunk sorts the table: {wanted}", wanted)
    if resolved.cursor and spec.cursor and resolved.cursor.kind == "integer":
        yield Risk("inserts_only", f"{spec.cursor[0]} finds inserts only: updates are left to `syncer reconcile`")
    if facts.rows_estimate < 0:
        fix = advice.analyze(spec.table)
        yield Risk("no_statistics", f"the table was never analysed, so the numbers are guesses: {fix}", fix)
    if not resolved.key:
        yield Risk("no_key", "no key: rows cannot be matched, only counted")
    if _nullable(spec, facts) and spec.null_cursor == "fail":
        text = f"{spec.cursor[0]} may be NULL; one such row stops the sync (`null_cursor: include` reads them)"
        yield Risk("cursor_nullable", text)


def _nullable(spec: TableSpec, facts: TableFacts) -> bool:
    columns: Sequence[str] = spec.cursor[:1]
    return any(found.column.nullable for name in columns if (found := facts.column(name)))
