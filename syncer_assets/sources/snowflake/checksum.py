"""Checksums of a source table by key bucket: the contract of `drivers/postgres_checksum` in Snowflake's SQL.

MD5 of a VARCHAR is that of its UTF-8 bytes. Sums are of NUMBER, which holds 2^60 times more rows than a table has.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from ...drivers import snowflake
from ...model.columns import Column
from ...model.keys import Buckets, Keys, key_rows_schema, whole_number
from .batches import batches_of
from .canonical import canonical
from .query import keys_condition, relation

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

BUCKETS_SQL = """
SELECT bucket, COUNT(*), SUM(hash::NUMBER(19, 0)) FROM (
    SELECT {bucket} AS bucket, {hash} AS hash FROM {table} AS t WHERE {where}
) AS hashed GROUP BY bucket
"""
KEY_ROWS_SQL = "SELECT {texts}, {hash} AS hash{beside} FROM {table} AS t WHERE {where}"

SEPARATOR = "CHR(31)"


def buckets(
    connection: "SnowflakeConnection",
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int] | None,
    where: str | None = None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan."""
    bucket = _bucket(columns, key, number)
    statement = BUCKETS_SQL.format(
        bucket=bucket, hash=_row_hash(columns), table=relation(table), where=_all(_in_buckets(bucket, only), where)
    )
    return {int(bucket): (int(rows), int(total)) for bucket, rows, total in snowflake.rows(connection, statement)}


def key_rows(
    connection: "SnowflakeConnection",
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets | Keys,
    beside: Sequence[Column],
    where: str | None = None,
    *,
    who: str,
) -> pa.Table:
    """Keys and row hashes of some buckets, or of these keys as far as they are there."""
    schema = key_rows_schema(key, beside)
    if isinstance(rows, Buckets):
        wanted, values = _in_buckets(_bucket(columns, key, rows.number), rows.only), ()
    else:
        condition = keys_condition(rows)
        wanted, values = condition.text, condition.values
    statement = KEY_ROWS_SQL.format(
        texts=", ".join(f"{text} AS k{number}" for number, text in enumerate(_keys(columns, key))),
        hash=_row_hash(columns),
        beside="".join(f", {canonical(column)} AS b{number}" for number, column in enumerate(beside)),
        table=relation(table),
        where=_all(wanted, where),
    )
    with snowflake.execute(connection, statement, values) as cursor:
        return pa.Table.from_batches(batches_of(cursor, schema, who=who, table=table), schema=schema)


def _all(*conditions: str | None) -> str:
    return " AND ".join(each for each in conditions if each)


def _keys(columns: Sequence[Column], key: Sequence[str]) -> list[str]:
    by_name = {column.name: column for column in columns}
    return [canonical(by_name[name]) for name in key]


def _in_buckets(bucket: str, only: Sequence[int] | None) -> str:
    if only is None:
        return "TRUE"
    return f"{bucket} IN ({', '.join(str(int(number)) for number in only)})" if only else "FALSE"


def _bucket(columns: Sequence[Column], key: Sequence[str], number: int) -> str:
    if whole := whole_number(columns, key):
        return f"ABS(MOD(t.{snowflake.name(whole)}, {int(number)}))"
    return f"({_number(f' || {SEPARATOR} || '.join(_keys(columns, key)), 8)} % {int(number)})"


def _row_hash(columns: Sequence[Column]) -> str:
    return _number(f" || {SEPARATOR} || ".join(f"COALESCE('=' || {canonical(c)}, '')" for c in columns), 15)


def _number(text: str, digits: int) -> str:
    return f"TO_NUMBER(SUBSTR(MD5({text}), 1, {digits}), '{'X' * digits}')"
