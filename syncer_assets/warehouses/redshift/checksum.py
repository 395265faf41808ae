"""Checksums of a target by key bucket: the contract of `drivers/postgres_checksum`, in Redshift's SQL."""

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.keys import Buckets, key_rows_schema, whole_number
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT
from . import catalog, names, types

CHECKSUM_SQL = """
SELECT bucket, COUNT(*), SUM(hash) FROM (
    SELECT {bucket} AS bucket, {hash} AS hash FROM {table} WHERE {where}
) r GROUP BY bucket
"""

KEY_ROWS_SQL = "SELECT {key}, {hash}{beside}, {captured_at} FROM {table} WHERE {where}"

NUMBER_TEXT = "CASE WHEN POSITION('.' IN {0}) > 0 THEN RTRIM(RTRIM({0}, '0'), '.') ELSE {0} END"
"""Of a number that is kept as text, since no DECIMAL holds every value of its type."""


def incomparable(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns that no checksum can compare: Redshift writes a float with digits of its own, SUPER keeps a document
    and not its text, and a few types that travel as text have another text at their source."""
    return tuple(column.name for column in columns if not _has_text(column))


def checksum(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes) of the rows that are not tombstones."""
    parts = _parts(connection, target, columns, key, buckets, only)
    found = connection.execute(sql.SQL(CHECKSUM_SQL).format(**parts))
    return {int(bucket): (int(rows), int(total)) for bucket, rows, total in found}


def key_rows(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets,
    beside: Sequence[Column],
) -> pa.Table:
    """Keys and row hashes of some buckets, with the extraction that each row came from."""
    there = _there(connection, target)
    more = [_canonical(column, there) for column in beside]
    parts = _parts(connection, target, columns, key, rows.number, rows.only)
    query = sql.SQL(KEY_ROWS_SQL).format(
        **parts,
        beside=sql.SQL("").join(sql.SQL(", {}").format(text) for text in more),
        captured_at=names.column(CAPTURED_AT),
    )
    schema = key_rows_schema(key, beside).append(pa.field("captured_at", pa.timestamp("us", "UTC")))
    found = list(zip(*connection.execute(query).fetchall(), strict=True)) or [()] * len(schema)
    return pa.table([pa.array(values, field.type) for values, field in zip(found, schema, strict=True)], schema=schema)


def _parts(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> dict[str, sql.Composable]:
    there = _there(connection, target)
    by_name = {column.name: column for column in columns}
    keys = [_canonical(by_name[name], there) for name in key]
    separator = sql.SQL(" || CHR(31) || ")
    row_text = separator.join(sql.SQL("COALESCE('=' || {}, '')").format(_canonical(c, there)) for c in columns)
    bucket = sql.SQL("MOD({}, {})").format(_number(_joined(keys), 8), names.number(buckets))
    if whole := whole_number(columns, key):
        bucket = sql.SQL("ABS(MOD({}, {}))").format(names.column(whole), names.number(buckets))
    where = sql.SQL("{} IS NULL").format(names.column(DELETED_AT))
    if only is not None:
        numbers = sql.SQL(", ").join(names.number(number) for number in only) if only else sql.SQL("NULL")
        where = sql.SQL("{} AND {} IN ({})").format(where, bucket, numbers)
    return {
        "table": names.table(target),
        "bucket": bucket,
        "hash": _number(row_text, 15),
        "key": sql.SQL(", ").join(keys),
        "where": where,
    }


def _joined(keys: Sequence[sql.Composed]) -> sql.Composable:
    """The contract's key text leaves a NULL out, as `concat_ws` does; only tables without a key have one."""
    if len(keys) == 1:
        return sql.SQL("COALESCE({}, '')").format(keys[0])
    parts = [sql.SQL("COALESCE(CHR(31) || {}, '')").format(key) for key in keys]
    return sql.SQL("SUBSTRING({}, 2)").format(sql.SQL(" || ").join(parts))


def _number(text: sql.Composable, digits: int) -> sql.Composed:
    return sql.SQL("STRTOL(SUBSTRING(MD5({}), 1, {}), 16)").format(text, names.number(digits))


def _there(connection: psycopg.Connection, target: Target) -> dict[str, str]:
    oid = catalog.table_oid(connection, target)
    return {column.name: column.type for column in catalog.columns(connection, oid)} if oid else {}


def _canonical(column: Column, there: dict[str, str]) -> sql.Composed:
    kind, type_name = contract.canonical_type(column), there.get(column.name, types.LONGEST_TEXT)
    if kind.startswith("numeric") and types.is_text(type_name):
        return sql.SQL(NUMBER_TEXT).format(names.column(column.name))
    return types.text_of(column.name, type_name)


def _has_text(column: Column) -> bool:
    kind = contract.canonical_type(column)
    as_text = column.type == "string" and column.portable
    document = as_text and contract.base_type(column.source_type) in ("json", "jsonb")
    other_text = kind == "inet address" or (as_text and kind.startswith("timestamp"))
    return not (document or other_text or kind in ("real", "double precision"))
