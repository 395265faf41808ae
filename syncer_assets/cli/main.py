"""Reads the command line, runs a command, and turns its outcome into output and an exit code."""

import argparse
import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .. import __version__
from ..model.errors import SyncError
from . import adopt, completion, demo, discover, doctor, plan, reconcile, report, run, status, watermarks
from .command import DONE, FAILED, INTERRUPTED, MISUSED, Help, Interrupted, Outcome, Parser, UsageError
from .redact import redact
from .screen import Screen

COMMANDS = (demo, run, discover, plan, status, watermarks, report, doctor, reconcile, adopt, completion)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ECHO_SECONDS = 1.0
"""Signals so soon after one are its echo: `timeout` and terminals send theirs to the process and to its group."""

EPILOG = """\
first steps:
  syncer demo                          a shop of our own, from an embedded PostgreSQL; then the UI
  syncer discover shop --defs DIR      your own database as YAML (docs/quick-start.md)
  syncer doctor --defs DIR             what stands in the way; then plan, run, status

Every command takes --defs DIR (else $SYNCER_DEFS, else the shipped demo shop), --select TABLE.. and --json;
`syncer COMMAND --help` has its examples. Connection strings are only ever in environment variables, which the
definitions name. Colours are for terminals; NO_COLOR switches them off.

exit codes:
  0    all went well
  1    something failed, is red, or differs
  2    wrong usage
  130  interrupted; what was committed stays
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `syncer` with these arguments; the exit code."""
    given = sys.argv[1:] if argv is None else list(argv)
    screen = Screen(as_json="--json" in given)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ticks and umlauts is no reason to fail
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what Dagster warns of is for those who write code with it
    with interruptible():
        return _end(given, screen)


def _end(given: Sequence[str], screen: Screen) -> int:
    """Run the command, tell how it ended, and return its exit code."""
    try:
        outcome = _run(given, screen)
    except UsageError as error:
        screen.problem(str(error))
        outcome = Outcome.of_error(error, code=MISUSED)
    except SyncError as error:
        screen.problem(str(error))
        outcome = Outcome.of_error(error)
    except KeyboardInterrupt as error:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)  # the rest takes no time, and is what a person waits for
        screen.problem("interrupted; what was committed stays, the next run goes on from there")
        done = error.body if isinstance(error, Interrupted) else {}
        outcome = Outcome(False, {"error": {"kind": "interrupted"}, **done}, code=INTERRUPTED)
    except Exception as error:  # the last resort: a person gets one line, not a traceback
        if not {"-v", "--verbose"}.isdisjoint(given):
            raise
        text = redact(f"{type(error).__name__}: {error}".splitlines()[0])
        screen.problem(f"unexpected {text}. Fix: run it again with --verbose and report the traceback")
        outcome = Outcome(False, {"error": {"kind": "unexpected", "message": text}})
    if not outcome.silent:
        screen.finish({"ok": outcome.ok, **outcome.body})
    if outcome.code == INTERRUPTED and threading.active_count() > 1:
        os._exit(INTERRUPTED)  # a step may still be at work; it is safe to kill it at any point
    return outcome.code if outcome.code is not None else (DONE if outcome.ok else FAILED)


def _run(given: Sequence[str], screen: Screen) -> Outcome:
    root = parser()
    completion.answer_shell(root)
    if not given:
        root.print_help()
        return Outcome(False, code=MISUSED)
    arguments = root.parse_args(given)
    return arguments.run(arguments, screen)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, a lost terminal and `kill` all end a command in order: as KeyboardInterrupt, so that servers stop."""
    last = -ECHO_SECONDS

    def end(number: int, frame: object) -> None:
        nonlocal last
        if time.monotonic() - last > ECHO_SECONDS:
            last = time.monotonic()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = Parser(
        prog="syncer",
        description="Keep a lake and a warehouse in step with operational databases, and prove it.",
        epilog=EPILOG,
        formatter_class=Help,
        usage="syncer COMMAND [options]",
    )
    root.add_argument("--version", action="version", version=f"syncer_assets {__version__}")
    # The metavar's width is the width of the column of commands.
    commands = root.add_subparsers(title="commands", metavar=f"{'COMMAND':12}", required=True)
    for command in COMMANDS:
        command.add(commands)
    return root
