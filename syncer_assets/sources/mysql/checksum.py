"""Checksums of a source table by key bucket: the contract of `drivers/postgres_checksum` in MySQL's and MariaDB's SQL.

Texts are joined and hashed as UTF-8 bytes, whatever the columns' character sets and collations are. The session's time
zone has to be UTC.
"""

from collections.abc import Sequence

import pyarrow as pa

from ...drivers import mysql, mysql_rows
from ...model.columns import Column
from ...model.errors import SyncError
from ...model.keys import Buckets, Keys, key_rows_schema, whole_number
from .canonical import canonical
from .keys import condition
from .names import quoted, relation
from .types import TIMES, CatalogueType

BUCKETS_SQL = """
SELECT bucket, COUNT(*), COALESCE(SUM(hash), 0) FROM (
    SELECT {bucket} AS bucket, {hash} AS hash FROM {table} WHERE {where}
) AS row_hashes GROUP BY bucket
"""

KEY_ROWS_SQL = "SELECT {texts}, {hash} AS hash{beside} FROM {table} WHERE {where}"

SEPARATOR = "x'1f'"
BATCH_ROWS = 65_536


def buckets(
    connection: mysql.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int] | None,
    where: str | None = None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan. Rows too long to be hashed count, so that theirs differ."""
    bucket = _bucket(columns, key, number)
    statement = BUCKETS_SQL.format(
        bucket=bucket, hash=_row_hash(columns), table=relation(table), where=_all(_in_buckets(bucket, only), where)
    )
    return {int(bucket): (int(rows), int(total)) for bucket, rows, total in mysql.rows(connection, statement)}


def key_rows(
    session: mysql.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets | Keys,
    beside: Sequence[Column],
    where: str | None = None,
    *,
    who: str,
) -> pa.Table:
    """Keys and row hashes of some buckets, or of these keys as far as they are there; `session` is used up.

    Raises SyncError for a row too long.
    """
    by_bucket = isinstance(rows, Buckets)
    statement = KEY_ROWS_SQL.format(
        texts=", ".join(_keys(columns, key)),
        hash=_row_hash(columns),
        beside="".join(f", {canonical(column)}" for column in beside),
        table=relation(table),
        where=_all(_in_buckets(_bucket(columns, key, rows.number), rows.only) if by_bucket else condition(rows), where),
    )
    schema = key_rows_schema(key, beside)
    at = schema.get_field_index("hash")
    received = schema.set(at, pa.field("hash", pa.uint64()))
    stream = mysql_rows.read(session, statement, received, who=who, table=table, batch_rows=BATCH_ROWS)
    found = pa.Table.from_batches([batch for batch, _ in stream], received)
    if found.column("hash").null_count:
        raise _too_long(table)
    return found.cast(schema)


def _all(*conditions: str | None) -> str:
    return " AND ".join(each for each in conditions if each)


def _keys(columns: Sequence[Column], key: Sequence[str]) -> list[str]:
    known = {column.name: column for column in columns}
    return [canonical(known[name]) for name in key]


def _bucket(columns: Sequence[Column], key: Sequence[str], number: int) -> str:
    if whole := whole_number(columns, key):
        return f"ABS({quoted(whole)} % {int(number)})"
    text = f"CONCAT_WS({SEPARATOR}, {', '.join(_keys(columns, key))})"
    return f"{_number(text, 8)} % {int(number)}"


def _in_buckets(bucket: str, only: Sequence[int] | None) -> str:
    """True of the rows of these buckets. An empty list is none, where an absent one is all."""
    if only is None:
        return "TRUE"
    return f"{bucket} IN ({', '.join(str(int(number)) for number in only)})" if only else "FALSE"


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


def _too_long(table: str) -> SyncError:
    return SyncError(
        "a row's text is longer than the server's max_allowed_packet, so that it cannot be hashed",
        table=table,
        fix="raise max_allowed_packet on the source server, or leave the long column out with `columns.exclude`",
    )
