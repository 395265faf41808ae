"""`make bench` on little data: it runs to its end, counts truly, and holds what it measured against the targets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from syncer_assets_tests.benchmarks import ours_keyed
from syncer_assets_tests.benchmarks.contest import Result, Verdict, at_most, faster
from syncer_assets_tests.benchmarks.measure import RunFailed, Sample, run
from syncer_assets_tests.servers import Database

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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_refresh_is_measured_both_ways(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "syncer_assets_tests.benchmarks", "--scale", "0.0005", "--runs", "1", "--no-peers"]
    done = subprocess.run(
        [*command, "--only", "refresh", "--out", str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    row = json.loads((tmp_path / "bench.json").read_text())["rows"][0]
    assert all(verdict["met"] is not None for verdict in row["verdicts"])
    for result in row["results"]:
        (sample,) = result["samples"]
        way, _, changed = result["name"].partition(" ")
        assert sample["facts"]["how"] == way.lower()
        share = int(changed.removesuffix("%")) if way in ("diff", "swap") else 100
        assert sample["facts"]["rows_written"] == pytest.approx(result["rows"] * share / 100, rel=0.05)
    assert "longest wait seconds" in done.stdout


def test_both_sides_of_the_keyed_update_have_the_same_rows(
    warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or everything would differ, and the contest would measure something else."""
    rows = 2 * ours_keyed.BATCHES
    warehouse_db.grant("SCHEMA public")
    warehouse_db.execute(f"CREATE TABLE visits ({ours_keyed.columns_sql('postgres')})")
    values = ours_keyed.values_sql(ssn=False)
    warehouse_db.execute(f"INSERT INTO visits SELECT {values} FROM generate_series(0, {rows} - 1) t(i)")
    warehouse_db.execute("UPDATE visits SET c00 = 'old', c01 = 0 WHERE visit_id % 5 = 0")
    monkeypatch.setenv("BENCH_WAREHOUSE_DSN", warehouse_db.dsn)
    facts = ours_keyed.update("memory", rows, workers=2, wait=0)
    assert (facts["rows_updated"], facts["batches"]) == (rows // 5, ours_keyed.BATCHES)


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
    burn = "x = bytearray(80_000_000); sum(i * i for i in range(3_000_000))"
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
