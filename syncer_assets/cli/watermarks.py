"""`syncer watermarks`: the marks of each partition, as manifests and the warehouse's ledger have them."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .command import Commands, Outcome, subcommand
from .marks import TableMarks, marks_of_tables
from .screen import Column, Screen, mark

if TYPE_CHECKING:
    from .list_status import ListMarks

COLUMNS = (
    Column("table"),
    Column("partition", breaks=True),
    Column("safe", breaks=True),
    Column("high", breaks=True),
    Column("proof", optional=True),
    Column("lake", "right"),
    Column("loaded", "right"),
)

LIST_COLUMNS = (
    Column("list"),
    Column("partition", breaks=True),
    Column("read"),
    Column("closed"),
    Column("manifest", "right"),
    Column("records", "right"),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "watermarks",
        "show the marks of each partition",
        "Show how far each partition was read (high), how far it is proven final (safe), by which proof, and the\n"
        "numbers of the last manifest in the lake and in the warehouse; of files which are loaded, and how far the\n"
        "core tables are; of an API's lists which partitions were read, and which are closed. Asks no source.",
        "examples:\n  syncer watermarks\n  syncer watermarks --select orders --json",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Show the marks."""
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from .file_marks import show_file_marks
    from .keyed_status import show_updates
    from .list_status import lists_of
    from .work import selected

    deployment, works = selected(arguments)
    tables = marks_of_tables(deployment, [work for work in works if isinstance(work, SyncedTable)], screen)
    lists = lists_of([work for work in works if isinstance(work, ApiList)])
    entities = [work for work in works if isinstance(work, FileTable)]
    for error in dict.fromkeys(each.error for each in lists if each.error):
        screen.problem(error)
    if tables:
        screen.table(COLUMNS, [row for marks in tables for row in _rows(marks)])
    if lists:
        screen.table(LIST_COLUMNS, [row for each in lists for row in _list_rows(each)])
    updates = show_updates(deployment, [work for work in works if isinstance(work, KeyedUpdateAsset)], screen)
    files = show_file_marks(deployment, entities, screen)
    ok = all(each.error is None for each in (*tables, *lists))
    return Outcome(
        ok and not any("error" in each for each in (*updates, *files)),
        {
            "watermarks": [part for marks in tables for part in _partitions(marks)],
            "lists": [part for each in lists for part in each.to_json()],
            "updates": updates,
            "files": files,
        },
    )


def _rows(marks: TableMarks) -> Iterator[list[object]]:
    for each in marks.partitions:
        yield [
            *(marks.title, each.partition, mark(each.safe), mark(each.high)),
            *(each.proof, each.seq, each.loaded_seq),
        ]
    if not marks.partitions:
        yield [marks.title, "never synced", *[None] * 5]


def _partitions(marks: TableMarks) -> Iterator[dict[str, object]]:
    for each in marks.partitions:
        yield {
            "table": marks.title,
            "partition": each.partition,
            "low": each.low,
            "safe": each.safe,
            "high": each.high,
            "proof": each.proof,
            "closed": each.closed,
            "seq": each.seq,
            "loaded_seq": each.loaded_seq,
        }


def _list_rows(marks: "ListMarks") -> Iterator[list[object]]:
    for each in marks.partitions:
        yield [marks.title, each.partition, each.captured_at, each.closed, each.seq, each.rows]
    if not marks.partitions:
        yield [marks.title, "unknown" if marks.error else "never read", *[None] * 4]
