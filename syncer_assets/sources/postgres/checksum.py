"""Checksums of a source table by key bucket, by the contract that its warehouse follows as well."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.marks import Scalar
from .query import relation


def buckets(
    connection: psycopg.Connection, table: str, columns: Sequence[Column], key: Sequence[str], number: int
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes), in one scan."""
    return contract.checksum(connection, contract.checksum_query(relation(table), _types(columns), key, number))


def key_hashes(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    number: int,
    only: Sequence[int],
) -> dict[tuple[str, ...], int]:
    """The row hash of each key in the buckets `only`; keys as canonical text."""
    query = contract.key_hashes_query(relation(table), _types(columns), key, number, None, only)
    found = contract.key_hashes(connection, query)
    return {row_key: row_hash for rows in found.values() for row_key, row_hash in rows.items()}


def cursors(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[Column],
    key: Sequence[str],
    cursor: str,
    keys: Sequence[tuple[str, ...]],
) -> dict[tuple[str, ...], Scalar | None]:
    """The cursor value of rows by their canonical key; keys that are gone are left out."""
    types = dict(_types(columns))
    names = [contract.canonical(name, types.get(name, "text")) for name in key]
    statement = sql.SQL("SELECT ARRAY[{}]::text[], {} FROM {} WHERE ROW({}) IN (VALUES {})").format(
        sql.SQL(", ").join(names),
        sql.Identifier(cursor),
        relation(table),
        sql.SQL(", ").join(names),
        sql.SQL(", ").join(
            sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(part) for part in values)) for values in keys
        ),
    )
    with contract.canonical_session(connection):
        return {tuple(row[0]): row[1] for row in connection.execute(statement)}


def _types(columns: Sequence[Column]) -> list[tuple[str, str]]:
    return [(column.name, contract.canonical_type(column)) for column in columns]
