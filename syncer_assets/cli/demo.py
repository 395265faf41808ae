"""stub"""

import argparse

from .command import Commands, Outcome, subcommand
from .screen import Screen


def add(commands: Commands) -> None:
    parser = subcommand(commands, "demo", "x", "y")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    return Outcome(True)
