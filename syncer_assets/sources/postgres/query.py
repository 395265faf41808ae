"""A `Read` as SQL: paging by row comparison, values as literals."""

from collections.abc import Sequence

from psycopg import sql

from ...model.marks import CursorColumn, Mark
from ..base import Read
from . import keys
from .catalogue import split


def select(read: Read) -> sql.Composed:
    """The statement that brings the rows."""
    parts = [
        sql.SQL("SELECT {} FROM {} AS t").format(_columns(read), relation(read.table)),
        _where(read),
    ]
    if read.order:
        parts.append(sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(_name(c.name) for c in read.order)))
    if read.limit is not None and read.with_ties:
        parts.append(sql.SQL("FETCH FIRST {} ROWS WITH TIES").format(sql.Literal(read.limit)))
    elif read.limit is not None:
        parts.append(sql.SQL("LIMIT {}").format(sql.Literal(read.limit)))
    return sql.Composed(parts).join(" ")


def nothing(read: Read) -> sql.Composed:
    """The statement that brings the same columns, and no row."""
    return sql.SQL("SELECT {} FROM {} AS t LIMIT 0").format(_columns(read), relation(read.table))


def count(read: Read) -> sql.Composed:
    """The statement that counts the same rows."""
    return sql.SQL("SELECT count(*) FROM {} AS t {}").format(relation(read.table), _where(read))


def smallest(read: Read) -> sql.Composed:
    """The statement that finds the smallest value of the first order column among the same rows."""
    statement = sql.SQL("SELECT min({}) FROM {} AS t {}")
    return statement.format(_name(read.order[0].name), relation(read.table), _where(read))


def conditions(read: Read) -> list[sql.Composable]:
    """The WHERE clause's parts."""
    first = read.order[0] if read.order else None
    found: list[sql.Composable] = []
    if read.null_cursor:
        found.append(sql.SQL("{} IS NULL").format(_name(read.cursor[0])))
    if first is not None and not read.null_cursor:
        if read.start is not None:
            found.append(sql.SQL("{} >= {}").format(_name(first.name), sql.Literal(read.start)))
        if read.end is not None:
            found.append(sql.SQL("{} < {}").format(_name(first.name), sql.Literal(read.end)))
    if read.after is not None:
        found.append(_beyond(read.order, read.after, ">"))
    if read.upto is not None and not read.null_cursor:
        found.append(_beyond(read.order, read.upto, "<="))
    if read.not_null is not None:
        found.append(sql.SQL("{} IS NOT NULL").format(_name(read.not_null)))
    if read.null is not None:
        found.append(sql.SQL("{} IS NULL").format(_name(read.null)))
    if read.keys is not None:
        found.append(keys.condition(read.keys, _name))
    if read.prefix is not None and read.prefix_column is not None:
        found.append(
            sql.SQL("left({}::text, {}) = {}").format(
                _name(read.prefix_column),
                sql.Literal(read.prefix_length or len(read.prefix)),
                sql.Literal(read.prefix),
            )
        )
    if read.where is not None:
        found.append(sql.SQL(read.where))  # type: ignore[arg-type]  # written by sync.condition
    return found


def relation(table: str) -> sql.Identifier:
    """The quoted table name."""
    return sql.Identifier(*split(table))


def _columns(read: Read) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL(column.expression).format(_name(column.column.name))  # type: ignore[arg-type]  # of `types`
        for column in read.columns
    )


def _where(read: Read) -> sql.Composable:
    parts = conditions(read)
    return sql.SQL("WHERE {}").format(sql.SQL(" AND ").join(parts)) if parts else sql.SQL("")


def _beyond(order: Sequence[CursorColumn], mark: Mark, operator: str) -> sql.Composable:
    names = [_name(column.name) for column, _ in zip(order, mark, strict=False)]
    values = [sql.Literal(value) for value in mark]
    if len(names) == 1:
        return sql.SQL("{} {} {}").format(names[0], sql.SQL(operator), values[0])  # type: ignore[arg-type]  # ours
    return sql.SQL("({}) {} ({})").format(
        sql.SQL(", ").join(names),
        sql.SQL(operator),  # type: ignore[arg-type]  # one of two constants
        sql.SQL(", ").join(values),
    )


def _name(column: str) -> sql.Composable:
    return sql.SQL("t.") + sql.Identifier(column)
