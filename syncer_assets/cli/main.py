"""Reads the command line, runs a command, and turns its outcome into output and an exit code."""

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .. import __version__
from ..model.errors import SyncError
from . import adopt, demo, discover, doctor, plan, reconcile, report, run, status, watermarks
from .command import DONE, FAILED, INTERRUPTED, MISUSED, Help, Outcome, UsageError
from .redact import redact
from .screen import Screen

COMMANDS = (demo, run, discover, plan, status, watermarks, report, doctor, reconcile, adopt)

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EPILOG = """\
Every command takes --defs DIR (else $SYNCER_DEFS, else the shipped demo shop), --select TABLE.. and --json.
Connection strings are only ever in environment variables; the definitions name them.
Exit code: 0 all went well, 1 something failed, 2 wrong usage.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `syncer` with these arguments; the exit code."""
    arguments = parser().parse_args(argv)
    screen = Screen(as_json=arguments.json)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what Dagster warns of is for those who write code with it
    try:
        with interruptible():
            outcome = arguments.run(arguments, screen)
    except UsageError as error:
        screen.problem(str(error))
        outcome = Outcome.of_error(error, code=MISUSED)
    except SyncError as error:
        screen.problem(str(error))
        outcome = Outcome.of_error(error)
    except KeyboardInterrupt:
        screen.problem("interrupted; what was committed stays, the next run goes on from there")
        outcome = Outcome(False, {"error": {"kind": "interrupted"}}, code=INTERRUPTED)
    except Exception as error:  # the last resort: a person gets one line, not a traceback
        if arguments.verbose:
            raise
        text = redact(f"{type(error).__name__}: {error}".splitlines()[0])
        screen.problem(f"unexpected {text}. Fix: run it again with --verbose and report the traceback")
        outcome = Outcome(False, {"error": {"kind": "unexpected", "message": text}})
    if not outcome.silent:
        screen.finish({"ok": outcome.ok, **outcome.body})
    if outcome.code == INTERRUPTED and threading.active_count() > 1:
        os._exit(INTERRUPTED)  # a step may still be at work; it is safe to kill it at any point
    return outcome.code if outcome.code is not None else (DONE if outcome.ok else FAILED)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, a lost terminal and `kill` all end a command in order: as KeyboardInterrupt, so that servers stop."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="syncer",
        description="Keep a lake and a warehouse in step with operational databases, and prove it.",
        epilog=EPILOG,
        formatter_class=Help,
        usage="syncer COMMAND [options]",
    )
    root.add_argument("--version", action="version", version=f"syncer_assets {__version__}")
    commands = root.add_subparsers(title="commands", metavar=f"{'COMMAND':12}", required=True)
    for command in COMMANDS:
        command.add(commands)
    return root
