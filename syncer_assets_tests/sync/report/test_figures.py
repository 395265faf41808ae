"""Sums, rates and comparisons, against what was computed by hand."""

import json
from pathlib import Path

import pytest

from syncer_assets.model.errors import ConfigError
from syncer_assets.sync.report.baseline import read_baseline
from syncer_assets.sync.report.figures import Comparison, compare, figures
from syncer_assets.sync.report.report import make_report
from syncer_assets_tests.sync.report.samples import at, fast, history, load, slow, sync


def test_syncs_and_loads_are_summed() -> None:
    before = slow()
    found = figures(before.syncs, before.loads)
    assert (found.manifests, found.rows, found.bytes, found.files, found.queries) == (2, 10_000, 1_000_000, 2, 10)
    assert (found.seconds, found.rows_per_second, found.rows_per_query, found.rows_per_file) == (10, 1000, 1000, 5000)
    assert (found.peak_memory_mb, found.longest_query_seconds) == (400, 2.5)
    assert (found.loads, found.rows_loaded, found.copies, found.wal_bytes) == (2, 10_000, 2, 1024)
    assert (found.load_seconds, found.load_rows_per_second, found.rows_per_copy) == (20, 500, 5000)


def test_the_lag_is_that_of_the_last_sync_that_has_one() -> None:
    assert figures([sync(0, 1, lag_seconds=9.0), sync(1, 1, lag_seconds=4.0), sync(2, 1)], []).lag_seconds == 4


def test_what_was_not_measured_makes_no_rate_slower() -> None:
    """An earlier release wrote the first manifest: its rows have no seconds and no queries."""
    found = figures([sync(0, 1_000_000), sync(1, 500, seconds=2.0, queries=1)], [load(0, 7), load(1, 10, seconds=1.0)])
    assert found.rows == 1_000_500
    assert (found.rows_per_second, found.rows_per_query, found.load_rows_per_second) == (250, 500, 10)
    nothing = figures([sync(0, 5)], [load(0, 5)])
    assert (nothing.queries, nothing.seconds, nothing.rows_per_second, nothing.copies) == (None, None, None, None)


def test_now_is_compared_with_before() -> None:
    """20,000 rows would have taken 20 queries, 4 files and 4 COPYs; they took 2, 1 and 1."""
    before, now = (figures(each.syncs, each.loads) for each in (slow(), fast()))
    assert compare(before, now) == Comparison(
        speed_ratio=4.0,
        load_speed_ratio=2.0,
        memory_ratio=2.0,
        queries_saved=18,
        files_saved=3,
        copies_saved=3,
    )
    worse = compare(now, before)
    assert (worse.speed_ratio, worse.memory_ratio, worse.queries_saved) == (0.25, 0.5, -9)


def test_nothing_is_compared_with_nothing() -> None:
    empty = figures([], [])
    assert compare(empty, empty) == Comparison()
    assert compare(figures([sync(0, 5)], []), empty) == Comparison(files_saved=0)


def test_a_report_counts_by_partition_and_by_day() -> None:
    table = history(
        [sync(0, 10, "2024-04"), sync(0, 20, "2024-05"), sync(1, 30, "2024-05")],
        [load(0, 10, "2024-04"), load(2, 50, "2024-05")],
    )
    (found,) = make_report([table], at(3), None).tables
    assert {name: (each.rows, each.rows_loaded) for name, each in found.partitions.items()} == {
        "2024-04": (10, 10),
        "2024-05": (50, 50),
    }
    assert {day: (each.rows, each.rows_loaded) for day, each in found.days.items()} == {
        "2024-05-01": (30, 10),
        "2024-05-02": (30, 0),
        "2024-05-03": (0, 50),
    }


def test_the_json_of_a_report_is_a_baseline(tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    first = make_report([slow()], at(1), "lake-1")
    path.write_text("a line before\n" + json.dumps({"ok": True, **first.to_json()}) + "\n")
    baseline = read_baseline(path)
    assert baseline.made_at == at(1)
    other = history([sync(2, 5)], [], table="shop.new")
    orders, new = make_report([fast(), other], at(3), "lake-1", baseline=baseline).tables
    assert orders.comparison is not None
    assert (orders.comparison.speed_ratio, orders.comparison.queries_saved) == (4.0, 18)
    assert new.comparison is None
    counted = baseline.seqs("shop.orders", "analytics.shop.orders", "lake-1")["all"]
    assert (counted.lake, counted.loaded) == (2, 2)
    assert not baseline.seqs("shop.orders", "analytics.shop.orders", "lake-2"), "another lake counts anew"


EMPTY = {"version": 1, "made_at": "2024-01-01T00:00:00+00:00", "lake_generation": None, "tables": []}
TABLE = {"table": "a", "target": "b", "seqs": {}, "total": {}}


@pytest.mark.parametrize(
    "text",
    [
        *("", "no json", "[]", "{}"),
        json.dumps(EMPTY | {"version": 2}),
        json.dumps(EMPTY | {"made_at": "yesterday"}),
        json.dumps(EMPTY | {"tables": [{"table": "a"}]}),
        json.dumps(EMPTY | {"tables": [TABLE | {"seqs": {"all": 3}}]}),
        json.dumps(EMPTY | {"tables": [TABLE | {"total": {"rows": "many"}}]}),
    ],
)
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "before.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"before.json is no report.*syncer report --json"):
        read_baseline(path)
    path.write_text(json.dumps(EMPTY | {"tables": [TABLE]}))
    assert read_baseline(path).tables
    with pytest.raises(ConfigError, match="cannot be read"):
        read_baseline(tmp_path / "nowhere.json")
