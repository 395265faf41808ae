"""A `Read` as SQL: columns under positional aliases, paging by nested comparison, values bound as `?`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ...drivers.snowflake import name as quoted
from ...model.errors import ConfigError
from ...model.keys import Keys, KeySpan
from ...model.marks import CursorColumn, Mark
from ..base import Read
from .canonical import canonical
from .types import IS_FINER


@dataclass(frozen=True)
class Statement:
    """SQL text and the values of its `?`, in order."""

    text: str
    values: tuple[object, ...] = ()


def select(read: Read) -> Statement:
    """The statement that brings the rows, with the guard's column last where there is one."""
    columns = [
        f"{column.expression.replace('{}', column_name(column.column.name))} AS c{number}"
        for number, column in enumerate(read.columns)
    ]
    found = guard(read)
    columns += [f"{found} AS guard"] if found else []
    where = _where(read)
    text = f"SELECT {', '.join(columns)} FROM {relation(read.table)} AS t{where.text}"
    order = ", ".join(column_name(column.name) for column in read.order)
    if read.limit is not None and read.with_ties:
        text += f" QUALIFY RANK() OVER (ORDER BY {order}) <= {int(read.limit)}"
    text += f" ORDER BY {order}" if order else ""
    if read.limit is not None and not read.with_ties:
        text += f" LIMIT {int(read.limit)}"
    return Statement(text, where.values)


def count(read: Read) -> Statement:
    """The statement that counts the same rows."""
    where = _where(read)
    return Statement(f"SELECT COUNT(*) FROM {relation(read.table)} AS t{where.text}", where.values)


def smallest(read: Read) -> Statement:
    """The statement that finds the smallest value of the first order column among the same rows."""
    where = _where(read)
    first = column_name(read.order[0].name)
    return Statement(f"SELECT MIN({first}) FROM {relation(read.table)} AS t{where.text}", where.values)


def relation(table: str) -> str:
    """The quoted table name: `TABLE`, `SCHEMA.TABLE` or `DATABASE.SCHEMA.TABLE`, in the case that it has."""
    return ".".join(quoted(part) for part in split(table) if part)


def split(table: str) -> tuple[str, str, str]:
    """(database, schema, name) of a table as the YAML writes it; empty where the DSN's is meant."""
    parts = table.split(".")
    if len(parts) > 3 or not all(parts):
        raise ConfigError("this is no table's name", table=table, fix="write it as SCHEMA.TABLE")
    database, schema, name = ["", "", *parts][-3:]
    return database, schema, name


def column_name(column: str) -> str:
    """A column of the table that is read."""
    return f"t.{quoted(column)}"


def guard(read: Read) -> str | None:
    """True of a row with a value that the lake cannot hold; None where no column can have one."""
    tests = [
        IS_FINER.replace("{}", column_name(column.column.name)) for column in read.columns if column.guard is not None
    ]
    return f"COALESCE({' OR '.join(tests)}, FALSE)" if tests else None


def bound(value: object) -> tuple[str, object]:
    """The place holder of a value, and what is bound to it. Decimals go as text: the driver has no wider number."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        return f"?::NUMBER(38, {max(0, -exponent) if isinstance(exponent, int) else 0})", str(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return "?", ("TIMESTAMP_TZ", value)
    return "?", value


def keys_condition(keys: Keys) -> Statement:
    """True of the rows with these keys, by their canonical texts."""
    joined = " || CHR(31) || ".join(canonical(column) for column in keys.columns)
    texts = ["\x1f".join(values) for values in zip(*keys.texts, strict=True)]
    return Statement(f"{joined} IN ({', '.join('?' for _ in texts)})" if texts else "FALSE", tuple(texts))


def _where(read: Read) -> Statement:
    parts: list[Statement] = []
    first = column_name(read.order[0].name) if read.order else ""
    if read.null_cursor:
        parts.append(Statement(f"{column_name(read.cursor[0])} IS NULL"))
    if read.order and not read.null_cursor:
        parts += [_compared(first, ">=", read.start)] if read.start is not None else []
        parts += [_compared(first, "<", read.end)] if read.end is not None else []
    if read.after is not None:
        parts.append(_beyond(read.order, read.after, ">", ">"))
    if read.upto is not None and not read.null_cursor:
        parts.append(_beyond(read.order, read.upto, "<", "<="))
    if read.not_null is not None:
        parts.append(Statement(f"{column_name(read.not_null)} IS NOT NULL"))
    if read.null is not None:
        parts.append(Statement(f"{column_name(read.null)} IS NULL"))
    if read.prefix is not None and read.prefix_column is not None:
        text = f"TO_VARCHAR({column_name(read.prefix_column)})"
        test = f"LEFT({text}, {read.prefix_length}) = ?" if read.prefix_length else f"STARTSWITH({text}, ?)"
        parts.append(Statement(test, (read.prefix,)))
    if isinstance(read.keys, KeySpan):
        parts.append(_compared(column_name(read.keys.column), ">=", read.keys.low))
        parts.append(_compared(column_name(read.keys.column), "<=", read.keys.high))
    elif read.keys is not None:
        parts.append(keys_condition(read.keys))
    if read.where is not None:
        parts.append(Statement(read.where))
    if not parts:
        return Statement("")
    return Statement(
        " WHERE " + " AND ".join(part.text for part in parts), tuple(value for part in parts for value in part.values)
    )


def _compared(column: str, operator: str, value: object) -> Statement:
    place, given = bound(value)
    return Statement(f"{column} {operator} {place}", (given,))


def _beyond(order: Sequence[CursorColumn], mark: Mark, strict: str, last: str) -> Statement:
    """`a >= x AND (a > x OR (a = x AND b > y))`: the first part is what micro-partitions are left out by."""
    names = [column_name(column.name) for column, _ in zip(order, mark, strict=False)]
    if len(names) == 1:
        return _compared(names[0], last, mark[0])
    parts: list[str] = []
    values: list[object] = []
    for place in range(len(names)):
        terms = [_compared(names[n], "=", mark[n]) for n in range(place)]
        terms.append(_compared(names[place], last if place == len(names) - 1 else strict, mark[place]))
        parts.append(" AND ".join(term.text for term in terms))
        values += [value for term in terms for value in term.values]
    outer = _compared(names[0], f"{strict}=", mark[0])
    inner = " OR ".join(f"({part})" for part in parts)
    return Statement(f"({outer.text} AND ({inner}))", (*outer.values, *values))
