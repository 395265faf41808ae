"""Rows by their keys as SQL: values of the columns' own types, which an index serves, and the canonical texts.

A collation holds more texts for equal than the canonical text does, so the latter decides.
"""

from collections.abc import Iterator
from decimal import Decimal

from ...model.columns import Column
from ...model.keys import Keys, KeySpan
from .canonical import canonical
from .names import quoted
from .types import INTEGERS, CatalogueType

TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "uuid"})
BYTES = frozenset({"binary", "varbinary"})


def condition(keys: Keys | KeySpan, alias: str = "") -> str:
    """True of these rows; `alias` is the table's, with its dot."""
    if isinstance(keys, KeySpan):
        return f"{alias}{quoted(keys.column)} BETWEEN {int(keys.low)} AND {int(keys.high)}"
    texts = ", ".join(canonical(column, alias) for column in keys.columns)
    wanted = ", ".join(f"({', '.join(map(_bytes, row))})" for row in zip(*keys.texts, strict=True))
    return " AND ".join([*_served_by_index(keys, alias), f"({texts}) IN ({wanted})"])


def _served_by_index(keys: Keys, alias: str) -> Iterator[str]:
    """Of each column whose values can be written exactly: it is one of the wanted."""
    for column, texts in zip(keys.columns, keys.texts, strict=True):
        values = [_literal(column, text) for text in dict.fromkeys(texts)]
        if values and None not in values:
            yield f"{alias}{quoted(column.name)} IN ({', '.join(value for value in values if value)})"


def _literal(column: Column, text: str | None) -> str | None:
    """None where the type's values are not written here; the canonical text then finds them by itself."""
    kind = CatalogueType.of(column).name
    if text is None or column.transform is not None:
        return None
    if kind in INTEGERS or kind == "year":
        return str(int(text))
    if kind == "decimal":
        return f"{Decimal(text):f}"
    if kind in TEXTS:
        return f"_utf8mb4 x'{text.encode().hex()}'"
    return f"x'{bytes.fromhex(text).hex()}'" if kind in BYTES else None


def _bytes(text: str | None) -> str:
    """As bytes, so that it equals only itself: collations fold case and trailing spaces."""
    return "NULL" if text is None else f"x'{text.encode().hex()}'"
