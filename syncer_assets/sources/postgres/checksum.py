"""Checksums of a source table by key bucket, by the contract that its warehouse follows as well."""

from collections.abc import Sequence

import psycopg
import pyarrow as pa
from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.keys import Buckets, Keys, key_rows_schema, whole_number
from . import keys
from .query import relation


def buckets(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int] | None,
    where: str | None = None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan."""
    query = contract.checksum_query(
        relation(table), _types(columns), key, number, _condition(where), only, whole_number(columns, key)
    )
    return contract.checksum(connection, query)


def key_rows(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets | Keys,
    beside: Sequence[Column],
    where: str | None = None,
) -> pa.Table:
    """Keys and row hashes of some buckets, or of these keys as far as they are there."""
    texts = [contract.canonical(name, type_name) for name, type_name in _types(beside)]
    if isinstance(rows, Buckets):
        query = contract.key_rows_query(
            relation(table),
            _types(columns),
            key,
            rows.number,
            _condition(where),
            rows.only,
            whole_number(columns, key),
            texts,
        )
    else:
        wanted = [part for part in (keys.condition(rows), _condition(where)) if part is not None]
        both = sql.Composed(wanted).join(" AND ")
        query = contract.key_rows_query(relation(table), _types(columns), key, where=both, beside=texts)
    return contract.key_rows(connection, query, key_rows_schema(key, beside))


def _condition(where: str | None) -> sql.SQL | None:
    return sql.SQL(where) if where else None  # type: ignore[arg-type]  # written by sync.condition


def _types(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, contract.canonical_type(column)) for column in columns]
