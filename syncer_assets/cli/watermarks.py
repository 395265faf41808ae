"""`syncer watermarks`: the marks of each partition, as the lake's manifests and the warehouse's ledger have them."""

import argparse

from .command import Commands, Outcome, subcommand
from .marks import marks_of
from .screen import Column, Screen, mark

COLUMNS = (
    Column("table"),
    Column("partition", breaks=True),
    Column("safe", breaks=True),
    Column("high", breaks=True),
    Column("proof", optional=True),
    Column("lake", "right"),
    Column("loaded", "right"),
)


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "watermarks",
        "show the marks of each partition",
        "Show how far each partition was read (high), how far it is proven final (safe), by which proof, and the\n"
        "numbers of the last manifest in the lake and in the warehouse. Asks no source.",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Show the marks."""
    rows: list[list[object]] = []
    body: list[dict[str, object]] = []
    tables = marks_of(arguments, screen)
    for marks in tables:
        for each in marks.partitions:
            row = [mark(each.safe), mark(each.high), each.proof, each.seq, each.loaded_seq]
            rows.append([marks.title, each.partition, *row])
            body.append(
                {
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
            )
        if not marks.partitions:
            rows.append([marks.title, "never synced", *[None] * 5])
    screen.table(COLUMNS, rows)
    return Outcome(all(marks.error is None for marks in tables), {"watermarks": body})
