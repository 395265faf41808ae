"""What queries cost, by Snowflake's own history: seconds they ran and queued, bytes scanned and spilled, cache hits.

The history of a database's INFORMATION_SCHEMA has the last seven days of what the role may see.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...drivers import snowflake

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

QUERIES_ASKED_MOST = 1_000

EFFORT_SQL = """
SELECT COUNT(*), COALESCE(SUM(EXECUTION_TIME), 0) / 1000, COALESCE(SUM(QUEUED_OVERLOAD_TIME), 0) / 1000,
       COALESCE(SUM(BYTES_SCANNED), 0), COALESCE(SUM(BYTES_SPILLED_TO_LOCAL_STORAGE), 0),
       SUM(IFF(WAREHOUSE_SIZE IS NULL AND EXECUTION_STATUS = 'SUCCESS', 1, 0))
  FROM TABLE(INFORMATION_SCHEMA.QUERY_HISTORY(RESULT_LIMIT => 10000))
 WHERE QUERY_ID IN ({places})
"""
"""A query that was answered from the result cache ran on no warehouse, and so has no warehouse's size."""

NAMES = ("queries_in_history", "run_seconds", "queued_seconds", "bytes_scanned", "bytes_spilled", "result_cache_hits")


def effort(connection: "SnowflakeConnection", queries: Sequence[str]) -> dict[str, float | int]:
    """The sums over these queries (their ids); empty where none of them is in the history."""
    total = [0.0] * len(NAMES)
    for start in range(0, len(queries), QUERIES_ASKED_MOST):
        part = list(queries[start : start + QUERIES_ASKED_MOST])
        statement = EFFORT_SQL.format(places=", ".join("?" for _ in part))
        row = snowflake.rows(connection, statement, part)[0]
        total = [known + float(value or 0) for known, value in zip(total, row, strict=True)]
    if not total[0]:
        return {}
    return {
        name: round(value, 3) if name.endswith("seconds") else int(value)
        for name, value in zip(NAMES, total, strict=True)
    }
