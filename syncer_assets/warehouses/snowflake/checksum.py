"""Checksums of a target by key bucket: the contract of `drivers/postgres_checksum` in Snowflake's SQL.

Two kinds of columns cannot take part, and `incomparable` names them: Snowflake's text of a FLOAT has too few digits to
tell two numbers apart, and a VARIANT keeps what a document says, not how it was written.
"""

from collections.abc import Sequence

import pyarrow as pa

from ...drivers import snowflake
from ...drivers.postgres_checksum import canonical_type
from ...model.columns import Column
from ...model.keys import Buckets, key_rows_schema, whole_number
from ...model.table import Target
from . import names, types
from .session import Session

CHECKSUM_SQL = """
SELECT bucket, COUNT(*), SUM(hash) FROM (SELECT {bucket} AS bucket, {hash} AS hash FROM {table} WHERE {where}) h
GROUP BY bucket
"""

KEY_ROWS_SQL = "SELECT {key}, {hash}{beside}, {captured} FROM {table} WHERE {where}"

STAMP = 'YYYY-MM-DD"T"HH24:MI:SS.FF6'

WITHOUT_ZEROS = "IFF(CONTAINS({0}, '.'), RTRIM(RTRIM({0}, '0'), '.'), {0})"
"""The text of a number, or of a time of day, without the zeros behind its last digit."""

CANONICAL = {
    "BOOLEAN": "TO_VARCHAR({})",
    "DATE": "TO_CHAR({}::DATE, 'YYYY-MM-DD')",
    "TIME": WITHOUT_ZEROS.replace("{0}", "TO_CHAR({0}, 'HH24:MI:SS.FF6')"),
    "TIMESTAMP_NTZ": f"TO_CHAR({{}}::TIMESTAMP_NTZ, '{STAMP}')",
    "TIMESTAMP_TZ": f"TO_CHAR(CONVERT_TIMEZONE('UTC', {{}}), '{STAMP}')",
    "BINARY": "LOWER(HEX_ENCODE({}))",
    "VARCHAR": "{}",
}

NOT_NULL = "COALESCE(CHR(31) || {}, '')"
"""A part of the key's text: one that is NULL is left out, as PostgreSQL's concat_ws does."""


def incomparable(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns that no checksum can compare."""
    return tuple(column.name for column in columns if _canonical(column) is None)


def checksum(
    session: Session,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes) of the rows that are not tombstones."""
    parts = _parts(target, columns, key, buckets, only)
    return {int(bucket): (int(rows), int(total)) for bucket, rows, total in session.rows(CHECKSUM_SQL.format(**parts))}


def key_rows(
    session: Session,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets,
    beside: Sequence[Column],
) -> pa.Table:
    """Keys and row hashes of some buckets, with the extraction that each row came from."""
    parts = _parts(target, columns, key, rows.number, rows.only)
    statement = KEY_ROWS_SQL.format(
        **parts,
        beside="".join(f", {_text(column)}" for column in beside),
        captured=f"DATE_PART(epoch_microsecond, {names.column(names.CAPTURED)})",
    )
    schema = key_rows_schema(key, beside).append(pa.field("captured_at", pa.int64()))
    with snowflake.execute(session.connection, statement) as cursor:  # fetch_arrow_all needs pandas
        tables = [part.rename_columns(schema.names).cast(schema) for part in cursor.fetch_arrow_batches()]
    found = pa.concat_tables([schema.empty_table(), *tables])
    captured = found.column("captured_at").cast(pa.timestamp("us", "UTC"))
    return found.set_column(found.num_columns - 1, "captured_at", captured)


def _parts(
    target: Target, columns: Sequence[Column], key: Sequence[str], buckets: int, only: Sequence[int] | None
) -> dict[str, str]:
    texts = {column.name: _text(column) for column in columns}
    keys = [texts.get(name, names.column(names.fold(name))) for name in key]
    key_text = f"SUBSTR({' || '.join(NOT_NULL.format(text) for text in keys)}, 2)"
    row_text = " || CHR(31) || ".join(f"COALESCE('=' || {text}, '')" for text in texts.values())
    bucket = f"MOD({_number(key_text, 8)}, {int(buckets)})"
    if whole := whole_number(columns, key):
        bucket = f"ABS(MOD({names.column(names.fold(whole))}, {int(buckets)}))"
    where = f"{names.column(names.DELETED)} IS NULL"
    if only is not None:
        where += f" AND {bucket} IN ({', '.join(str(int(number)) for number in only) or 'NULL'})"
    return {
        "table": names.table(target),
        "bucket": bucket,
        "hash": _number(row_text, 15),
        "key": ", ".join(keys),
        "where": where,
    }


def _number(text: str, digits: int) -> str:
    return f"TO_NUMBER(SUBSTR(MD5({text}), 1, {digits}), '{'X' * digits}')"


def _text(column: Column) -> str:
    return _canonical(column) or "NULL"


def _canonical(column: Column) -> str | None:
    """The text of a column's value; None where there is none that all sides share."""
    kind, wanted = types.target_type(column), canonical_type(column)
    name = names.column(names.fold(column.name))
    if kind.startswith("NUMBER"):
        text = f"TO_VARCHAR({name})"
        return text if kind.endswith(",0)") else WITHOUT_ZEROS.format(text)
    if kind == "VARCHAR" and wanted == "numeric":
        return WITHOUT_ZEROS.format(name)
    if kind == "VARCHAR" and wanted != "text":
        return None
    return CANONICAL[kind].format(name) if kind in CANONICAL else None
