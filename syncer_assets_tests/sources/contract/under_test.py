"""What the contract's tests need of a source: one table with rows of many shapes, an empty one, and its names for them.

A new source joins by one module `on_<name>.py` with a context manager `opened(request)`, and its line in `conftest`.
The rows: 100 with gaps between their ids, ten at a time with the same `updated_at`, every fifth without a note.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from syncer_assets.model.columns import Column
from syncer_assets.model.marks import CursorColumn, CursorKind
from syncer_assets.model.table import TableSpec
from syncer_assets.sources.base import Read, Source, TableFacts

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = [
    {
        "id": 7 * number,
        "code": f"{'abc'[number % 3]}-{number}",
        "note": None if number % 5 == 0 else f"ü {number}",
        "updated_at": START + timedelta(hours=number // 10),
    }
    for number in range(1, 101)
]


@dataclass(frozen=True)
class SourceUnderTest:
    """One kind of source. `spell` makes this database's name of a column or table of ours, `execute` runs plain SQL."""

    name: str
    open: Callable[[], Source]
    execute: Callable[[str], object]
    orders: str
    empty: str
    spell: Callable[[str], str] = str
    time_kind: CursorKind = "timestamp"

    @property
    def at(self) -> CursorColumn:
        return CursorColumn(self.spell("updated_at"), self.time_kind)

    @property
    def id(self) -> CursorColumn:
        return CursorColumn(self.spell("id"), "integer")

    def spec(self, table: str | None = None) -> TableSpec:
        """As the YAML of such a table has it; the times are UTC's."""
        return TableSpec(source="shop", table=table or self.orders, cursor=(self.at.name,), cursor_zone="UTC")

    def read(self, source: Source, **parts: Any) -> Read:
        """Of all rows, by time and id."""
        columns = source.describe(self.orders).columns
        return replace(Read(self.orders, columns, (self.at, self.id), (self.at.name,)), **parts)

    def column(self, facts: TableFacts, name: str) -> Column:
        found = facts.column(self.spell(name))
        assert found is not None
        return found.column

    def rows(self, source: Source, read: Read, server: str | None = None) -> Iterator[dict[str, Any]]:
        """What a read brings, under our names; times as aware."""
        for batch in source.read(read, server):
            for row in batch.to_pylist():
                ours = {name.lower(): value for name, value in row.items()}
                moment = ours["updated_at"]
                yield ours | {"updated_at": moment if moment.tzinfo else moment.replace(tzinfo=UTC)}


def tables(*names: str, id: str = "BIGINT", text: str, time: str) -> list[str]:
    """The statements that make tables; `id`, `text` and `time` are the types."""
    columns = f"(id {id} PRIMARY KEY, code {text} NOT NULL, note {text}, updated_at {time} NOT NULL)"
    return [f"CREATE TABLE {name} {columns}" for name in names]


def values() -> str:
    """The rows in SQL."""
    rows = (
        f"({row['id']}, '{row['code']}', {literal(row['note'])}, '{row['updated_at']:%Y-%m-%d %H:%M:%S}')"
        for row in ORDERS
    )
    return f"VALUES {', '.join(rows)}"


def literal(text: str | None) -> str:
    """For SQL."""
    return "NULL" if text is None else f"'{text}'"
