"""A shell for the commands of the documentation: bash for all that is bash's, and `syncer` in this process.

A process a command would cost two seconds each. Variables that a line exports, and `cd`, hold for the lines after it.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncer_assets.cli import main
from syncer_assets.cli.command import FAILED
from syncer_assets.cli.screen import Screen
from syncer_assets_tests.docs.pages import CHECKOUT

_HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")
_NEEDS_BASH = re.compile(r"[|&;<>$`]")
_EXPECTED = re.compile(r"#.*\bexit code (\d+)")
END_OF_ENVIRONMENT = "== end of the environment =="


class Shell:
    """Where it is, and what it has in its environment."""

    def __init__(self, folder: Path, env: dict[str, str]):
        program = folder / "bin" / "syncer"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m syncer_assets.cli "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.folder = folder
        self.env = {**os.environ, **env, "PATH": path, "PYTHONPATH": str(CHECKOUT), "COLUMNS": "120"}
        self.env.pop("DAGSTER_HOME", None)

    def run(self, statement: str, patch: pytest.MonkeyPatch) -> None:
        """One statement, which has to end with code 0, or with the one that its comment tells."""
        words = shlex.split(statement, comments=True) if not _HEREDOC.search(statement) else []
        expected = _EXPECTED.search(statement)
        if words[:1] == ["syncer"] and not _NEEDS_BASH.search(_without_comment(statement)):
            code = self._in_process(words[1:], patch)
        else:
            code = self._in_bash(statement)
        assert code == (int(expected[1]) if expected else 0), f"{statement!r} ended with {code}"

    def problems_of(self, arguments: list[str], patch: pytest.MonkeyPatch) -> list[str]:
        """The errors of a command that has to fail."""
        said: list[str] = []
        patch.setattr(Screen, "problem", lambda self, text: said.append(text))
        assert self._in_process(arguments, patch) == FAILED
        return said

    @contextmanager
    def environment(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """This process, where the shell is and with its variables."""
        with patch.context() as ours:
            for name in os.environ.keys() - self.env.keys():
                ours.delenv(name)
            for name, value in self.env.items():
                ours.setenv(name, value)
            ours.chdir(self.folder)
            yield

    def _in_process(self, arguments: list[str], patch: pytest.MonkeyPatch) -> int:
        with self.environment(patch):
            return main(arguments)

    def _in_bash(self, statement: str) -> int:
        script = f"set -eu -o pipefail\n{statement}\necho '{END_OF_ENVIRONMENT}'\npwd\nenv -0"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=100
        )
        said, _, state = done.stdout.partition(f"{END_OF_ENVIRONMENT}\n")
        print(said, done.stderr)
        if done.returncode == 0:
            folder, _, environment = state.partition("\n")
            self.folder = Path(folder)
            self.env = dict(entry.split("=", 1) for entry in environment.split("\0") if "=" in entry)
        return done.returncode


def statements(text: str) -> Iterator[str]:
    """The commands of a block, one after the other: a line with its heredoc and continuations."""
    lines = iter(text.splitlines())
    for line in lines:
        statement = [line]
        while statement[-1].endswith("\\"):
            statement.append(next(lines))
        if found := _HEREDOC.search(line):
            statement += iter(lines.__next__, found[1])
            statement.append(found[1])
        whole = "\n".join(statement)
        if _without_comment(whole).strip():
            yield whole


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*", "", line)
