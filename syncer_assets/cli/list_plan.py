"""The lists of APIs in `syncer plan`: which partitions would be read, in how many windows and pages. Asks no API."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..model.errors import SyncError
from .screen import Column, Screen, shortened
from .work import title_of

if TYPE_CHECKING:
    from ..assets.api import ApiList
    from ..sync.api.plan import ListPlan

COLUMNS = (
    Column("partition", breaks=True),
    Column("why", breaks=True),
    Column("windows", "right"),
    Column("pages last time", "right"),
    Column("kept of them", "right", optional=True),
)


def show_list_plans(
    lists: "Sequence[ApiList]", partition: str | None, screen: Screen, *, whole: bool
) -> list[dict[str, object]]:
    """Each list's plan; as JSON too, with `error` where its files' store does not answer."""
    from ..sync.api.plan import plan_list

    found: list[dict[str, object]] = []
    for each in lists:
        try:
            planned = plan_list(each.existing_files(), each.api.name, each.endpoint, partition)
        except SyncError as error:
            screen.problem(str(error))
            found.append({"list": title_of(each), "error": str(error)})
            continue
        _show(each, planned, screen, whole=whole)
        found.append({"list": title_of(each), "partitions": [asdict(part) for part in planned]})
    return found


def _show(source: "ApiList", planned: "Sequence[ListPlan]", screen: Screen, *, whole: bool) -> None:
    limits, paging = source.api.limits, source.endpoint.paging
    screen.line(f"{title_of(source)} -> {source.api.files_url}: pages by {paging.by}", style="bold")
    screen.line(f"  at most {limits.requests_per_second:g} requests a second, {limits.concurrency} at a time")
    if not planned:
        screen.line("  every partition is closed: nothing to ask")
    else:
        rows: list[list[object]] = [
            [each.partition, each.reason, each.windows, each.pages, each.pages_kept or None] for each in planned
        ]
        screen.table(COLUMNS, rows if whole else shortened(rows))
        screen.line(f"  first request: {planned[0].first}")
    screen.line()
