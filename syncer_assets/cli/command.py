"""What the commands share: options, outcomes, and the deployment that they work on."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..model.errors import ConfigError, SyncError
from ..resources.lake import is_there
from . import completers

if TYPE_CHECKING:
    from ..assets.table import SyncedTable
    from ..components.deployment import Deployment
    from ..sync.lake import Lake

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130

Commands = argparse._SubParsersAction  # the type that add_subparsers returns has no public name


class Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written, and options in one column."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32)


class UsageError(ConfigError):
    """The command line asks for something that is not there."""

    kind = "usage"


class Interrupted(KeyboardInterrupt):
    """A command was interrupted after it had done something: `body` goes into the JSON object."""

    def __init__(self, body: Mapping[str, object]) -> None:
        super().__init__()
        self.body = body


class Parser(argparse.ArgumentParser):
    """Wrong usage is an error as any other: one line on stderr, and JSON where that was asked for."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(" ".join(message.split()).replace(" :", ":"), fix=f"`{self.prog} --help` shows what it takes")


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `body` goes into the JSON object beside `ok`; `silent` says that it was written already."""

    ok: bool
    body: Mapping[str, object] = field(default_factory=dict)
    code: int | None = None
    silent: bool = False

    @classmethod
    def of_error(cls, error: SyncError, code: int | None = None) -> "Outcome":
        body = {"kind": error.kind, "message": error.message, "table": error.table, "fix": error.fix}
        return cls(False, {"error": {name: value for name, value in body.items() if value}}, code)


def subcommand(
    commands: Commands, name: str, help: str, description: str, epilog: str, takes: str = ""
) -> argparse.ArgumentParser:
    """A command with the options that every command takes; `epilog` has the examples, `takes` the plain arguments."""
    parser = commands.add_parser(
        name,
        prog=f"syncer {name}",
        usage=" ".join(word for word in ("syncer", name, takes, "[options]") if word),
        help=help,
        description=description,
        epilog=epilog,
        formatter_class=Help,
    )
    shared = parser.add_argument_group("options of every command")
    shared.add_argument("--defs", type=Path, metavar="DIR", help="folder of definitions (default: $SYNCER_DEFS)")
    select = shared.add_argument(
        "--select",
        nargs="+",
        action="extend",
        default=[],
        metavar="TABLE",
        help="only these: orders, public.orders, 'sales.*'",
    )
    completers.completed_by(select, completers.tables)
    shared.add_argument("--json", action="store_true", help="end with one JSON object, alone on stdout")
    shared.add_argument("-v", "--verbose", action="store_true", help="show the log, and tracebacks")
    return parser


def positive(text: str) -> int:
    """A number of 1 or more, for argparse."""
    if not re.fullmatch(r"[0-9_]+", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more")
    return int(text)


def deployment_of(arguments: argparse.Namespace) -> "tuple[Deployment, tuple[SyncedTable, ...]]":
    """The deployment, and the tables that are selected. Raises ConfigError, or UsageError for an unknown table."""
    from ..components.deployment import load_deployment

    deployment = load_deployment(arguments.defs)
    if not deployment.tables:
        fix = "write a TableSync; `syncer discover SOURCE --write` proposes one"
        raise ConfigError(f"the definitions in {deployment.folder} declare no tables", fix=fix)
    try:
        return deployment, deployment.select(arguments.select)
    except ConfigError as error:
        raise UsageError(error.message, fix=error.fix) from None


def existing_lake(deployment: "Deployment") -> "Lake | None":
    """The lake, or None where it is a folder that is not there yet: looking must not make it."""
    return deployment.lake.open() if is_there(deployment.lake.url) else None


def table_title(table: "SyncedTable") -> str:
    """A table as people know it: its source, and its name there without `public`."""
    return f"{table.spec.source}.{table.spec.table.removeprefix('public.')}"
