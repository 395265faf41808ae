"""The report of the faults leaves nothing out, and says what was measured."""

import re
import time

import pytest

from syncer_assets_tests.faults import record
from syncer_assets_tests.faults.catalogue import FAULTS, KILLED_BY, all_tests, covers, exists
from syncer_assets_tests.faults.kill_points import POINTS
from syncer_assets_tests.faults.record import TIME_IS_UP
from syncer_assets_tests.faults.report import Asked, report

LINE = {"when": "call", "outcome": "passed", "seconds": 9.0, "told": True, "notes": {}}


def test_the_catalogue_names_forty_faults_and_only_tests_that_exist() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 41))
    assert not [test for test in all_tests() if not exists(test)]
    assert len(KILLED_BY) == 12 and len(POINTS) == 20


def test_a_fault_that_was_not_run_or_has_no_test_is_in_the_table() -> None:
    page = report([], Asked(1, 1, 60))
    for fault in FAULTS:
        (row,) = re.findall(rf"^\| {fault.number} \| .*$", page, re.MULTILINE)
        assert ("**not run**" if fault.tests else "**no test**") in row and row.count("|") == 10
    assert page.count("| not run |") == 14, "twelve defects, and none on either servers"


def test_what_was_measured_is_told() -> None:
    test = FAULTS[6].tests[0].partition("[")[0]
    name = f"syncer_assets_tests/{test}[after-orders]"
    lines = [
        {**LINE, "test": name, "recovered": [1.0, 4.0], "lost": 0, "doubled": 0, "orphans": 0},
        {**LINE, "test": name, "recovered": [], "outcome": "failed", "lost": 3, "doubled": 2, "orphans": 1},
        {**LINE, "test": name.replace("after", "before"), "recovered": [50.0], "lost": 7, "doubled": 7, "orphans": 7},
        {"test": name, "when": "setup", "outcome": "skipped", "seconds": 0.1, "why": "no server"},
    ]
    page = report(lines, Asked(1, 1, 60))
    assert f"| 7 | {FAULTS[6].what} | 2 | **1** | 2.5 | 4.0 | 3 | 2 | 1 |" in page
    assert "4 runs, 1 red, 1 skipped" in page


def test_kill_points_are_told_by_their_way() -> None:
    line = {**LINE, "recovered": [2.0], "lost": 0, "doubled": 0, "orphans": 0}
    noted = {**line, "test": "x", "notes": {"point": "K13", "way": "zombie"}}
    page = report([noted, noted], Asked(2, 1, 60))
    assert f"| K13 | {POINTS['K13'].what} | 0 | 0 | 2 | 2 | 0 | 2.0 | 2.0 | 0 | 0 | 0 |" in page


def test_parameters_are_picked_by_their_text() -> None:
    node = "syncer_assets_tests/faults/test_x.py::test_y[orders-after]"
    assert covers("faults/test_x.py::test_y", node) and covers("faults/test_x.py::test_y[after]", node)
    assert not covers("faults/test_x.py::test_y[before]", node) and not covers("faults/test_x.py::test_yy", node)


def test_a_run_whose_time_was_up_says_what_it_left_out() -> None:
    name = f"syncer_assets_tests/{FAULTS[6].tests[0].partition('[')[0]}"
    done = {**LINE, "test": f"{name}[after-orders]", "recovered": [1.0]}
    late = {"test": f"{name}[after-events]", "when": "setup", "outcome": "skipped", "seconds": 0.0, "why": TIME_IS_UP}
    page = report([done, late, late], Asked(20, 1, 60))
    assert "1 runs, 0 red, 0 skipped. **2 more were left out: the time was up.**" in page
    assert "broken off" not in page and "broken off" in report([done], Asked(20, 1, 60, broken_off=True))
    assert f"| 7 | {FAULTS[6].what} | **not run** |" in report([late], Asked(20, 1, 60))


def test_after_the_time_no_test_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(record.UNTIL, str(time.time() + 600))
    record.pytest_runtest_setup()
    monkeypatch.setenv(record.UNTIL, str(time.time() - 1))
    with pytest.raises(pytest.skip.Exception, match=TIME_IS_UP):
        record.pytest_runtest_setup()
