"""A contest: who runs, how, in turn; and what its numbers are held against."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .measure import RunFailed, Sample, run
from .servers import Servers

OURS = "syncer_assets"
T = TypeVar("T")


@dataclass
class Bench:
    """What the contests share. `rows` of each table; `peers` is None where only we run."""

    servers: Servers
    folder: Path
    runs: int
    rows: Mapping[str, int]
    peers: Path | None
    stack: ExitStack

    def keep_open(self, opened: AbstractContextManager[T]) -> T:
        """Enter something that ends with the bench."""
        return self.stack.enter_context(opened)

    def fresh(self, name: str) -> Path:
        """An empty folder that no run has used."""
        path = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Runner:
    """One contestant. `prepare` is called before each run, untimed, and gives the command and its environment;
    `after` adds facts. It moves `rows` rows. `runs` where the contest's number would take too long."""

    name: str
    rows: int
    prepare: Callable[[], tuple[Sequence[str], Mapping[str, str]]]
    after: Callable[[], dict[str, Any]] = dict
    limit: bool = False
    runs: int | None = None


@dataclass(frozen=True)
class Result:
    """The runs of one contestant; `failed` is its error."""

    name: str
    rows: int
    limit: bool
    samples: tuple[Sample, ...]
    failed: str = ""

    def median(self, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in self.samples)

    def least(self, field: str) -> float:
        return min(getattr(sample, field) for sample in self.samples)

    def most(self, field: str) -> float:
        return max(getattr(sample, field) for sample in self.samples)

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.median("wall_seconds")

    @property
    def cpu_rows_per_second(self) -> float:
        """Rows per CPU second of client and servers: what a busy machine does not change."""
        return self.rows / statistics.median(s.client_cpu_seconds + s.server_cpu_seconds for s in self.samples)

    def fact(self, *path: str) -> Any:
        """A fact of the last run."""
        found: Any = self.samples[-1].facts
        for name in path:
            found = found[name]
        return found


Results = dict[str, Result]


@dataclass(frozen=True)
class Verdict:
    """A target held against what was measured; `met` is None where it was not measured."""

    target: str
    measured: str
    met: bool | None


Target = Callable[[Results], Verdict]


@dataclass(frozen=True)
class Contest:
    """A row of the table of targets. `columns` are facts of a run that its table shows beside times."""

    name: str
    title: str
    runners: tuple[Runner, ...]
    targets: tuple[Target, ...]
    note: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    contest: Contest
    results: Results
    verdicts: tuple[Verdict, ...] = field(default=())


def hold(contest: Contest, bench: Bench, say: Callable[[str], None]) -> Outcome:
    """Every contestant once, then every one again, as often as the bench has runs: noise hits all alike.

    One that fails is out of the contest, and its row has its error.
    """
    samples: dict[str, list[Sample]] = {runner.name: [] for runner in contest.runners}
    failed: dict[str, str] = {}
    for turn in range(bench.runs):
        for runner in contest.runners:
            if runner.name in failed or turn >= (runner.runs or bench.runs):
                continue
            try:
                command, env = runner.prepare()
                sample = run(command, bench.servers, env)
            except RunFailed as error:
                failed[runner.name] = str(error)
                say(f"  {runner.name}: {error}")
                continue
            sample.facts.update(runner.after())
            samples[runner.name].append(sample)
            say(f"  {runner.name}: {sample.wall_seconds:.2f} s, peak {sample.peak_mb:.0f} MB")
    results = {
        runner.name: Result(
            runner.name, runner.rows, runner.limit, tuple(samples[runner.name]), failed.get(runner.name, "")
        )
        for runner in contest.runners
        if samples[runner.name] or runner.name in failed
    }
    return Outcome(contest, results, tuple(target(results) for target in contest.targets))


def faster(times: float, than: str, ours: str = OURS) -> Target:
    """At least `times` as many rows a second as `than`. Wall time judges; CPU seconds stand beside it."""

    def judge(results: Results) -> Verdict:
        text = f"at least {times:g}x {than}"
        if not _ran(results, ours, than):
            return Verdict(text, "not measured", None)
        ratio = results[ours].rows_per_second / results[than].rows_per_second
        by_cpu = results[ours].cpu_rows_per_second / results[than].cpu_rows_per_second
        return Verdict(text, f"{ratio:.2f}x ({by_cpu:.2f}x by CPU)", ratio >= times)

    return judge


def within(times: float, of: str, ours: str = OURS) -> Target:
    """At most `times` the time of a limit."""

    def judge(results: Results) -> Verdict:
        text = f"at most {times:g}x the time of {of}"
        if not _ran(results, ours, of):
            return Verdict(text, "not measured", None)
        ratio = results[of].rows_per_second / results[ours].rows_per_second
        by_cpu = results[of].cpu_rows_per_second / results[ours].cpu_rows_per_second
        return Verdict(text, f"{ratio:.2f}x ({by_cpu:.2f}x by CPU)", ratio <= times)

    return judge


def at_most(text: str, most: float, value: Callable[[Results], float], needs: Sequence[str] = (OURS,)) -> Target:
    """A number that may be at most `most`."""

    def judge(results: Results) -> Verdict:
        if not _ran(results, *needs):
            return Verdict(text, "not measured", None)
        found = value(results)
        return Verdict(text, f"{found:,.4g}" if found < 100 else f"{found:,.0f}", found <= most)

    return judge


def at_least(text: str, least: float, value: Callable[[Results], float], needs: Sequence[str] = (OURS,)) -> Target:
    """A number that has to be at least `least`."""

    def judge(results: Results) -> Verdict:
        if not _ran(results, *needs):
            return Verdict(text, "not measured", None)
        found = value(results)
        return Verdict(text, f"{found:,.4g}" if found < 100 else f"{found:,.0f}", found >= least)

    return judge


def _ran(results: Results, *names: str) -> bool:
    return all(name in results and results[name].samples for name in names)
