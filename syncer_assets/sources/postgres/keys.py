"""Rows by their keys as SQL: canonical texts read back as the columns' own types, so that an index serves them."""

from collections.abc import Callable

from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.keys import Keys, KeySpan

CASTS = frozenset(
    {
        *("smallint", "integer", "bigint", "numeric", "boolean", "text", "character varying", "uuid", "date"),
        *("timestamp with time zone", "timestamp without time zone", "inet", "cidr", "macaddr"),
    }
)
"""Types of which the canonical text, in a session that counts in UTC, is read back as the very value."""

CONDITION = "({columns}) IN (SELECT {values} FROM unnest({texts}) AS wanted ({names}))"


def condition(keys: Keys | KeySpan, named: Callable[[str], sql.Composable] = sql.Identifier) -> sql.Composable:
    """True of these rows; `named` gives a column as the statement names it."""
    if isinstance(keys, KeySpan):
        return sql.SQL("{} BETWEEN {} AND {}").format(named(keys.column), sql.Literal(keys.low), sql.Literal(keys.high))
    names = [sql.Identifier(f"w{number}") for number in range(len(keys.columns))]
    pairs = [_pair(column, named, name) for column, name in zip(keys.columns, names, strict=True)]
    comma = sql.SQL(", ")
    return sql.SQL(CONDITION).format(
        columns=comma.join(column for column, _ in pairs),
        values=comma.join(value for _, value in pairs),
        texts=comma.join(sql.SQL("{}::text[]").format(sql.Literal(list(texts))) for texts in keys.texts),
        names=comma.join(names),
    )


def _pair(
    column: Column, named: Callable[[str], sql.Composable], name: sql.Identifier
) -> tuple[sql.Composable, sql.Composable]:
    """The column, and the wanted text as a value of its type; where that is not exact, its canonical text."""
    spelt = contract.base_type(column.source_type)
    if column.portable and column.transform is None and spelt in CASTS:
        return named(column.name), sql.SQL("wanted.{}::{}").format(name, sql.SQL(spelt))  # type: ignore[arg-type]  # ours
    return contract.canonical(named(column.name), contract.canonical_type(column)), sql.SQL("wanted.{}").format(name)
