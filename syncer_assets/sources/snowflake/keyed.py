"""A keyed update's rows from Snowflake: a table or a read-only query, cut by bound prefixes, window and change cursor.

The query is always a derived table of ours, `SELECT .. FROM (query) AS q WHERE ..`: nothing but a query can stand
there, and the service pushes the conditions down into it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa

from ...drivers import snowflake
from ...model.columns import Column
from ...model.errors import ConfigError, DbError, SyncError
from ...model.keyed_update import Batch, KeyedUpdateSpec, Prefix, Slice, is_one_select
from ..arrow import apply, arrow_schema
from ..base import SourceColumn
from . import catalogue, history, proof
from .batches import batches_of
from .query import Statement, bound, relation
from .types import IS_FINER, CatalogueType, source_column

if TYPE_CHECKING:
    from .source import SnowflakeSource

TOKENS = re.compile(r"\{(prefix|since|until)\}")
TYPE_NAMES = {"FIXED": "NUMBER", "REAL": "FLOAT"}


class SnowflakeKeyedReader:
    """The `KeyedReader` of one spec."""

    def __init__(self, source: "SnowflakeSource", spec: KeyedUpdateSpec):
        if spec.query is not None and not is_one_select(spec.query):
            raise ConfigError("the query is not one SELECT", table=spec.name, fix="begin it with SELECT or WITH")
        self._source, self._spec = source, spec
        self._queries: list[str] = []
        self._lock = Lock()

    def columns(self) -> tuple[Column, ...]:
        return tuple(column.column for column in self._columns.values())

    def measure(self, rows: Slice, length: int, within: Sequence[Prefix] | None = None) -> tuple[list[Prefix], int]:
        conditions = self._conditions(rows) + ([self._among(within)] if within is not None else [])
        statement = self._select(
            f"LEFT({self._prefix}, {int(length)}) AS prefix, COUNT(*) AS found", rows, conditions, " GROUP BY 1"
        )
        found: list[Prefix] = []
        without = 0
        for text, number in self._rows(statement):
            if text is None:
                without += int(number)
            else:
                found.append(Prefix(text, length, int(number)))
        return found, without

    def duplicate_keys(self, rows: Slice) -> int:
        keys = ", ".join(self._name(column) for column in self._spec.key.values())
        filled = [Statement(f"{self._name(column)} IS NOT NULL") for column in self._spec.key.values()]
        inner = self._select(
            "COUNT(*) AS many", rows, self._conditions(rows) + filled, f" GROUP BY {keys} HAVING COUNT(*) > 1"
        )
        return int(str(self._rows(Statement(f"SELECT COUNT(*) FROM ({inner.text}) AS d", inner.values))[0][0]))

    def last_change(self, rows: Slice) -> tuple[datetime | None, datetime]:
        assert self._spec.changed is not None
        name = self._name(self._spec.changed)
        whole = replace(rows, changed_after=None, window_before=None)
        found = self._rows(self._select(f"MAX({name})", rows, self._conditions(whole)))[0][0]
        with self._source.session("read", self._where) as connection:
            now = proof.source_time(connection)
        if found is not None and not isinstance(found, datetime):
            raise ConfigError(
                f"the change cursor {self._spec.changed!r} is no time", table=self._where, fix="name a timestamp column"
            )
        return (found if found is None or found.tzinfo else found.replace(tzinfo=UTC)), now

    def fetch(self, rows: Slice, batch: Batch, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        columns = [self._columns[name] for name in names]
        tests = self._tests(columns)
        statement = self._fetch(rows, batch, columns, tests)
        schema = arrow_schema(column.column for column in columns)
        with (
            self._source.session("read", self._where) as connection,
            snowflake.execute(connection, statement.text, statement.values) as cursor,
        ):
            self._note(cursor.sfqid)
            for part in batches_of(cursor, schema, who=self._source.who, table=self._where):
                if tests:
                    self._refuse(part, columns)
                    part = part.select(range(len(schema)))
                yield part

    def sql(self, rows: Slice, batch: Batch, names: Sequence[str]) -> str:
        columns = [self._columns[name] for name in names]
        return self._fetch(rows, batch, columns, self._tests(columns)).text

    def _fetch(self, rows: Slice, batch: Batch, columns: Sequence[SourceColumn], tests: Sequence[str]) -> Statement:
        shown = [
            f"{column.expression.replace('{}', self._name(column.column.name))} AS c{number}"
            for number, column in enumerate(columns)
        ]
        if tests:
            shown.append(f"COALESCE({' OR '.join(tests)}, FALSE) AS guard")
        conditions = [*self._conditions(rows), self._among(batch.prefixes)]
        return self._select(", ".join(shown), rows, conditions, within=batch.prefixes)

    def _tests(self, columns: Sequence[SourceColumn]) -> list[str]:
        return [IS_FINER.replace("{}", self._name(c.column.name)) for c in columns if c.guard is not None]

    def effort(self) -> dict[str, float | int]:
        try:
            with self._source.session("read", self._where) as connection:
                return history.effort(connection, self._queries)
        except DbError:
            return {}  # the role may not see it, and nothing depends on it

    @property
    def _where(self) -> str:
        return self._spec.table or f"query of {self._spec.name}"

    @cached_property
    def _columns(self) -> dict[str, SourceColumn]:
        """What the service says that the table or query has; the collation only of a table's columns is known."""
        from snowflake.connector.constants import FIELD_ID_TO_NAME

        statement = self._select("*", self._spec_slice, [])
        with self._source.session("read", self._where) as connection, connection.cursor() as cursor:
            described = cursor.describe(statement.text, list(statement.values) or None)
        found = {}
        for column in described or []:
            name = FIELD_ID_TO_NAME[column.type_code]
            kind = CatalogueType(
                TYPE_NAMES.get(name, name), column.precision, column.scale, column.internal_size, column.scale
            )
            found[column.name] = source_column(column.name, kind, None, nullable=column.is_nullable is not False)
        wanted = [*self._spec.key.values(), *(self._spec.columns or {}).values(), self._spec.prefix_column]
        wanted += [self._spec.window.column] if self._spec.window and self._needs_window_column else []
        for name in [*wanted, *([self._spec.changed] if self._spec.changed else [])]:
            if name not in found:
                raise ConfigError(
                    f"there is no column {name!r} in the source",
                    table=self._where,
                    fix=f"use one of {', '.join(found)}",
                )
        return found

    @cached_property
    def _prunes(self) -> bool:
        """Whether a range of the prefix column is what its prefixes are: text that compares by its bytes."""
        if self._spec.table is None:
            return False
        with self._source.session("read", self._where) as connection:
            column = catalogue.describe(connection, self._spec.table).column(self._spec.prefix_column)
        return column is not None and column.cursor_kind == "text"

    @property
    def _spec_slice(self) -> Slice:
        """A window that says the types of the query's own place holders."""
        today = datetime.now(UTC).date()
        return Slice(today, today + timedelta(days=1)) if self._spec.window else Slice()

    def _is_bound(self, token: str) -> bool:
        """Whether the query itself has that bound of the window."""
        return self._spec.query is not None and f"{{{token}}}" in self._spec.query

    @property
    def _needs_window_column(self) -> bool:
        window = self._spec.window
        return window is not None and not (
            self._is_bound("since") and (window.ahead_days is None or self._is_bound("until"))
        )

    @property
    def _prefix(self) -> str:
        return f"TO_VARCHAR({self._name(self._spec.prefix_column)})"

    def _name(self, column: str) -> str:
        return f"q.{snowflake.name(column)}"

    def _select(
        self,
        shown: str,
        rows: Slice,
        conditions: Sequence[Statement],
        tail: str = "",
        within: Sequence[Prefix] | None = None,
    ) -> Statement:
        """`within` goes into the query's own `{prefix}`, too, where it has one."""
        base = self._base(rows, within)
        where = " AND ".join(condition.text for condition in conditions)
        values = (*base.values, *(value for condition in conditions for value in condition.values))
        return Statement(f"SELECT {shown} FROM {base.text} AS q{f' WHERE {where}' if where else ''}{tail}", values)

    def _base(self, rows: Slice, within: Sequence[Prefix] | None) -> Statement:
        if self._spec.query is None:
            assert self._spec.table is not None
            return Statement(relation(self._spec.table))
        values: list[object] = []

        def place(token: re.Match[str]) -> str:
            if token[1] == "prefix":
                if within is None:
                    return "TRUE"
                expression = self._spec.prefix_expression or snowflake.name(self._spec.prefix_column)
                among = _among(f"TO_VARCHAR({expression})", within)
                values.extend(among.values)
                return among.text
            values.append(rows.since if token[1] == "since" else rows.until)
            return "?"

        text = TOKENS.sub(place, self._spec.query)
        return Statement(f"(\n{text}\n)", tuple(values))  # on lines of its own: it may end with a comment

    def _conditions(self, rows: Slice) -> list[Statement]:
        found: list[Statement] = []
        window = self._spec.window
        if window and not self._is_bound("since"):
            found.append(Statement(f"{self._name(window.column)} >= ?", (rows.since,)))
        if window and rows.until and not self._is_bound("until"):
            found.append(Statement(f"{self._name(window.column)} < ?", (rows.until,)))
        if rows.changed_after is not None and self._spec.changed:
            place, value = bound(rows.changed_after)
            changed = Statement(f"{self._name(self._spec.changed)} > {place}", (value,))
            if window and rows.window_before:
                text = f"({changed.text} OR {self._name(window.column)} >= ?)"
                changed = Statement(text, (*changed.values, rows.window_before))
            found.append(changed)
        return found

    def _among(self, prefixes: Sequence[Prefix]) -> Statement:
        exact = _among(self._prefix, prefixes)
        if not self._prunes:
            return exact
        return _with_range(self._name(self._spec.prefix_column), prefixes, exact)

    def _rows(self, statement: Statement) -> list[tuple]:
        with self._source.session("read", self._where) as connection:
            return snowflake.rows(connection, statement.text, statement.values)

    def _note(self, query: str | None) -> None:
        with self._lock:
            self._queries += [query] if query else []

    def _refuse(self, part: pa.RecordBatch, columns: Sequence[SourceColumn]) -> None:
        if apply("any", part.column(part.num_columns - 1)).as_py():
            names = ", ".join(column.column.name for column in columns if column.guard is not None)
            raise SyncError(
                f"a time finer than microseconds was read, which the warehouse would lose; in one of {names}",
                table=self._where,
                fix="cut it in a `query` with DATE_TRUNC('microsecond', ..), or leave the column out",
            )


def _among(expression: str, prefixes: Sequence[Prefix]) -> Statement:
    """True of the rows of these prefixes, and of no others: a value shorter than a prefix is its own prefix."""
    by_length: dict[int, list[str]] = {}
    for prefix in prefixes:
        by_length.setdefault(prefix.length, []).append(prefix.text)
    parts = [
        f"LEFT({expression}, {length}) IN ({', '.join('?' for _ in texts)})" for length, texts in by_length.items()
    ]
    text = parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"
    return Statement(text, tuple(text for texts in by_length.values() for text in texts))


def _with_range(column: str, prefixes: Sequence[Prefix], exact: Statement) -> Statement:
    """The same rows, with the range that they lie in: by it micro-partitions are left out."""
    low, after = min(prefix.text for prefix in prefixes), _after(max(prefix.text for prefix in prefixes))
    upper = f" AND {column} < ?" if after else ""
    values = (low, after) if after else (low,)
    return Statement(f"{column} >= ?{upper} AND {exact.text}", (*values, *exact.values))


def _after(prefix: str) -> str | None:
    """The least text that is above every text with this prefix, by code points; None where there is none."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place])
        if code < 0x10FFFF:
            following = 0xE000 if code == 0xD7FF else code + 1  # no surrogates
            return prefix[:place] + chr(following)
    return None
