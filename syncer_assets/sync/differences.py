"""The rows that differ, by key: found bucket by bucket in bounded memory, judged, and put to their partitions.

A side's answer is canonical texts and hashes as Arrow (`key_rows`); they are merged by polars, never row by row.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa

from ..model.columns import Column
from ..model.errors import ConfigError
from ..model.keys import Buckets, key_fields
from ..model.marks import CursorColumn, Mark, Scalar, decode
from ..model.partition import UNPARTITIONED, Partition
from ..model.table import TableSpec, Target
from ..sources.arrow import arrow_type
from ..sources.base import Source
from ..warehouses.base import Warehouse
from .rules import Resolved

ROWS_AT_ONCE = 1_000_000
"""Rows of a side that are held at a time: differing buckets with more of them are looked at in several scans."""
ROWS_KEPT = 1_000_000
"""Differing rows that are kept by key; more are counted only."""
DATETIME = "%Y-%m-%dT%H:%M:%S%.6f"

Sums = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Compared:
    """A table as both sides compare it: the columns that they have alike, and by which of them rows are matched."""

    spec: TableSpec
    target: Target
    resolved: Resolved
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    beside: tuple[Column, ...] = ()

    @property
    def told_by_warehouse(self) -> tuple[Column, ...]:
        """Those columns `beside` (cursor, prefix) that the warehouse has as they are."""
        return tuple(column for column in self.columns if column.name in {each.name for each in self.beside})

    @property
    def keys(self) -> tuple[Column, ...]:
        """The key's columns."""
        known = {column.name: column for column in self.columns}
        return tuple(known[name] for name in self.key)


@dataclass
class Differences:
    """Counts of the rows that differ, and the rows themselves: k0, k1 .., `verdict` (missing, changed, extra),
    `partition` (NULL: in none), `no_cursor`, and of an extra row `captured_at`.

    At most ROWS_KEPT rows are kept; the counts are of all. What is not loaded as final yet is `pending`, no difference.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("missing", "changed", "extra", "pending"), 0))
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def complete(self) -> bool:
        """Whether every differing row was kept."""
        return len(self.rows) == sum(self.counts[verdict] for verdict in ("missing", "changed", "extra"))

    def add(self, found: pl.DataFrame) -> None:
        """The rows of some buckets."""
        for verdict, count in found.group_by("verdict").len().iter_rows():
            self.counts[verdict] += count
        different = found.filter(pl.col("verdict") != "pending").head(ROWS_KEPT - len(self.rows))
        self.rows = pl.concat([self.rows, different]) if self.rows.width else different


@dataclass(frozen=True)
class Floor:
    """How far a partition is loaded as final. `strict`: only what lies below `safe` is, of a composite mark."""

    partition: Partition
    safe: Scalar | None
    strict: bool


def find_rows(
    source: Source, warehouse: Warehouse, table: Compared, buckets: int, left: Sums, right: Sums
) -> Differences:
    """The rows of the buckets whose sums differ.

    The order is the point (DESIGN 6): what is loaded first, then the warehouse, then the source. A row that the source
    has not is gone then, and not merely newer; a row at or below what was loaded has to be in the warehouse. Raises
    ConfigError where nothing is known to be loaded: every row would be still to come.
    """
    found = Differences()
    floors = _floors(warehouse, table)
    if table.spec.cursor and not floors and different(left, right):
        raise ConfigError(
            f"the ledger has nothing of {table.target.name}, so that no row of it can be called missing",
            table=table.spec.table,
            fix="materialise it, then compare",
        )
    for only in batches(left, right):
        rows = Buckets(buckets, only)
        here = warehouse.key_rows(table.target, table.columns, table.key, rows, table.told_by_warehouse)
        there = source.key_rows(table.spec.table, table.columns, table.key, rows, table.beside, table.resolved.where)
        found.add(_judge(table, _named(there, table.beside), _named(here, table.told_by_warehouse), floors))
    return found


def different(left: Sums, right: Sums) -> list[int]:
    """The buckets whose rows or sums differ."""
    return sorted(bucket for bucket in left.keys() | right.keys() if left.get(bucket) != right.get(bucket))


def batches(left: Sums, right: Sums) -> Iterator[tuple[int, ...]]:
    """The buckets that differ, by as many as have ROWS_AT_ONCE rows."""
    part: list[int] = []
    rows = 0
    for bucket in different(left, right):
        more = max(left.get(bucket, (0, 0))[0], right.get(bucket, (0, 0))[0])
        if part and rows + more > ROWS_AT_ONCE:
            yield tuple(part)
            part, rows = [], 0
        part.append(bucket)
        rows += more
    if part:
        yield tuple(part)


def _floors(warehouse: Warehouse, table: Compared) -> list[Floor]:
    """One of each partition that the warehouse has loaded."""
    cursor, found = table.resolved.cursor, []
    if cursor is None or not table.spec.cursor:
        return []
    for mark in warehouse.watermarks(table.target):
        safe: Mark | None = decode(json.loads(mark.safe), table.resolved.order) if mark.safe else None
        partition = table.spec.partitions.partition(mark.partition, cursor.kind)
        found.append(Floor(partition, safe[0] if safe else None, strict=safe is not None and len(safe) > 1))
    return found


def _named(answer: pa.Table, beside: Sequence[Column]) -> pl.DataFrame:
    """An answer of `key_rows` with the columns beside by their own names."""
    frame = pl.from_arrow(answer)
    assert isinstance(frame, pl.DataFrame)
    return frame.rename({f"b{number}": f"={column.name}" for number, column in enumerate(beside)})


def _judge(table: Compared, there: pl.DataFrame, here: pl.DataFrame, floors: Sequence[Floor]) -> pl.DataFrame:
    """The rows that differ, with their verdicts and partitions."""
    keys = key_fields(table.key)
    if not table.resolved.key:
        there, here = there.unique(keys), here.unique(keys)
    merged = there.join(here, on=keys, how="full", coalesce=True, nulls_equal=True, suffix="_here")
    gone, absent = pl.col("hash").is_null(), pl.col("hash_here").is_null()
    found = merged.filter(gone | absent | (pl.col("hash") != pl.col("hash_here"))).with_columns(
        verdict=pl.when(gone).then(pl.lit("extra")).when(absent).then(pl.lit("missing")).otherwise(pl.lit("changed"))
    )
    found = _placed(table, found, floors) if table.spec.cursor else _unplaced(found)
    return found.select(*keys, "verdict", "partition", "no_cursor", "captured_at")


def _unplaced(found: pl.DataFrame) -> pl.DataFrame:
    """Of a table without a cursor: one partition, and nothing that is still to come."""
    return found.with_columns(partition=pl.lit(UNPARTITIONED), no_cursor=pl.lit(False))


def _placed(table: Compared, found: pl.DataFrame, floors: Sequence[Floor]) -> pl.DataFrame:
    """Of a table with a cursor: the partition by the row's cursor (an extra row's as the warehouse has it), and
    `pending` what lies above that partition's floor, or in none."""
    cursor, scheme = table.resolved.cursor, table.spec.partitions
    assert cursor is not None
    found = found.with_columns(
        text=_either(found, f"={cursor.name}"),
        prefix=_either(found, f"={scheme.column}") if scheme.by == "prefix" else pl.lit(None, pl.String),
    )
    found = found.with_columns(cursor=_typed(cursor, table))
    partition, final = pl.lit(None, pl.String), pl.lit(False)
    for floor in floors:
        inside = _inside(floor.partition, by_prefix=scheme.by == "prefix")
        partition = pl.when(inside).then(pl.lit(floor.partition.key)).otherwise(partition)
        if floor.safe is not None:
            value, safe = pl.col("cursor"), pl.lit(floor.safe)
            final = final | (inside & (value < safe if floor.strict else value <= safe))
    no_cursor = pl.col("text").is_null()
    to_come = ~(final.fill_null(False) | no_cursor) & (pl.col("verdict") != "extra")
    return found.with_columns(
        partition=partition,
        no_cursor=no_cursor,
        verdict=pl.when(to_come).then(pl.lit("pending")).otherwise(pl.col("verdict")),
    )


def _either(found: pl.DataFrame, name: str) -> pl.Expr:
    """A column beside: the source's, or of an extra row the warehouse's, which may not have it."""
    here = f"{name}_here"
    known = pl.col(here) if here in found.columns else pl.lit(None, pl.String)
    return pl.when(pl.col("verdict") == "extra").then(known).otherwise(pl.col(name))


def _typed(cursor: CursorColumn, table: Compared) -> pl.Expr:
    """The cursor's canonical text as a value that compares as the cursor does; NULL for a time without end."""
    text = pl.col("text")
    match cursor.kind:
        case "integer":
            return text.cast(pl.Int128)
        case "decimal":
            kind = next(c.column.type for c in table.resolved.read if c.column.name == cursor.name)
            exact = arrow_type(kind)
            assert isinstance(exact, pa.Decimal128Type)
            return text.cast(pl.Decimal(exact.precision, exact.scale))
        case "timestamptz":
            return text.str.to_datetime(DATETIME, time_unit="us", time_zone="UTC", strict=False)
        case "timestamp":
            return text.str.to_datetime(DATETIME, time_unit="us", strict=False)
        case "date":
            return text.str.to_date("%Y-%m-%d", strict=False)
        case "text":
            return text


def _inside(partition: Partition, *, by_prefix: bool) -> pl.Expr:
    """True of the rows of a partition; those without a cursor are in the one that is open to the left."""
    if by_prefix:
        assert partition.prefix is not None
        return pl.col("prefix").str.head(partition.length or len(partition.prefix)) == partition.prefix
    value = pl.col("cursor")
    inside = pl.lit(True) if partition.start is None else (value >= pl.lit(partition.start)).fill_null(False)
    return (
        inside if partition.end is None else inside & (value < pl.lit(partition.end)).fill_null(partition.start is None)
    )
