"""A `Read` as SQL: columns under positional aliases, paging by nested comparison, values as literals.

MySQL and MariaDB read no index range from a row comparison `(a, b) > (x, y)`; they do from `a >= x AND (a > x OR (a = x
AND b > y))`. Text is written in hexadecimal: what a backslash means in quotes is a setting of the server.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from ...model.marks import CursorColumn, Mark
from ..base import Read
from .keys import condition
from .names import quoted, relation


def select(read: Read, *, mariadb: bool) -> str:
    """The statement that brings the rows. Columns are named c0, c1 ..: two may differ by case only."""
    columns = [
        f"{column.expression.replace('{}', name(column.column.name))} AS c{number}"
        for number, column in enumerate(read.columns)
    ]
    if read.limit is None or not read.with_ties:
        return _statement(columns, read) + (f" LIMIT {read.limit}" if read.limit is not None else "")
    if mariadb:
        return f"{_statement(columns, read)} FETCH FIRST {read.limit} ROWS WITH TIES"
    return _with_ties(columns, read)


def count(read: Read) -> str:
    """The statement that counts the same rows."""
    return f"SELECT COUNT(*) FROM {relation(read.table)} AS t{_where(read)}"


def smallest(read: Read) -> str:
    """The statement that finds the smallest value of the first order column among the same rows."""
    return f"SELECT MIN({name(read.order[0].name)}) FROM {relation(read.table)} AS t{_where(read)}"


def conditions(read: Read) -> list[str]:
    """The WHERE clause's parts."""
    first = read.order[0] if read.order else None
    found: list[str] = []
    if read.null_cursor:
        found.append(f"{name(read.cursor[0])} IS NULL")
    if first is not None and not read.null_cursor:
        if read.start is not None:
            found.append(f"{name(first.name)} >= {literal(read.start)}")
        if read.end is not None:
            found.append(f"{name(first.name)} < {literal(read.end)}")
    if read.after is not None:
        found.append(_beyond(read, read.after, ">", ">"))
    if read.upto is not None and not read.null_cursor:
        found.append(_beyond(read, read.upto, "<", "<="))
    if read.not_null is not None:
        found.append(f"{name(read.not_null)} IS NOT NULL")
    if read.null is not None:
        found.append(f"{name(read.null)} IS NULL")
    if read.keys is not None:
        found.append(condition(read.keys, "t."))
    if read.prefix is not None and read.prefix_column is not None:
        found.append(starts_with(read.prefix_column, read.prefix, read.prefix_length))
    if read.where is not None:
        found.append(read.where)
    return found


def starts_with(column: str, prefix: str, length: int | None = None) -> str:
    """True of a column whose text starts with exactly these characters (whose first `length` are these), whatever its
    collation holds for equal."""
    return f"{prefix_of(column, length or len(prefix))} = {literal(prefix.encode())}"


def prefix_of(column: str, length: int) -> str:
    """The first characters of a column's text, as bytes of UTF-8."""
    return f"CAST(LEFT(CONVERT({name(column)} USING utf8mb4), {int(length)}) AS BINARY)"


def literal(value: object) -> str:
    """A value as SQL; times in UTC, as the session is."""
    if isinstance(value, int):  # a bool too
        return str(int(value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, float):
        return f"{value!r}e0" if "e" not in repr(value) else repr(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"TIMESTAMP'{moment.isoformat(' ', 'microseconds')}'"
    if isinstance(value, date):
        return f"DATE'{value.isoformat()}'"
    if isinstance(value, str):
        return f"_utf8mb4 x'{value.encode().hex()}'"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    raise TypeError(f"no literal for a {type(value).__name__}")


def name(column: str) -> str:
    """A column of the table that is read."""
    return f"t.{quoted(column)}"


def _statement(columns: Sequence[str], read: Read) -> str:
    order = f" ORDER BY {', '.join(_ordered(read, c) for c in read.order)}" if read.order else ""
    return f"SELECT {', '.join(columns)} FROM {relation(read.table)} AS t{_where(read)}{order}"


def _with_ties(columns: Sequence[str], read: Read) -> str:
    """MySQL has no WITH TIES: a row's rank says how many lie before its group."""
    order = ", ".join(_ordered(read, c) for c in read.order)
    ranked = _statement([*columns, f"RANK() OVER (ORDER BY {order}) AS place"], read)
    names = [column.rpartition(" AS ")[2] for column in columns]
    return f"SELECT {', '.join(names)} FROM ({ranked}) AS ranked WHERE place <= {read.limit} ORDER BY place"


def _where(read: Read) -> str:
    parts = conditions(read)
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _beyond(read: Read, mark: Mark, strict: str, last: str) -> str:
    """The rows on one side of a mark: the bound of the first column, then where equal that of the next, and so on."""
    marked = zip(read.order, mark, strict=False)
    pairs = [(_ordered(read, column), _value(read, column, value)) for column, value in marked]
    (column, value), *rest = reversed(pairs)
    found = f"{column} {last} {value}"
    for column, value in rest:
        found = f"{column} {strict}= {value} AND ({column} {strict} {value} OR ({column} = {value} AND {found}))"
    return found


def _ordered(read: Read, column: CursorColumn) -> str:
    """A column as it is ordered and compared. An enum or set orders by number, but compares with text as text."""
    spelt = _spelt(read, column)
    return f"CAST({name(column.name)} AS CHAR)" if spelt.startswith(("enum", "set")) else name(column.name)


def _value(read: Read, column: CursorColumn, value: object) -> str:
    """What such a column is compared with. Numbers that are read as text compare with a text as doubles do."""
    spelt = _spelt(read, column)
    if isinstance(value, str) and spelt.startswith(("bit", "decimal")):
        return str(int(value, 2)) if spelt.startswith("bit") else f"{Decimal(value):f}"
    return literal(value)


def _spelt(read: Read, column: CursorColumn) -> str:
    return next((c.column.source_type for c in read.columns if c.column.name == column.name), "")
