"""`make bench` on little data: it runs to its end, counts truly, and holds what it measured against the targets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from syncer_assets_tests.benchmarks.contest import Result, Verdict, at_most, faster
from syncer_assets_tests.benchmarks.measure import RunFailed, Sample, run

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.slow
def test_bench_measures_a_row_and_judges_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "syncer_assets_tests.benchmarks", "--scale", "0.001", "--runs", "2", "--no-peers"]
    done = subprocess.run(
        [*command, "--only", "postgres_to_parquet", "--out", str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    row = json.loads((tmp_path / "bench.json").read_text())["rows"][0]
    results = {result["name"]: result for result in row["results"]}
    ours = results["syncer_assets"]
    assert len(ours["samples"]) == 2
    for sample in ours["samples"]:
        assert sample["facts"]["extract"]["rows"] == ours["rows"] > 5_000
        assert sample["wall_seconds"] > 0 and sample["client_cpu_seconds"] > 0 and sample["server_cpu_seconds"] > 0
        assert sample["peak_mb"] > 50
    verdicts = {verdict["target"]: verdict["met"] for verdict in row["verdicts"]}
    assert verdicts["at most 1.5x the time of psql COPY"] is not None
    assert verdicts["at least 4x rivet"] is None
    assert "| PostgreSQL -> Parquet | at least 4x rivet | not measured | not measured |" in done.stdout


def test_a_verdict_compares_medians_of_rows_a_second() -> None:
    ours = _result("syncer_assets", 1_000, 1.0, 2.0, 9.0)
    other = _result("other", 100, 1.0, 1.0, 1.0)
    judged = faster(5, "other")({"syncer_assets": ours, "other": other})
    assert judged == Verdict("at least 5x other", "5.00x (10.00x by CPU)", True)
    assert faster(5.1, "other")({"syncer_assets": ours, "other": other}).met is False
    assert faster(5, "absent")({"syncer_assets": ours}).met is None
    assert at_most("at most 2 s", 2, lambda results: results["syncer_assets"].median("wall_seconds"))(
        {"syncer_assets": ours}
    ).met


def test_a_run_is_measured_with_its_children_and_a_failed_one_is_no_measurement() -> None:
    burn = "sum(i * i for i in range(3_000_000)); x = bytearray(80_000_000)"
    child = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True); print('{{\"n\": 7}}')"
    )
    servers = _NoServersFake()
    sample = run([sys.executable, "-c", child], servers, {})  # type: ignore[arg-type]  # only its clock is asked
    assert sample.facts == {"n": 7}
    assert sample.peak_mb > 80
    assert 0 < sample.client_cpu_seconds < 2 * sample.wall_seconds
    with pytest.raises(RunFailed, match="no such table"):
        run([sys.executable, "-c", "raise SystemExit('no such table')"], servers, {})  # type: ignore[arg-type]


class _NoServersFake:
    """Servers that are never busy."""

    def forget_queries(self) -> None: ...

    def cpu_seconds(self) -> float:
        return 0.0

    def longest_query_seconds(self) -> float:
        return 0.0


def _result(name: str, rows: int, *walls: float) -> Result:
    return Result(name, rows, False, tuple(Sample(wall, 1.5, 0.5, 0, 0) for wall in walls))
