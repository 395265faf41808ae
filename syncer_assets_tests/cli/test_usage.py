"""What a new user meets first: help, wrong usage, completion, colours and exit codes."""

import argparse
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from syncer_assets.cli import command, main, status
from syncer_assets.cli.main import EPILOG, parser
from syncer_assets.cli.screen import Screen
from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.components.deployments import CONNECTIONS, write_defs

COMMANDS = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction)).choices
TABLES = "- {table: public.orders, cursor: id}\n- {table: sales.customers, cursor: id}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example_that_it_understands(name: str) -> None:
    examples = [line.strip() for line in (COMMANDS[name].epilog or "").splitlines() if f"syncer {name}" in line]
    assert examples
    for example in examples:
        given = re.sub(r'^eval "\$\(|\)"|\s+>.*|\s{3,}.*', "", example)
        parser().parse_args(shlex.split(given)[1:])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_of_every_command_begins_as_people_type_it(name: str) -> None:
    assert COMMANDS[name].format_help().startswith(f"usage: syncer {name} ")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["statsu"], "argument COMMAND: invalid choice: 'statsu'"),
        (["run", "--workers", "0"], "'0' is no number of 1 or more"),
        (["discover"], "the following arguments are required: SOURCE"),
        (["status", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_usage_is_one_line_one_object_and_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert main([*arguments, "--json"]) == command.MISUSED
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert why in said.err and "--help` shows what it takes" in said.err
    assert json.loads(said.out)["error"]["kind"] == "usage"


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == command.MISUSED
    assert "syncer demo" in capsys.readouterr().out


def test_the_help_names_every_exit_code() -> None:
    told = {int(code) for code in re.findall(r"^  (\d+)  ", EPILOG.partition("exit codes:")[2], re.MULTILINE)}
    assert told == {command.DONE, command.FAILED, command.MISUSED, command.INTERRUPTED}


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"demo", "completion"}))
def test_every_command_ends_with_json_and_code_1_where_the_definitions_are_missing(call: Call, name: str) -> None:
    """The deployment of `call` has connections and no table; --select names one, and what it needs is not there."""
    plain = {"discover": ["nowhere"], "adopt": ["orders"]}.get(name, [])
    ended = call(name, *plain, "--json")
    assert ended.code == (command.MISUSED if name == "discover" else command.FAILED)
    assert ended.result["ok"] is False and ended.result["error"]["fix"]
    assert len(ended.errors) == 1


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("syncer sta", ["status"]),
        ("syncer status --sel", ["--select"]),
        ("syncer run --select ", ["public.orders", "sales.customers"]),
        ("syncer discover ", ["shop"]),
        ("syncer adopt public", ["public.orders"]),
    ],
)
def test_bash_completes_commands_options_sources_and_tables(tmp_path: Path, line: str, completed: list[str]) -> None:
    program = tmp_path / "syncer"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m syncer_assets.cli "$@"\n')
    program.chmod(0o755)
    defs = write_defs(tmp_path / "defs", TABLES, connections=CONNECTIONS)
    script = (
        'eval "$(syncer completion bash)"\n'
        f'COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_TYPE=9 COMP_WORDBREAKS=" =:"\n'
        '_python_argcomplete syncer 2>&1; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    checkout = str(Path(__file__).parents[2])
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": checkout, "SYNCER_DEFS": str(defs)}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=200)
    assert [found.strip() for found in done.stdout.split("\n") if found.strip() in completed] == completed, done


def test_a_terminal_without_unicode_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(arguments: argparse.Namespace, screen: Screen) -> command.Outcome:
        screen.line("✓ Größe")
        return command.Outcome(True, {"table": "Größe"})

    monkeypatch.setattr(status, "run", look)
    for arguments, said in (
        (["status"], "? Gr??e\n"),
        (["status", "--json"], '{"ok": true, "table": "Gr\\u00f6\\u00dfe"}\n'),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(arguments) == command.DONE
        stream.seek(0)
        assert stream.read() == said


@pytest.mark.parametrize(("terminal", "no_color", "coloured"), [(1, 0, True), (1, 1, False), (0, 0, False)])
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: bool, no_color: bool, coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1") if no_color else monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        Screen().problem("it broke")
        stream.flush()
        said = os.read(ours, 1000).decode()
    os.close(ours)
    assert "error: it broke" in said
    assert ("\x1b[31m" in said) is coloured
