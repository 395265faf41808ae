"""What the engine asks of a source database. One module a database, same shape (DESIGN 3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from ..drivers.columns import Finding
from ..model.capture import Capture, Protection, ServerIdentity
from ..model.columns import Column
from ..model.errors import SyncError
from ..model.keys import Buckets, Keys, KeySpan
from ..model.marks import CursorColumn, CursorKind, Mark, Scalar
from ..model.report import CheckResult
from ..model.table import TableSpec
from .advice import Advice


@dataclass(frozen=True)
class Guard:
    """Values of a column that its lake type cannot hold: they stop the sync, unless `allow_lossy` names the column.

    `finding` is what the parser of rows says of such a value: asked of the server for each row, it would cost a third
    of the read. `lossy` is the SQL that reads the column without it (`{}` is the quoted column, and enough where the
    parser makes NULL of such a value). `holds` says what such a value is, `loses` what becomes of it.
    """

    finding: Finding
    lossy: str
    holds: str
    loses: str


@dataclass(frozen=True)
class SourceColumn:
    """A column in its database: the lake's column, and the expression that a SELECT reads it by (`{}` is the column).

    `as_text` says that the lake has the server's own text of it, `touched` that the server itself writes the time of
    each UPDATE into it.
    """

    column: Column
    cursor_kind: CursorKind | None
    expression: str = "{}"
    as_text: bool = False
    guard: Guard | None = None
    touched: bool = False


@dataclass(frozen=True)
class TableFacts:
    """A table as its catalogue describes it. `rows_estimate` may be stale, or -1 where it was never analysed.

    `can_select` is the right to the whole table; without it, `unreadable` are the columns that the role may not read.
    """

    table: str
    columns: tuple[SourceColumn, ...]
    primary_key: tuple[str, ...]
    unique_keys: tuple[tuple[str, ...], ...]
    rows_estimate: int
    bytes_estimate: int
    indexes: tuple[tuple[str, ...], ...]
    can_select: bool = True
    unreadable: tuple[str, ...] = ()
    comment: str | None = None
    engine: str = "postgres"

    def column(self, name: str) -> SourceColumn | None:
        """The column of that name, or None."""
        return next((c for c in self.columns if c.column.name == name), None)


@dataclass(frozen=True)
class Read:
    """The rows of a table that lie after `after`, up to `upto`, within `[start, end)` of the first cursor column.

    `order` are the order columns (cursor.., key..); `prefix` keeps the rows whose `prefix_column` starts with it
    (with a `prefix_length`: whose first characters, as many, are it);
    `null_cursor` asks for the rows without a cursor instead, `not_null` for those where that column is filled, `null`
    for those where it is not, `keys` for those with one of these keys: served by an index on the key, where one is.
    `with_ties` completes the last group of equal order values, which a table without a key needs. `where` is a further
    condition in the source's SQL (see `sync.condition`), its columns without a table.
    """

    table: str
    columns: tuple[SourceColumn, ...]
    order: tuple[CursorColumn, ...]
    cursor: tuple[str, ...] = ()
    after: Mark | None = None
    upto: Mark | None = None
    start: Scalar | None = None
    end: Scalar | None = None
    prefix_column: str | None = None
    prefix: str | None = None
    prefix_length: int | None = None
    null_cursor: bool = False
    not_null: str | None = None
    null: str | None = None
    limit: int | None = None
    with_ties: bool = False
    keys: Keys | KeySpan | None = None
    where: str | None = None


def refused_by_guard(read: Read, columns: Sequence[str] | None = None) -> SyncError:
    """What stops a read that came upon a value which the lake cannot hold: in `columns`, or in any with a guard.

    It names columns, never the value.
    """
    guarded = [c for c in read.columns if c.guard is not None and (columns is None or c.column.name in columns)]
    held = "; ".join(f"{c.column.name} ({c.column.source_type}): {c.guard.holds}" for c in guarded if c.guard)
    names = ", ".join(column.column.name for column in guarded)
    return SyncError(
        f"a value was read that would be lost on the way; these columns can have one: {held}",
        table=read.table,
        fix=f"correct it at the source, name the column in `allow_lossy: [{names}]`, or in `columns.exclude`",
    )


@dataclass(frozen=True)
class QueryPlan:
    """The server's estimate of a query's rows, and the index by which it reads them (None: the whole table)."""

    rows: int
    index: str | None

    @property
    def access(self) -> str:
        """How the rows are found, in words."""
        return f"index {self.index}" if self.index else "sequential scan"


class Source(Protocol):
    """A source database. Every method opens what it needs; `close` gives it back. Driver errors come as DbError."""

    name: str
    engine: str
    advice: Advice

    def identity(self) -> ServerIdentity:
        """Which data this is (kept in manifests), and which server answers (an attempt reads from one)."""
        ...

    def describe(self, table: str) -> TableFacts:
        """The catalogue's view of a table. Raises ConfigError naming near misses if there is none."""
        ...

    def tables(self) -> Sequence[str]:
        """Every table that can be read, as `schema.table`."""
        ...

    def protection(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Protection:
        """How late commits are ruled out for this cursor, or why they cannot be."""
        ...

    def capture(self, spec: TableSpec, facts: TableFacts, order: tuple[CursorColumn, ...]) -> Capture | None:
        """The maximum first, then the writers that could still write below it. None for an empty table."""
        ...

    def judge(self, spec: TableSpec, order: tuple[CursorColumn, ...], captures: Sequence[Capture]) -> list[Capture]:
        """The captures that still count (those of another server are void), proven where their writers have ended."""
        ...

    def clock(self, table: str, cursor: str | None = None) -> datetime:
        """The source's time in UTC; with a cursor the time that ages are measured by (a replica's applied position)."""
        ...

    def maximum(self, table: str, cursor: CursorColumn) -> Scalar | None:
        """The largest finite cursor value."""
        ...

    def read(self, read: Read, server: str | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order, as they stream in. Ends with an error, never with fewer rows than the query had.

        Raises AttemptVoid if another server than `server` answers.
        """
        ...

    def snapshot(self, read: Read) -> "Snapshot":
        """A consistent view for a whole-table read: its rows, and their number in the same snapshot."""
        ...

    def count(self, read: Read) -> int:
        """How many rows `read` would bring."""
        ...

    def lowest(self, read: Read) -> Scalar | None:
        """The smallest value of the first order column among the rows that `read` would bring; None without rows.

        One query that an index on the cursor answers at once, whatever lies between. `limit` does not count.
        """
        ...

    def distinct_prefixes(self, table: str, column: str, length: int) -> list[str]:
        """The prefixes of that length that a column has."""
        ...

    def count_outside(self, table: str, column: str, prefixes: Sequence[str], where: str | None = None) -> int:
        """Rows whose column starts with none of the prefixes, NULL included. `where` as in `Read`."""
        ...

    def sql(self, read: Read) -> str:
        """The statement of `read`, for people."""
        ...

    def explain(self, read: Read) -> QueryPlan:
        """The server's plan of `read`. Nothing is read."""
        ...

    def checksum(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        buckets: int,
        only: Sequence[int] | None = None,
        where: str | None = None,
    ) -> dict[int, tuple[int, int]]:
        """Per key bucket (of all, or of those in `only`): (rows, sum of row hashes over `columns`), in one scan."""
        ...

    def key_rows(
        self,
        table: str,
        columns: Sequence[Column],
        key: Sequence[str],
        rows: Buckets | Keys,
        beside: Sequence[Column] = (),
        where: str | None = None,
    ) -> pa.Table:
        """Keys and row hashes, in one statement: k0, k1 .. (canonical text), hash (int64), b0, b1 .. (the canonical
        texts of the columns `beside`). Keys that are not there are left out."""
        ...

    def doctor(self) -> list[CheckResult]:
        """Version, privileges, settings: each finding with its fix."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


class Snapshot(Protocol):
    """Rows and their number, of one moment."""

    rows: int

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        ...

    def close(self) -> None:
        """End the snapshot."""
        ...
