"""docs/faults.md, made from what the tests recorded: every fault, every kill point, every seeded defect."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

from syncer_assets_tests.benchmarks.table import machine
from syncer_assets_tests.faults.catalogue import FAULTS, KILLED_BY, MORE, PROTOCOL, Fault, covers
from syncer_assets_tests.faults.kill_points import POINTS, WAYS
from syncer_assets_tests.faults.model.defects import DIRECTED
from syncer_assets_tests.faults.record import TIME_IS_UP

Line = Mapping[str, Any]
"""What `record` wrote of one test."""

HEAD = """\
# Faults

Made by `make faults` from what the tests measured ({day}, {machine}, {minutes:.0f} minutes, seeds of each kill point:
{seeds}, of the others that draw: {rounds}): {runs:,} runs, {red} red, {skipped} skipped.{left_out}

* *recovered in*: seconds from the fault until one run was through and the oracle (`faults/invariants.py`, which reads
  lake and warehouse by its own means) found everything whole; its own comparison is in it. A figure with `<` is that
  of the whole test, where the fault has no one moment.
* *lost*, *doubled*: rows of the source that are not in the warehouse, and rows of the warehouse that are not in the
  source, counted by the oracle. *orphans*: data objects that no manifest names. `-`: the test compares by its own
  means, and is red at the first difference.
* *red*: runs that failed. A fault that has no test, or was not run, says so.
"""
COLUMNS = "runs | red | recovered in: median | longest, s | lost | doubled | orphans |"
RULE = "--:|--:|--:|--:|--:|--:|--:|"


@dataclass(frozen=True)
class Asked:
    """How the tests were run."""

    seeds: int
    rounds: int
    seconds: float
    only: tuple[str, ...] = ()
    broken_off: bool = False


def report(lines: Sequence[Line], asked: Asked) -> str:
    """The whole page. What there was no time for counts as not run."""
    late = sum(line.get("why") == TIME_IS_UP for line in lines)
    lines = [line for line in lines if line.get("why") != TIME_IS_UP]
    outcomes = [line["outcome"] for line in lines]
    head = HEAD.format(
        day=datetime.now(UTC).date(),
        machine=machine(),
        minutes=asked.seconds / 60,
        seeds=asked.seeds,
        rounds=asked.rounds,
        runs=len(lines),
        red=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        left_out=f" **{late:,} more were left out: the time was up.**" if late else "",
    )
    if asked.broken_off:
        head += "\n**It was broken off: what is below was done until then.**\n"
    parts = [head, *_faults(lines, asked), *_points(lines), *_defects(lines), *_red(lines), *_tests()]
    return "\n".join(parts) + "\n"


def lines_of(lines: Iterable[Line], fault: Fault) -> list[Line]:
    return [line for line in lines if any(covers(test, line["test"]) for test in fault.tests)]


def _faults(lines: Sequence[Line], asked: Asked) -> Iterator[str]:
    yield f"## The forty, and ten more\n\n| | fault | {COLUMNS}\n|--:|---|{RULE}"
    for fault in (*FAULTS, *MORE):
        there = lines_of(lines, fault)
        yield f"| {fault.number} | {fault.what} | {_figures(there) if there else _why_not(fault, asked)} |"


def _why_not(fault: Fault, asked: Asked) -> str:
    if not fault.tests:
        return f"**no test**{': ' + fault.missing if fault.missing else ''}" + " |" * 6
    return ("not asked for" if asked.only and str(fault.number) not in asked.only else "**not run**") + " |" * 6


def _points(lines: Sequence[Line]) -> Iterator[str]:
    yield "\n## The kill points\n"
    yield f"By seeds; {', '.join(WAYS)}: how often each was done. `faults/kill_points.py` has the steps of each.\n"
    yield f"| | where | {' | '.join(WAYS)} | {COLUMNS}\n|---|---|{'--:|' * len(WAYS)}{RULE}"
    for name, point in POINTS.items():
        there = [line for line in lines if line.get("notes", {}).get("point") == name]
        ways = [str(sum(line["notes"]["way"] == way for line in there)) for way in WAYS]
        figures = _figures(there) if there else "**not run**" + " |" * 6
        yield f"| {name} | {point.what} | {' | '.join(ways)} | {figures} |"


def _figures(lines: Sequence[Line]) -> str:
    """The cells of COLUMNS."""
    ran = [line for line in lines if line["outcome"] != "skipped"]
    if not ran:
        return f"**skipped**: {lines[0].get('why', '')}" + " |" * 6
    told = [seconds for line in ran if line.get("told") for seconds in line["recovered"]]
    whole = [line["seconds"] for line in ran if line["outcome"] == "passed"]
    mark, seconds = ("", told) if told else ("< ", whole)
    times = [f"{mark}{median(seconds):.1f}", f"{mark}{max(seconds):.1f}"] if seconds else ["-", "-"]
    red = sum(line["outcome"] == "failed" for line in ran)
    counts = [_sum(line.get(name) for line in ran) for name in ("lost", "doubled", "orphans")]
    return " | ".join([str(len(ran)), f"**{red}**" if red else "0", *times, *counts])


def _sum(counts: Iterable[int | None]) -> str:
    counted = [count for count in counts if count is not None]
    return f"{sum(counted)}" if counted else "-"


def _defects(lines: Sequence[Line]) -> Iterator[str]:
    yield "\n## Seeded defects\n"
    yield "Each is put into the engine, or a protection is switched off, and a test has to go red.\n"
    yield "| defect | killed by | |\n|---|---|---|"
    for defect, test in KILLED_BY.items():
        by = f"`{DIRECTED[defect][1]}`" if defect in DIRECTED else "the state machine (`faults/model/machine.py`)"
        yield f"| {defect} | {by} | {_outcome(lines, lambda node, t=test, d=defect: covers(f'{t}[{d}]', node))} |"
    for test in PROTOCOL:
        yield f"| none | `{test}` | {_outcome(lines, lambda node, t=test: covers(t, node), 'green')} |"


def _outcome(lines: Sequence[Line], is_it: Callable[[str], bool], word: str = "killed") -> str:
    found = {line["outcome"] for line in lines if is_it(line["test"])}
    return word if found == {"passed"} else "**survived**" if "failed" in found else "not run"


def _red(lines: Sequence[Line]) -> Iterator[str]:
    red = sorted(line["test"] for line in lines if line["outcome"] == "failed")
    if red:
        yield "\n## Red\n"
        yield from (f"* `{test}`" for test in red)


def _tests() -> Iterator[str]:
    yield "\n## What does each\n"
    for fault in (*FAULTS, *MORE):
        yield f"* {fault.number}: " + (", ".join(f"`{test}`" for test in fault.tests) or "no test")
        if fault.tests and fault.missing:
            yield f"  But: {fault.missing}."
