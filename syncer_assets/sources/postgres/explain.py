"""What PostgreSQL's plan says of a query: how many rows, and whether an index serves it."""

from collections.abc import Iterator, Sequence

from ..base import QueryPlan


def parse(plans: Sequence[dict]) -> QueryPlan:
    """The form of `EXPLAIN (FORMAT JSON)`: a list of one plan, nodes nested below `Plans`."""
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
