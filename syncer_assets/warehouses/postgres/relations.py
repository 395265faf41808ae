"""The tables that hold a target's rows, and their indexes: the target itself, or the partitions that it has."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

LEAVES_SQL = """
SELECT c.oid, n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.oid IN (SELECT $1::oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))
ORDER BY c.oid
"""

INDEXES_SQL = """
SELECT i.indexrelid, n.nspname::text, c.relname::text, i.indrelid, i.indisvalid, i.indisexclusion,
    i.indexprs IS NOT NULL, pg_relation_size(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = ANY ($1::oid[]) ORDER BY c.relname
"""


@dataclass(frozen=True)
class Leaf:
    """A table that holds rows."""

    oid: int
    schema: str
    name: str

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class LeafIndex:
    """An index of such a table. `size_bytes` is that of its main fork."""

    oid: int
    schema: str
    name: str
    table_oid: int
    valid: bool
    exclusion: bool
    of_expression: bool
    size_bytes: int

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def leaves(connection: psycopg.Connection, oid: int) -> list[Leaf]:
    """The table, or its partitions; foreign ones left out, since their server looks after them."""
    return [Leaf(*row) for row in connection.execute(LEAVES_SQL, (oid,))]


def indexes(connection: psycopg.Connection, tables: list[Leaf]) -> list[LeafIndex]:
    """Their indexes, invalid ones too."""
    return [LeafIndex(*row) for row in connection.execute(INDEXES_SQL, ([table.oid for table in tables],))]
