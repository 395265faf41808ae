"""What a test of a fault measured: when it struck, when all was whole again, and what the oracle counted.

As a plugin of pytest (`-p syncer_assets_tests.faults.record`, a path in $SYNCER_FAULT_RECORD) each test adds one line
of JSON to that file. Without it `struck` and `whole` only write to memory. After $SYNCER_FAULT_UNTIL (seconds of the
epoch) no test is begun.
"""

import json
import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest

FILE, UNTIL = "SYNCER_FAULT_RECORD", "SYNCER_FAULT_UNTIL"
TIME_IS_UP = "the time is up"


@dataclass
class Measured:
    """`recovered` are the seconds from each first strike to the next time that the oracle found all whole; without a
    strike that was told, from the beginning of the test."""

    began: float = field(default_factory=time.monotonic)
    struck: float | None = None
    told: bool = False
    recovered: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    orphans: int = 0
    counted: bool = False
    notes: dict[str, object] = field(default_factory=dict)


_current = Measured()


def struck() -> None:
    """The fault is done now. Until all is whole again further strikes belong to it."""
    _current.told = True
    if _current.struck is None:
        _current.struck = time.monotonic()


def counted(*, lost: int = 0, doubled: int = 0, orphans: int = 0) -> None:
    """What the oracle found, before it complains."""
    _current.counted = True
    _current.lost += lost
    _current.doubled += doubled
    _current.orphans += orphans


def whole() -> None:
    """Source and warehouse are equal again."""
    now = time.monotonic()
    if _current.struck is not None:
        _current.recovered.append(now - _current.struck)
        _current.struck = None
    elif not _current.told:
        _current.recovered = [now - _current.began]


def note(**fields: object) -> None:
    """What the report is to tell of this test, such as the step that was drawn."""
    _current.notes |= fields


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Before any fixture: what is left out costs nothing."""
    if time.time() > float(os.environ.get(UNTIL, "inf")):
        pytest.skip(TIME_IS_UP)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    global _current
    _current = Measured()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    path = os.environ.get(FILE)
    if path and (report.when == "call" or report.outcome != "passed"):
        line = {"test": item.nodeid, "when": report.when, "outcome": report.outcome, "seconds": call.duration}
        if report.skipped and isinstance(report.longrepr, tuple):
            line["why"] = report.longrepr[2].removeprefix("Skipped: ")
        if report.when == "call":
            line |= _as_fields(_current)
        with open(path, "a") as file:  # one write of less than a page: lines of several processes do not mix
            file.write(json.dumps(line) + "\n")
    return report


def _as_fields(measured: Measured) -> dict[str, Any]:
    counts = {name: getattr(measured, name) for name in ("lost", "doubled", "orphans")}
    return {
        "recovered": [round(seconds, 3) for seconds in measured.recovered],
        "told": measured.told,
        **(counts if measured.counted else dict.fromkeys(counts)),
        "notes": measured.notes,
    }
