"""Checksums of a target by key bucket, by the contract that its source follows as well."""

from collections.abc import Sequence

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
    engine: str = "postgres",
) -> dict[int, tuple[int, int]]:
    """Per bucket (rows, sum of row hashes) of the rows that are not tombstones."""
    query = contract.checksum_query(
        names.table(target),
        [(names.cut(column.name), contract.canonical_type(column, engine)) for column in columns],
        [names.cut(name) for name in key],
        buckets,
        sql.SQL("{} IS NULL").format(names.column(DELETED_AT)),
        only,
    )
    return contract.checksum(connection, query)
