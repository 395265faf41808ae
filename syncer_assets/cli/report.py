"""`syncer report`: what syncing brought and cost, over time and against a baseline."""

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

from .command import Commands, Outcome, UsageError, existing_lake, subcommand
from .screen import Screen

EPILOG = """\
examples:
  syncer report > report.md
  syncer report --json > before.json          before a change
  syncer report --baseline before.json        after it: only what was done since, against what was done before
  syncer report --since 7d --html report.html
"""


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "report",
        "tell performance now, against before",
        "Tell for each table what was read and loaded, how fast, and what it took: rows, bytes, files, queries,\n"
        "COPYs, seconds, memory, WAL, lag; in sum, by partition and by day; of files, of an API's lists and of keyed\n"
        "updates likewise.\n"
        "Reads manifests and the warehouse's ledger, asks no source. Writes Markdown.",
        EPILOG,
    )
    parser.add_argument("--since", type=since, metavar="TIME", help="only from then on: 7d, 12h, 2024-01-31")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="compare with the --json of an earlier report")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Report on what is selected. What does not answer fails the command, after the rest."""
    from ..assets.api import ApiList
    from ..assets.file_table import FileTable
    from ..assets.keyed_update import KeyedUpdateAsset
    from ..assets.table import SyncedTable
    from ..sync.report import ListFiles, markdown, page, read_baseline, report, with_files, with_updates
    from .work import selected, title_of

    deployment, works = selected(arguments)
    baseline = read_baseline(arguments.baseline) if arguments.baseline else None
    tables = [work for work in works if isinstance(work, SyncedTable)]
    lists = [work for work in works if isinstance(work, ApiList)]
    found = report(
        existing_lake(deployment) if tables else None,
        [(table.spec, table.target) for table in tables],
        lambda name: deployment.warehouse(name).open(),
        since=arguments.since,
        baseline=baseline,
    )
    found = with_files(
        found,
        [work.spec for work in works if isinstance(work, FileTable)],
        lambda name: deployment.warehouse(name).open_files(),
        [ListFiles(title_of(each), each.api.name, each.endpoint, each.existing_files) for each in lists],
        baseline=baseline,
    )
    updates = [work.spec for work in works if isinstance(work, KeyedUpdateAsset)]
    found = with_updates(found, updates, lambda name: deployment.warehouse(name).open())
    if arguments.html:
        _write(arguments.html, page(found))
    screen.text(markdown(found))
    for error in found.errors:
        screen.problem(error)
    return Outcome(not found.errors, found.to_json())


def since(text: str) -> datetime:
    """`7d`, or a day or time (UTC unless it names a zone), for argparse."""
    from ..components.fields import parse_duration

    try:
        if re.match(r"\d{4}-", text):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 7d, 12h or 2024-01-31") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})", fix="name another file") from None
