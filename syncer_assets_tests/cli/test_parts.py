"""Small parts of the command that are worth a test of their own."""

import io
import json

import pytest
from rich.console import Console

from syncer_assets.cli.outcomes import AssetOutcome, CheckOutcome, Problem, RunOutcome, TableOutcome
from syncer_assets.cli.redact import redact
from syncer_assets.cli.screen import Column, Screen, mark, seconds


@pytest.mark.parametrize(
    "variable, value, secret",
    [
        ("SHOP_DSN", "postgresql://u:p%40ss-word@h/d", "p@ss-word"),
        ("SHOP_DSN", "host=h user=u password=p4ssword", "p4ssword"),
        ("ANYTHING", "mysql://u:p4ssword@h/d", "p4ssword"),
        ("AWS_SECRET_ACCESS_KEY", "abcdefgh12345678", "abcdefgh12345678"),
        ("SYNCER_HASH_KEY", "0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_secrets_of_the_environment_never_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, secret: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert secret not in redact(f"could not use {value}, or {secret}")
    assert value not in redact(f"could not use {value}")


def test_a_narrow_terminal_loses_columns_that_are_optional_and_no_digits() -> None:
    columns = (Column("table"), Column("rows", "right"), Column("new", "right", optional=True), Column("checks"))
    text = drawn(columns, [["shop.orders", 123_456_789, 987_654_321, "✓ 6/6"]], width=36)
    assert "new" not in text
    assert "123,456,789" in text
    assert "987,654,321" in drawn(columns, [["shop.orders", 123_456_789, 987_654_321, "✓ 6/6"]], width=80)


def test_marks_and_durations_are_short() -> None:
    assert mark("2024-02-01T00:00:00.000000Z") == "2024-02-01"
    assert mark("2024-02-01T10:00:00.123456Z, 17") == "2024-02-01 10:00:00, 17"
    assert mark("000017") == "000017"
    assert [seconds(value) for value in (0.5, 90, 7200, 200_000)] == ["0.5 s", "90.0 s", "2 h", "2 d"]


def test_only_a_blocking_failure_fails_a_run() -> None:
    warned = CheckOutcome("cursor_protected", passed=False, severity="WARN", description="blocks")
    asset = AssetOutcome("lake/shop/orders", None, {"rows": 5, "mode": "append"}, (warned,))
    fine = TableOutcome("shop.orders", 1, [asset])
    assert RunOutcome([fine], 1.0).ok
    bad = TableOutcome("shop.items", problems=[Problem("shop.items", "2024-01-01", "it broke. Fix: mend it")])
    run = RunOutcome([fine, bad], 1.0)
    assert not run.ok
    body = json.loads(json.dumps(run.to_json()))
    assert body["assets"][0] == {
        "key": "lake/shop/orders",
        "partition": None,
        "rows": 5,
        "files": 0,
        "queries": 0,
        "seconds": 0,
        "checks": [{"name": "cursor_protected", "passed": False, "severity": "WARN", "description": "blocks"}],
        "mode": "append",
    }
    assert body["problems"][0]["message"] == "it broke. Fix: mend it"


def test_with_json_stdout_has_one_line_only(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    screen.line("for people")
    screen.table((Column("a"),), [["b"]])
    screen.problem("an error\nof two lines")
    screen.finish({"ok": False})
    said = capsys.readouterr()
    assert said.out == '{"ok": false}\n'
    assert "for people" in said.err
    assert "error: an error of two lines\n" in said.err


def drawn(columns: tuple[Column, ...], rows: list[list[object]], width: int) -> str:
    screen, file = Screen(), io.StringIO()
    screen.__dict__["console"] = Console(file=file, width=width)
    screen.table(columns, rows)
    return file.getvalue()
