"""What a run would do with a table: windows, chunks, SQL, files, types and risks. Nothing is written or read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..model.columns import Column
from ..model.manifest import Manifest
from ..model.marks import Mark, is_below, show
from ..model.partition import UNPARTITIONED
from ..model.table import TableSpec
from ..sources.base import Read, Source, TableFacts
from .lake import Lake, Place
from .pending import pending_of, table_keys
from .rules import Resolved, resolve

MB = 1024 * 1024
PARQUET_SHARE = 0.4
"""Parquet with zstd against the size of the table on the server, its indexes included: a rough half of a half."""


@dataclass(frozen=True)
class PartitionPlan:
    """One sync of one partition. `rows`, `chunks` and `files` are estimates; `low` None means from its start."""

    partition: str
    reason: str
    low: str | None
    ceiling: str | None
    rows: int
    chunks: int
    files: int
    access: str
    sql: str


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
    risks: tuple[str, ...]

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
        risks=tuple(_risks(spec, facts, resolved, protection.reason if protection else "")),
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
        return [self._partition(key, reason, maximum) for key, reason, maximum in self._due(only)]

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

    def _partition(self, key: str, reason: str, maximum: Mark | None) -> PartitionPlan:
        head = self.lake.head(Place(self.spec.source, self.spec.table, key)) if self.lake else None
        read = self._read(key, head)
        beyond = read.end is not None and maximum is not None and not is_below(maximum, (read.end,))
        found = self.source.explain(read)
        first = replace(read, limit=self.spec.chunk.rows + 1)
        rows = min(found.rows, self.facts.rows_estimate) if self.facts.rows_estimate > 0 else found.rows
        return PartitionPlan(
            partition=key,
            reason=reason,
            low=show(read.after),
            ceiling=show((read.end,)) if beyond and read.end is not None else show(maximum),
            rows=rows,
            chunks=max(1, -(-rows // self.spec.chunk.rows)) if self.spec.cursor else 1,
            files=self._files(rows),
            access=self.source.explain(first).access if self.spec.cursor else found.access,
            sql=self.source.sql(first if self.spec.cursor else read),
        )

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
            with_ties=self.resolved.with_ties,
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
    note = ""
    found = facts.column(column.name)
    if lake.transform == "hash":
        note = f"keyed hash (key in {spec.columns.hash_key_env}); the value does not leave the source"
    elif found is not None and found.as_text:
        note = "as the server's own text" + ("" if column.portable else "; text in the warehouse too")
    elif column.type.startswith("decimal"):
        note = "exact; NaN is refused"
    return TypePlan(column.name, column.source_type, lake.type, note)


def _risks(spec: TableSpec, facts: TableFacts, resolved: Resolved, unprotected: str) -> list[str]:
    risks = []
    if unprotected:
        risks.append(f"late commits may be missed: {unprotected}")
    if spec.cursor and not any(columns[: len(spec.cursor)] == spec.cursor for columns in facts.indexes):
        wanted = ", ".join(dict.fromkeys((*spec.cursor, *resolved.key)))
        risks.append(
            f"cursor without an index, each chunk sorts the table: CREATE INDEX CONCURRENTLY ON {spec.table} ({wanted})"
        )
    if resolved.cursor and spec.cursor and resolved.cursor.kind == "integer":
        risks.append(f"{spec.cursor[0]} finds inserts only: updates are left to `syncer reconcile`")
    if facts.rows_estimate < 0:
        risks.append(f"the table was never analysed, so the numbers are guesses: ANALYZE {spec.table}")
    if _nullable(spec, facts) and spec.null_cursor == "fail":
        risks.append(f"{spec.cursor[0]} may be NULL; one such row stops the sync (`null_cursor: include` reads them)")
    return risks


def _nullable(spec: TableSpec, facts: TableFacts) -> bool:
    columns: Sequence[str] = spec.cursor[:1]
    return any(found.column.nullable for name in columns if (found := facts.column(name)))
