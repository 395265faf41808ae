"""Statements for a person to run, in the words of the source's own database."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """A database's statements: `{table}` and `{columns}` stand for the quoted names."""

    quote: str
    index: str
    statistics: str

    def create_index(self, table: str, columns: Sequence[str]) -> str:
        """An index on these columns, made while others write (InnoDB does so by itself)."""
        return self.index.format(table=self._table(table), columns=", ".join(self._name(each) for each in columns))

    def analyze(self, table: str) -> str:
        """Fresh statistics of a table."""
        return self.statistics.format(table=self._table(table))

    def grant_select(self, table: str) -> str:
        """The right to read a table."""
        return f"GRANT SELECT ON {self._table(table)}"

    def _table(self, table: str) -> str:
        schema, dot, name = table.partition(".")
        return f"{self._name(schema)}.{self._name(name)}" if dot else self._name(table)

    def _name(self, name: str) -> str:
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"


POSTGRES = Advice(
    quote='"',
    index="CREATE INDEX CONCURRENTLY ON {table} ({columns})",
    statistics="ANALYZE {table}",
)

MYSQL = Advice(
    quote="`",
    index="ALTER TABLE {table} ADD INDEX ({columns})",
    statistics="ANALYZE TABLE {table}",
)

SNOWFLAKE = Advice(
    quote='"',
    index="ALTER TABLE {table} CLUSTER BY ({columns})",
    statistics="SELECT SYSTEM$CLUSTERING_INFORMATION('{table}')",
)
"""Snowflake has neither indexes nor statistics to renew: a clustering key is what serves ranges."""
