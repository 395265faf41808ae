"""A double of Snowflake: fakesnow (DuckDB behind Snowflake's wire protocol), and what fakesnow lacks.

Proved by it: statements run, values are bound, rows are counted, a transaction is all or nothing, one at a time.
Not proved: the real parser and its coercions, its reading of Parquet, locks of a table, the optimiser, cost.
"""

from .server import SnowflakeDouble

__all__ = ["SnowflakeDouble"]
