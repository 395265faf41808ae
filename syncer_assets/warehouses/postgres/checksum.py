"""Checksums of a target by key bucket, by the contract that its source follows as well."""

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.keys import Buckets, key_rows_schema, whole_number
from ...model.table import Target
from ..base import CAPTURED_AT, DELETED_AT
from . import names

ALIVE = sql.SQL("{} IS NULL").format(names.column(DELETED_AT))
MICROSECONDS = sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(names.column(CAPTURED_AT))


def checksum(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes) of the rows that are not tombstones."""
    return contract.checksum(
        connection,
        contract.checksum_query(
            names.table(target),
            _types(columns),
            [names.cut(name) for name in key],
            buckets,
            ALIVE,
            only,
            _number(columns, key),
        ),
    )


def key_rows(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets,
    beside: Sequence[Column],
) -> pa.Table:
    """Keys and row hashes of some buckets, with the extraction that each row came from."""
    texts = [contract.canonical(name, type_name) for name, type_name in _types(beside)]
    query = contract.key_rows_query(
        names.table(target),
        _types(columns),
        [names.cut(name) for name in key],
        rows.number,
        ALIVE,
        rows.only,
        _number(columns, key),
        [*texts, MICROSECONDS],
    )
    schema = key_rows_schema(key, beside).append(pa.field("captured_at", pa.int64()))
    found = contract.key_rows(connection, query, schema)
    captured = found.column("captured_at").cast(pa.timestamp("us", "UTC"))
    return found.set_column(found.num_columns - 1, "captured_at", captured)


def _number(columns: Sequence[Column], key: Sequence[str]) -> str | None:
    found = whole_number(columns, key)
    return names.cut(found) if found else None


def _types(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(names.cut(column.name), contract.canonical_type(column)) for column in columns]
