"""What MySQL's and MariaDB's plans say of a query: how many rows, and whether an index serves it."""

import json
from collections.abc import Iterator

from ..base import QueryPlan


def parse(text: str) -> QueryPlan:
    """The form of `EXPLAIN FORMAT=JSON`. MySQL says `rows_examined_per_scan`, MariaDB `rows`, of each table read."""
    found = list(_tables(json.loads(text)))
    if not found:
        return QueryPlan(rows=0, index=None)
    read = found[0]
    rows = read.get("rows_examined_per_scan", read.get("rows", 0))
    key = (
        read.get("key")
        if read.get("access_type") in ("range", "ref", "eq_ref", "const", "index", "ref_or_null")
        else None
    )
    return QueryPlan(rows=int(float(str(rows))), index=str(key) if key else None)


def _tables(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, list):
        for each in node:
            yield from _tables(each)
    if isinstance(node, dict):
        if "access_type" in node:
            yield node
        for value in node.values():
            yield from _tables(value)
