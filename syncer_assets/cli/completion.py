"""`syncer completion`: the script by which a shell completes commands, options, sources and tables."""

import argparse
import os

from .command import Commands, Outcome, subcommand
from .screen import Screen

SHELLS = ("bash", "zsh", "fish", "powershell")
ASKED = "_ARGCOMPLETE"


def add(commands: Commands) -> None:
    parser = subcommand(
        commands,
        "completion",
        "print the script that completes `syncer` in your shell",
        "Print the script by which a shell completes commands, options, sources and tables at the Tab key.",
        'examples:\n  eval "$(syncer completion bash)"     in ~/.bashrc; zsh likewise, in ~/.zshrc\n'
        "  syncer completion fish > ~/.config/fish/completions/syncer.fish",
        takes="SHELL",
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, screen: Screen) -> Outcome:
    """Print the script; no file is changed."""
    from argcomplete.shell_integration import shellcode

    script = shellcode(["syncer"], shell=arguments.shell)
    screen.text(script.rstrip() + "\n")
    return Outcome(True, {"shell": arguments.shell, "script": script})


def answer_shell(parser: argparse.ArgumentParser) -> None:
    """Where a shell asks for completions: answer, and end the process."""
    if ASKED in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
