"""The audit of the dependencies fails for what is known, and only says so where nothing can be known."""

import pytest

from syncer_assets_tests import audit

FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": "x"}
REPORT = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "bad", "version": "1.0", "vulns": [FOUND]},
        {"name": "ours", "skip_reason": "not found"},
    ]
}


def test_a_known_vulnerability_fails_with_its_fix() -> None:
    verdict = audit.judged(REPORT, {})
    assert not verdict.passed
    assert verdict.lines[0] == "bad 1.0: PYSEC-1 (fixed in 2.0): raise it, or give a reason in IGNORED"
    assert verdict.lines[-1] == "2 dependencies audited, 1 vulnerabilities to see to; 1 that the index does not know"


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_one_with_a_reason_passes_and_is_told(name: str) -> None:
    verdict = audit.judged(REPORT, {name: "we never call it"})
    assert verdict.passed and verdict.lines[0].endswith("ignored: we never call it")


def test_a_reason_for_nothing_is_told() -> None:
    assert "CVE-2 is in IGNORED, and is found no more: remove it" in audit.judged(REPORT, {"CVE-2": "x"}).lines


def test_every_reason_is_one() -> None:
    assert all(len(reason) > 20 for reason in audit.IGNORED.values())


def test_without_a_network_it_says_so_and_passes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert audit.main() == 0
    assert capsys.readouterr().out.startswith("dependencies: not audited: ")


def test_an_index_that_knows_nothing_of_vulnerabilities_is_not_asked_for_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def fake_asked(pinned: list[str]) -> dict:
        asked.append(pinned)
        return {"dependencies": [{"name": "dagster", "skip_reason": "not found"}]}

    monkeypatch.setattr(audit, "asked", fake_asked)
    assert audit.main() == 0
    assert [len(pinned) for pinned in asked] == [1]
    assert "not audited: the index does not tell of vulnerabilities" in capsys.readouterr().out
