"""Checksums of a source table by key bucket: the contract of `drivers/postgres_checksum` in MySQL's and MariaDB's SQL.

`canonical` gives the text that PostgreSQL gives of the same value; texts are joined and hashed as UTF-8 bytes, whatever
the columns' character sets and collations are. The session's time zone has to be UTC.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from ...drivers import mysql
from ...model.columns import Column
from ...model.errors import SyncError
from ...model.marks import Scalar
from .query import quoted, relation
from .types import EWKB, GEOMETRIES, INTEGERS, NUL_BYTE, TEXT, TIMES, ZERO_DATE, CatalogueType, expression

BUCKETS_SQL = """
SELECT bucket, COUNT(*), COALESCE(SUM(hash), 0) FROM (
    SELECT {bucket} AS bucket, {hash} AS hash FROM {table}
) AS row_hashes GROUP BY bucket
"""

KEY_HASHES_SQL = "SELECT {hash} AS hash, {key} FROM {table} WHERE {bucket} IN ({only})"

SEPARATOR = "x'1f'"
KEYS_A_STATEMENT = 10_000

TRIMMED = "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM " + TEXT + "))"

DOUBLE = "CAST({} AS DOUBLE)"

SHORTEST = """
CASE WHEN {x} <> 0 AND ABS({x}) < 1e-4 AND {text} NOT LIKE '%e%' THEN CONCAT(
    IF({x} < 0, '-', ''), LEFT({digits}, 1), IF(LENGTH({digits}) > 1, CONCAT('.', SUBSTR({digits}, 2)), ''),
    'e-', LPAD(LENGTH(SUBSTRING_INDEX({text}, '.', -1)) - LENGTH({digits}) + 1, 2, '0'))
WHEN ABS({x}) >= 1e15 AND ABS({x}) < 151115727451828646838272e0 THEN CONCAT(CAST({x} / 268435456e0 AS CHAR), 'p28')
ELSE REPLACE(REPLACE({text}, 'e', 'e+'), 'e+-', 'e-') END
"""
"""A double as the contract has it: the digits are PostgreSQL's, which writes 1e-05 and 1e+30 for 0.00001 and 1e30."""

CANONICAL: dict[str, str] = {
    "date": "IF(YEAR({}) = 0, CONCAT('0001', DATE_FORMAT({}, '-%m-%d'), ' BC'), DATE_FORMAT({}, '%Y-%m-%d'))",
    "datetime": (
        "IF(YEAR({}) = 0, CONCAT('0001', DATE_FORMAT({}, '-%m-%dT%H:%i:%s.%f'), ' BC'),"
        " DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f'))"
    ),
    "timestamp": "DATE_FORMAT({}, '%Y-%m-%dT%H:%i:%s.%f')",
    "inet4": "LOWER(HEX(CAST({} AS BINARY(4))))",
    "inet6": "LOWER(HEX(CAST({} AS BINARY(16))))",
    "uuid": TEXT,
    "time": TEXT,
}
"""By type; every other is text. See `canonical` for those whose text depends on their arguments."""


def buckets(
    connection: mysql.Connection, table: str, columns: Sequence[Column], key: Sequence[str], number: int
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan. Rows too long to be hashed count, so that theirs differ."""
    statement = BUCKETS_SQL.format(bucket=_bucket(columns, key, number), hash=_row_hash(columns), table=relation(table))
    return {int(bucket): (int(rows), int(total)) for bucket, rows, total in mysql.rows(connection, statement)}


def key_hashes(
    connection: mysql.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int],
) -> dict[tuple[str, ...], int]:
    """The row hash of each key in the buckets `only`; keys as canonical text. Raises SyncError for a row too long."""
    if not only:
        return {}
    statement = KEY_HASHES_SQL.format(
        hash=_row_hash(columns),
        key=", ".join(_keys(columns, key)),
        table=relation(table),
        bucket=_bucket(columns, key, number),
        only=", ".join(str(int(bucket)) for bucket in only),
    )
    found: dict[tuple[str, ...], int] = {}
    for row_hash, *row_key in mysql.rows(connection, statement):
        if row_hash is None:
            raise _too_long(table)
        found[tuple(row_key)] = int(row_hash)
    return found


def cursors(
    connection: mysql.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    cursor: str,
    keys: Sequence[tuple[str, ...]],
) -> dict[tuple[str, ...], Scalar | None]:
    """The cursor value of rows by their canonical key; keys that are gone are left out."""
    names = ", ".join(_keys(columns, key))
    in_utc = any(column.name == cursor and "tz=" in column.type for column in columns)
    found: dict[tuple[str, ...], Scalar | None] = {}
    for start in range(0, len(keys), KEYS_A_STATEMENT):
        part = keys[start : start + KEYS_A_STATEMENT]
        wanted = ", ".join(f"({', '.join(_bytes(text) for text in values)})" for values in part)
        statement = f"SELECT {quoted(cursor)}, {names} FROM {relation(table)} WHERE ({names}) IN ({wanted})"
        for value, *row_key in mysql.rows(connection, statement):
            aware = in_utc and isinstance(value, datetime)
            found[tuple(row_key)] = value.replace(tzinfo=UTC) if aware else value
    return found


def canonical(column: Column) -> str:
    """The text of a column's value as an SQL expression; NULL where it is NULL, or a date that does not exist."""
    name, kind = quoted(column.name), CatalogueType.of(column)
    template = CANONICAL.get(kind.name, "CONVERT({} USING utf8mb4)")
    if kind.name in INTEGERS or kind.name in ("year", "decimal"):
        template = (TRIMMED if kind.name == "decimal" and kind.args[1] else TEXT).replace("{}", "({} + 0)")
    elif kind.name == "time" and kind.args:
        template = TRIMMED
    elif kind.name == "bit":
        template = expression(kind)
    elif column.type == "binary":
        template = f"LOWER(HEX({EWKB if kind.name in GEOMETRIES else '{}'}))"
    elif kind.name in ("float", "double"):
        digits = "TRIM(LEADING '0' FROM SUBSTRING_INDEX({text}, '.', -1))"
        template = SHORTEST.replace("{digits}", digits).replace("{text}", "CAST({x} AS CHAR)").replace("{x}", DOUBLE)
    elif kind.name in TIMES:
        template = ZERO_DATE.lossy.replace(", {},", f", {template},")
    elif column.transform == "lossy":
        template = f"CONVERT({NUL_BYTE.lossy} USING utf8mb4)"
    return template.replace("{}", name)


def _keys(columns: Sequence[Column], key: Sequence[str]) -> list[str]:
    known = {column.name: column for column in columns}
    return [canonical(known[name]) for name in key]


def _bucket(columns: Sequence[Column], key: Sequence[str], number: int) -> str:
    text = f"CONCAT_WS({SEPARATOR}, {', '.join(_keys(columns, key))})"
    return f"{_number(text, 8)} % {int(number)}"


def _row_hash(columns: Sequence[Column]) -> str:
    texts = f", {SEPARATOR}, ".join(_marked(column) for column in columns)
    return _number(f"CONCAT({texts}, '')", 15)


def _marked(column: Column) -> str:
    """`=` and the text, or nothing where it is NULL; but NULL of a text that is longer than max_allowed_packet."""
    marked = f"CONCAT('=', {canonical(column)})"
    is_date = CatalogueType.of(column).name in TIMES
    return f"COALESCE({marked}, '')" if is_date else f"IF({quoted(column.name)} IS NULL, '', {marked})"


def _number(text: str, digits: int) -> str:
    return f"CAST(CONV(SUBSTR(MD5({text}), 1, {digits}), 16, 10) AS UNSIGNED)"


def _bytes(text: str | None) -> str:
    """As bytes, so that it equals only itself: collations fold case and trailing spaces. None, of a table without a
    key, equals nothing."""
    return "NULL" if text is None else f"x'{text.encode().hex()}'"


def _too_long(table: str) -> SyncError:
    return SyncError(
        "a row's text is longer than the server's max_allowed_packet, so that it cannot be hashed",
        table=table,
        fix="raise max_allowed_packet on the source server, or leave the long column out with `columns.exclude`",
    )
