"""`syncer status`: how each table is: rows, lag, what waits to be loaded, its shape, and which checks are red."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..model.partition import UNPARTITIONED
from .command import Commands, Outcome, subcommand
from .marks import TableMarks, marks_of_tables
from .screen import Column, Screen, mark, seconds

if TYPE_CHECKING:
    from ..sync.status import PartitionStatus
    from .list_status import ListMarks

COLUMNS = (
    Column("table"),
    Column("partition", breaks=True),
    Column("rows", "right"),
    Column("safe", breaks=True),
    Column("lag", "right", optional=True),
    Column("to load", "right"),
    Column("loaded", "right", optional=True),
    Column("rows/min", "right", optional=True),
    Column("dead rows", "right", optional=True),
    Column("bloat", "right", optional=True),
    Column("proof", optional=True),
    Column("checks", breaks=True),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "status",
        "show how each table is",
        "Show for each table the rows in the warehouse, how far it is complete (safe), the lag, what waits to be\n"
        "loaded, the last load, dead rows and bloat (estimated), and the red checks, where DAGSTER_HOME is set.\n"
        "Asks no source. On a narrow terminal some columns are left out; --json has all.",
        "examples:\n  syncer status\n  syncer status --select orders --partitions\n  syncer status --json",
    )
    parser.add_argument("--partitions", action="store_true", help="a line for every partition")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Show the state of the selected tables. Looking is no failure, whatever is seen."""
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from .file_status import show_files
    from .keyed_status import show_updates
    from .list_status import lists_of
    from .red_checks import red_checks
    from .work import selected

    deployment, works = selected(arguments)
    tables = marks_of_tables(deployment, [work for work in works if isinstance(work, SyncedTable)], screen)
    lists = lists_of([work for work in works if isinstance(work, ApiList)])
    for error in dict.fromkeys(each.error for each in lists if each.error):
        screen.problem(error)
    reds = red_checks([marks.table for marks in tables])
    pairs = list(zip(tables, reds, strict=True))
    rows = [row for each in lists for row in _list_rows(each, each_part=arguments.partitions)]
    rows += [row for marks, red in pairs for row in _rows(marks, red, each=arguments.partitions)]
    if rows:
        screen.table(COLUMNS, rows)
    entities = [work for work in works if isinstance(work, FileTable)]
    updates = show_updates(deployment, [work for work in works if isinstance(work, KeyedUpdateAsset)], screen)
    files = show_files(deployment, entities, screen, each=arguments.partitions)
    body: dict[str, object] = {
        "tables": [_table(marks, red) for marks, red in pairs],
        "partitions": [part for marks, red in pairs for part in _partitions(marks, red)],
        "lists": [part for each in lists for part in each.to_json()],
        "updates": updates,
        "files": files,
    }
    ok = all(marks.error is None for marks in (*tables, *lists))
    return Outcome(ok and not any("error" in each for each in (*updates, *files)), body)


def _table(marks: TableMarks, red: dict[str, list[str]]) -> dict[str, object]:
    """A table as JSON. `rows` counts by the ledger, `rows_estimate` is the warehouse's."""
    status, last = marks.status, marks.status.last_load
    return {
        "table": marks.title,
        "target": f"{status.target.warehouse}.{status.target.name}",
        "rows": status.rows,
        "rows_estimate": status.activity.rows,
        "bytes": status.activity.bytes,
        "dead_rows": status.activity.dead_rows,
        "wasted_bytes": status.activity.wasted_bytes,
        "bloat_percent": status.bloat_percent,
        "lag_seconds": status.lag_seconds,
        "pending_manifests": status.pending_manifests,
        "proofs": status.proofs,
        "last_loaded_at": last.last_loaded_at if last else None,
        "last_load_rows": last.last_rows if last else None,
        "last_load_seconds": last.last_seconds if last else None,
        "rows_per_minute": status.rows_per_minute,
        "red_checks": red,
        "never_synced": not marks.partitions and marks.error is None,
        "error": marks.error,
    }


def _partitions(marks: TableMarks, red: dict[str, list[str]]) -> Iterator[dict[str, object]]:
    for each in marks.partitions:
        yield {**asdict(each), "table": marks.title, "red_checks": red.get(each.partition, [])}
    if not marks.partitions:
        yield {"table": marks.title, "partition": None, "never_synced": True}


def _rows(marks: TableMarks, red: dict[str, list[str]], *, each: bool) -> Iterator[list[object]]:
    """One row a table; where it has several partitions, a further one for those that have a red check, or for each."""
    if not marks.partitions:
        never = "unknown" if marks.error else "never synced"
        yield [marks.title, never, *[None] * (len(COLUMNS) - 3), _checks(red)]
        return
    yield _sum(marks, red)
    if len(marks.partitions) > 1:
        for part in marks.partitions:
            if each or part.partition in red:
                yield _row(part, red.get(part.partition, ()))


def _sum(marks: TableMarks, red: dict[str, list[str]]) -> list[object]:
    status, parts = marks.status, marks.partitions
    last, bloat = status.last_load, status.bloat_percent
    return [
        marks.title,
        parts[0].partition if len(parts) == 1 else f"{len(parts)} partitions",
        status.rows,
        mark(parts[-1].safe),
        seconds(status.lag_seconds),
        status.pending_manifests,
        _ago(last.last_loaded_at if last else None),
        None if status.rows_per_minute is None else round(status.rows_per_minute),
        status.activity.dead_rows,
        None if bloat is None else f"{bloat:.0f} %",
        ", ".join(status.proofs),
        _checks(red),
    ]


def _row(part: "PartitionStatus", red: Sequence[str]) -> list[object]:
    rate = 60 * part.last_rows / part.last_seconds if part.last_rows is not None and part.last_seconds else None
    return [
        "",
        part.partition,
        part.rows,
        mark(part.safe),
        seconds(part.lag_seconds),
        part.pending_manifests,
        _ago(part.last_loaded_at),
        None if rate is None else round(rate),
        None,
        None,
        part.proof,
        f"✗ {', '.join(red)}" if red else "",
    ]


def _list_rows(marks: "ListMarks", *, each_part: bool) -> Iterator[list[object]]:
    """A list of an API: nothing of it waits to be loaded here, and nothing has marks."""
    parts, empty = marks.partitions, [None] * 4
    if not parts:
        never = "unknown" if marks.error else "never read"
        yield [marks.title, never, *[None] * (len(COLUMNS) - 3), _checks(marks.red)]
        return
    shown = (
        f"{len(parts)} partitions, {sum(part.closed for part in parts)} closed"
        if len(parts) > 1
        else parts[0].partition
    )
    last = max(part.captured_at for part in parts)
    yield [marks.title, shown, marks.rows, None, None, None, _ago(last), *empty, _checks(marks.red)]
    for part in parts if len(parts) > 1 else ():
        red = marks.red.get(part.partition, [])
        if each_part or red:
            checks = f"✗ {', '.join(red)}" if red else ""
            yield ["", part.partition, part.rows, None, None, None, _ago(part.captured_at), *empty, checks]


def _checks(red: dict[str, list[str]]) -> str:
    """Those of the whole table by name, and how many partitions have others."""
    partitions = len(red.keys() - {UNPARTITIONED})
    named = [*red.get(UNPARTITIONED, []), *([f"{partitions} partitions"] if partitions else [])]
    return f"✗ {', '.join(named)}" if named else ""


def _ago(moment: datetime | None) -> str:
    return f"{seconds((datetime.now(UTC) - moment).total_seconds())} ago" if moment else ""
