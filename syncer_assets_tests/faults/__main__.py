"""`make faults`: every fault test, the kill points by many seeds, the seeded defects; and the page that tells of them.

`python -m syncer_assets_tests.faults [--seeds 20] [--rounds 3] [--minutes M] [--only NUMBER ..] [--jobs 3] [--to PAGE]`
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

from syncer_assets_tests.faults import record
from syncer_assets_tests.faults.catalogue import FAULTS, MORE, ROOT, all_tests
from syncer_assets_tests.faults.report import Asked, report

PAGE = ROOT.parent / "docs" / "faults.md"
LINES = ROOT.parent / "build" / "faults" / "lines.jsonl"
KILLED = "faults/test_kill_points.py"
SEEDED = ("faults/test_ended_sessions.py", "faults/model/test_real.py")
"""Tests that are cheap enough for many seeds, too."""
PLUGIN = ("-p", "syncer_assets_tests.faults.record")
PATIENT = ("-o", "timeout=900")
"""A machine that is busy with faults is slow: only a test that hangs is ended."""


def main() -> int:
    """1 if a test was red."""
    asked = _arguments()
    started, until = time.monotonic(), time.time() + 60 * asked.minutes
    LINES.parent.mkdir(parents=True, exist_ok=True)
    LINES.write_text("")
    wanted = {
        test.partition("[")[0]
        for fault in (*FAULTS, *MORE)
        if not asked.only or str(fault.number) in asked.only
        for test in fault.tests
    }
    wanted |= set() if asked.only else {test.partition("[")[0] for test in all_tests()}
    seeded = {test for test in wanted if test.startswith((KILLED, *SEEDED))}
    killed = {test for test in seeded if test.startswith(KILLED)}
    broken_off = False
    try:  # what every fault needs comes first, so that a run whose time is up has some of each
        for seeds, tests in ((asked.rounds, wanted - seeded), (asked.seeds, killed), (asked.seeds, seeded - killed)):
            if tests:
                _run(sorted(tests), seeds, asked.jobs, until)
    except KeyboardInterrupt:  # the page tells of what was done until then
        broken_off = True
    lines = [json.loads(line) for line in LINES.read_text().splitlines()]
    how = Asked(asked.seeds, asked.rounds, time.monotonic() - started, tuple(asked.only), broken_off)
    asked.to.write_text(report(lines, how))
    red = sum(line["outcome"] == "failed" for line in lines)
    late = sum(line.get("why") == record.TIME_IS_UP for line in lines)
    print(f"{len(lines) - late} runs, {red} red, {late} left out, {how.seconds / 60:.1f} minutes: {asked.to}")
    return int(bool(red) or broken_off or late == len(lines))


def _run(tests: list[str], seeds: int, jobs: int, until: float) -> None:
    """Whatever is red is in the lines, and in the table; pytest's own words are on the terminal."""
    told = {record.FILE: str(LINES), record.UNTIL: str(until), "SYNCER_FAULT_SEEDS": str(seeds)}
    environment = {**os.environ, **told}
    parallel = ("-n", str(jobs), "--dist", "worksteal") if jobs > 1 else ()
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *PLUGIN, *PATIENT, *parallel]
    subprocess.run(
        [*command, *(f"{ROOT.name}/{test}" for test in tests)], env=environment, cwd=ROOT.parent, check=False
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults ARGS=..")
    parser.add_argument("--seeds", type=int, default=20, help="of each kill point, and of what else is quick")
    parser.add_argument("--rounds", type=int, default=3, help="of each other test that draws")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="after which no further test is begun; the page is written"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NUMBER", help="of the forty, or a letter of the ten more"
    )
    parser.add_argument("--jobs", type=int, default=3, help="processes")
    parser.add_argument("--to", type=Path, help=f"the page; {PAGE.name} in docs/, or in build/faults/ with --only")
    asked = parser.parse_args()
    asked.to = asked.to or (LINES.with_name(PAGE.name) if asked.only else PAGE)
    return asked


if __name__ == "__main__":
    sys.exit(main())
