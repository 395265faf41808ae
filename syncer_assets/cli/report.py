"""`syncer report`: what syncing brought and cost, over time and against a baseline."""

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

from .command import Commands, Outcome, UsageError, deployment_of, existing_lake, subcommand
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
        "COPYs, seconds, memory, WAL, lag; in sum, by partition and by day. Reads the lake's manifests and the\n"
        "warehouse's ledger, asks no source. Writes Markdown.",
        EPILOG,
    )
    parser.add_argument("--since", type=since, metavar="TIME", help="only from then on: 7d, 12h, 2024-01-31")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="compare with the --json of an earlier report")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Report on the selected tables. A warehouse that does not answer fails the command, after the rest."""
    from ..sync.report import markdown, page, read_baseline, report

    deployment, tables = deployment_of(arguments)
    baseline = read_baseline(arguments.baseline) if arguments.baseline else None
    found = report(
        existing_lake(deployment),
        [(table.spec, table.target) for table in tables],
        lambda name: deployment.warehouse(name).open(),
        since=arguments.since,
        baseline=baseline,
    )
    if arguments.html:
        _write(arguments.html, page(found))
    screen.text(markdown(found))
    errors = {table.error for table in found.tables if table.error}
    for error in sorted(errors):
        screen.problem(error)
    return Outcome(not errors, found.to_json())


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
