"""Checksums of a target by key bucket, by the contract that its source follows as well."""

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from ...drivers import postgres_checksum as contract
from ...model.columns import Column
from ...model.table import Target
from ..base import DELETED_AT
from . import names


def checksum(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes) of the rows that are not tombstones."""
    return contract.checksum(connection, _query(contract.checksum_query, target, columns, key, buckets, only))


def key_hashes(
    connection: psycopg.Connection,
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int],
) -> dict[tuple[str, ...], int]:
    """The row hash of each key (as canonical text) in the buckets `only`."""
    found = contract.key_hashes(connection, _query(contract.key_hashes_query, target, columns, key, buckets, only))
    return {row_key: row_hash for rows in found.values() for row_key, row_hash in rows.items()}


def _query(
    make: Callable[..., sql.Composed],
    target: Target,
    columns: Sequence[Column],
    key: Sequence[str],
    buckets: int,
    only: Sequence[int] | None,
) -> sql.Composed:
    return make(
        names.table(target),
        [(names.cut(column.name), contract.canonical_type(column)) for column in columns],
        [names.cut(name) for name in key],
        buckets,
        sql.SQL("{} IS NULL").format(names.column(DELETED_AT)),
        only,
    )
