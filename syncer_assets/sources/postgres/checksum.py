"""Checksums of a source table by key bucket, by the contract that its warehouse follows as well."""

from collections.abc import Sequence

import psycopg
import pyarrow as pa

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.keys import Buckets, Keys, whole_number
from . import keys
from .query import relation


def buckets(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int] | None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan."""
    query = contract.checksum_query(
        relation(table), _types(columns), key, number, None, only, whole_number(columns, key)
    )
    return contract.checksum(connection, query)


def key_rows(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    rows: Buckets | Keys,
    beside: Sequence[Column],
) -> pa.Table:
    """Keys and row hashes of some buckets, or of these keys as far as they are there."""
    texts = [contract.canonical(name, type_name) for name, type_name in _types(beside)]
    if isinstance(rows, Buckets):
        query = contract.key_rows_query(
            relation(table),
            _types(columns),
            key,
            rows.number,
            None,
            rows.only,
            whole_number(columns, key),
            texts,
        )
    else:
        query = contract.key_rows_query(relation(table), _types(columns), key, where=keys.condition(rows), beside=texts)
    return contract.key_rows(connection, query, contract.key_rows_schema(key, beside))


def _types(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, contract.canonical_type(column)) for column in columns]
