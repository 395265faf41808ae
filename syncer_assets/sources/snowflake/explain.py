"""What Snowflake's plan says of a query: the share of micro-partitions that it has to read."""

import json

from ..base import QueryPlan


def parse(text: str, rows: int) -> QueryPlan:
    """The form of `EXPLAIN USING JSON`. The service estimates no rows: the table's are taken by the share of its
    micro-partitions that are left, which is an upper bound."""
    try:
        stats = json.loads(text).get("GlobalStats", {})
    except (json.JSONDecodeError, AttributeError):
        return QueryPlan(rows=rows, index=None)
    total, assigned = int(stats.get("partitionsTotal", 0)), int(stats.get("partitionsAssigned", 0))
    if not total or assigned >= total:
        return QueryPlan(rows=rows, index=None)
    return QueryPlan(rows=round(rows * assigned / total), index=f"pruning to {assigned} of {total} micro-partitions")
