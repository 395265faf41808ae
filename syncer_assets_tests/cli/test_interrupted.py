"""Ctrl-C and its like: what was done is told, and a second signal does not lose it."""

import argparse
import importlib
import json
import signal
from collections.abc import Iterator

import pytest

from syncer_assets.cli import main, pool, status
from syncer_assets.cli.main import ENDING, interruptible
from syncer_assets.cli.outcomes import Problem, TableOutcome
from syncer_assets.cli.screen import Screen
from syncer_assets_tests.cli.conftest import Call
from syncer_assets_tests.cli.syncer import Syncer

COMMAND = importlib.import_module("syncer_assets.cli.main")  # the package has the function by that name
SAID = "error: interrupted; what was committed stays, the next run goes on from there"


@pytest.mark.parametrize("number", ENDING)
def test_the_echo_of_a_signal_is_not_another_one(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    monkeypatch.setattr(COMMAND, "ECHO_SECONDS", 600.0)
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)


def test_a_later_signal_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COMMAND, "ECHO_SECONDS", -1.0)
    with interruptible():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    assert main(["--json", "nonsense"]) == 2
    assert [signal.getsignal(number) for number in ENDING] == before


def test_a_signal_while_the_end_is_told_does_not_cut_it_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(COMMAND, "ECHO_SECONDS", -1.0)
    tell = Screen.problem

    def interrupted(arguments: argparse.Namespace, screen: Screen) -> None:
        signal.raise_signal(signal.SIGINT)

    def tell_and_be_interrupted(self: Screen, text: str) -> None:
        signal.raise_signal(signal.SIGINT)
        tell(self, text)

    monkeypatch.setattr(status, "run", interrupted)
    monkeypatch.setattr(Screen, "problem", tell_and_be_interrupted)
    monkeypatch.setattr(COMMAND.threading, "active_count", lambda: 1)  # other tests' threads would end this process
    assert main(["status", "--json"]) == 130
    said = capsys.readouterr()
    assert said.err == f"{SAID}\n"
    assert json.loads(said.out) == {"ok": False, "error": {"kind": "interrupted"}}


def test_an_interrupted_run_tells_what_it_had_done(syncer: Syncer, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync_one(*_: object) -> Iterator[TableOutcome]:
        yield TableOutcome("shop.orders", problems=[Problem("shop.orders", None, "it broke")])
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "sync_all", sync_one)
    monkeypatch.setattr(COMMAND.threading, "active_count", lambda: 1)
    syncer.declare("{table: public.orders, cursor: id}\n{table: public.items, cursor: id}")
    ended = call("run", "--json")
    assert ended.code == 130
    assert ended.errors == ["error: shop.orders: it broke", SAID]
    assert ended.result["error"] == {"kind": "interrupted"}
    assert [problem["message"] for problem in ended.result["problems"]] == ["it broke"]
