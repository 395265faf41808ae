"""What a server's plan says of a chunk query: how many rows, and whether an index serves it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ..sources.base import Read, Source


@dataclass(frozen=True)
class QueryPlan:
    """The server's estimate of the rows, and the index by which it reads them (None: a sequential scan)."""

    rows: int
    index: str | None

    @property
    def access(self) -> str:
        """How the rows are found, in words."""
        return f"index {self.index}" if self.index else "sequential scan"


def explain(source: Source, read: Read) -> QueryPlan:
    """The plan of `read`. Nothing is read."""
    return _parse(source.explain(read))


def _parse(text: str) -> QueryPlan:
    """The form of `EXPLAIN (FORMAT JSON)` of PostgreSQL: a list of one plan, nodes nested below `Plans`."""
    plans = json.loads(text)
    nodes = list(_nodes(plans[0]["Plan"])) if plans else []
    if not nodes:
        return QueryPlan(rows=0, index=None)
    scans = [node for node in nodes if "Index Name" in node]
    whole = any(node["Node Type"] in ("Seq Scan", "Parallel Seq Scan") for node in nodes)
    return QueryPlan(
        rows=int(str(nodes[0]["Plan Rows"])), index=str(scans[0]["Index Name"]) if scans and not whole else None
    )


def _nodes(node: dict[str, object]) -> Iterator[dict[str, object]]:
    yield node
    children = node.get("Plans")
    if isinstance(children, list):
        for child in children:
            yield from _nodes(child)
