"""Checksums of a source table, by the same SQL as the warehouse's."""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from ...drivers.postgres_checksum import checksum_query, key_hashes_query
from ...model.marks import Scalar
from ..base import Read
from .query import conditions, relation


def buckets(
    connection: psycopg.Connection, read: Read, key: Sequence[str], types: Sequence[tuple[str, str]], number: int
) -> dict[int, tuple[int, int]]:
    """Per key bucket: (rows, sum of row hashes)."""
    raise AssertionError


