"""What a report counts: real manifests and a real ledger, each once, since a time or a baseline."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.model.manifest import Manifest
from syncer_assets.model.table import TableSpec
from syncer_assets.sync.report import Report, read_baseline, report
from syncer_assets.sync.report.history import PAGE, Seqs, table_history
from syncer_assets.warehouses.base import Warehouse
from syncer_assets_tests.sync.tables import ORDERS, Rig, place_of, spec_of

SPEC = spec_of(cursor=["id"])
ROWS = "INSERT INTO orders (status) SELECT 'new' FROM generate_series(1, {})"


def fill(rig: Rig, rows: int, spec: TableSpec = SPEC) -> None:
    """New rows, read and loaded."""
    rig.database.execute(ROWS.format(rows))
    rig.sync(spec)
    rig.load(spec)


def told(rig: Rig, spec: TableSpec = SPEC, **options: object) -> Report:
    @contextmanager
    def open_warehouse(name: str) -> Iterator[Warehouse]:
        assert name == "analytics"
        yield rig.warehouse

    return report(rig.lake, [(spec, rig.target)], open_warehouse, **options)  # type: ignore[arg-type]


def add_manifest(rig: Rig, **changes: object) -> Manifest:
    """One more manifest as `extract` would commit it, without asking the source."""
    head = rig.head(SPEC)
    manifest = replace(head, seq=head.seq + 1, files=(), rows=0, **changes)  # type: ignore[arg-type]
    rig.lake.commit(place_of(SPEC), manifest)
    return manifest


def test_what_was_read_and_loaded_is_counted_once(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    fill(rig, 300)
    fill(rig, 200)
    (table,) = told(rig).tables
    files = [file for manifest in rig.manifests(SPEC) for file in manifest.files]
    assert (table.total.rows, table.total.manifests, table.total.files) == (500, 2, 2)
    assert table.total.bytes == sum(file.bytes for file in files) == table.total.bytes_loaded
    assert (table.total.loads, table.total.rows_loaded, table.total.rows_inserted) == (2, 500, 500)
    assert (table.total.copies, table.total.files_loaded) == (2, 2)
    assert table.seqs == {"all": Seqs(2, 2)}
    assert (table.table, table.target) == ("shop.orders", "analytics.shop.orders")
    assert all(load.seconds and load.seconds > 0 for load in table.loads)
    assert table.total.wal_bytes


def test_several_manifests_of_one_transaction_are_one_load(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    for rows in (10, 20, 30):
        rig.database.execute(ROWS.format(rows))
        rig.sync(SPEC)
    rig.load(SPEC)
    (load,) = told(rig).tables[0].loads
    assert (load.manifests, load.rows, load.files, load.copies) == (3, 60, 3, 1)
    assert load.bytes == sum(file.bytes for manifest in rig.manifests(SPEC) for file in manifest.files)


def test_the_metrics_of_a_manifest_are_its_figures(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    fill(rig, 10)
    metrics = {"queries": 7.0, "seconds": 2.5, "peak_memory_mb": 99.5, "queries_saved": 3.0, "unknown": 1.0}
    add_manifest(rig, metrics=tuple(metrics.items()))
    add_manifest(rig, metrics=())
    _, measured, unmeasured = table_history(rig.lake, SPEC, rig.target, None).syncs
    assert (measured.queries, measured.seconds, measured.peak_memory_mb, measured.queries_saved) == (7, 2.5, 99.5, 3)
    assert (unmeasured.queries, unmeasured.seconds, unmeasured.peak_memory_mb) == (None, None, None)


def test_after_a_baseline_only_what_is_new_is_counted(rig: Rig, tmp_path: Path) -> None:
    """A manifest that was read before the baseline and loaded after it is a load of now, and no sync of now."""
    rig.database.execute(ORDERS)
    fill(rig, 300)
    rig.database.execute(ROWS.format(50))
    rig.sync(SPEC)
    path = tmp_path / "before.json"
    path.write_text(json.dumps(told(rig).to_json()))
    before = read_baseline(path)
    (quiet,) = told(rig, baseline=before).tables
    assert (quiet.total.manifests, quiet.total.loads) == (0, 0)
    rig.load(SPEC)
    fill(rig, 7)
    (table,) = told(rig, baseline=before).tables
    assert (table.total.rows, table.total.rows_loaded, table.total.loads) == (7, 57, 2)
    assert table.comparison is not None
    assert table.before is not None and (table.before.rows, table.before.files) == (350, 2)
    assert table.comparison.files_saved == round(7 / 175) - 1
    anew = replace(before, lake_generation="another lake")
    assert told(rig, baseline=anew).tables[0].total.rows == 357


def test_since_a_time_older_manifests_are_not_even_fetched(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.database.execute(ORDERS)
    fill(rig, 10)
    first = rig.head(SPEC).captured_at
    for number in range(2 * PAGE + 5):
        add_manifest(rig, captured_at=first + timedelta(hours=number + 1))
    since = first + timedelta(hours=2 * PAGE)
    fetched = []
    manifest = rig.lake.manifest
    monkeypatch.setattr(rig.lake, "manifest", lambda place, seq: fetched.append(seq) or manifest(place, seq))
    found = table_history(rig.lake, SPEC, rig.target, None, since=since)
    assert [sync.at for sync in found.syncs] == [first + timedelta(hours=2 * PAGE + number) for number in range(6)]
    assert len(fetched) == PAGE
    assert len(table_history(rig.lake, SPEC, rig.target, None, since=first).syncs) == 2 * PAGE + 6
    assert told(rig, since=datetime.now(UTC) + timedelta(days=30)).tables[0].loads == ()


def test_the_lag_is_how_far_the_proof_lay_behind(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    spec = spec_of()
    rig.database.execute("INSERT INTO orders (status, updated_at) VALUES ('old', now() - interval '1 hour')")
    rig.sync(spec)
    assert table_history(rig.lake, spec, rig.target, None).syncs[0].lag_seconds == 0, "all that was there was final"
    head = rig.head(spec)
    assert head.safe is not None and isinstance(head.safe[0], datetime)
    behind = replace(head, seq=2, safe=(head.safe[0] - timedelta(seconds=90),), captured_at=head.safe[0])
    rig.lake.commit(place_of(spec), behind)
    rig.lake.commit(place_of(spec), replace(behind, seq=3, closed=True))
    assert [sync.lag_seconds for sync in table_history(rig.lake, spec, rig.target, None).syncs[:2]] == [90, None]


def test_rows_that_a_pinned_window_carries_on_are_counted_where_they_were_read(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    fill(rig, 10)
    head = rig.head(SPEC)
    carried = tuple(replace(file, carried_from=1, provisional=True) for file in head.files)
    rig.lake.commit(place_of(SPEC), replace(head, seq=2, files=carried))
    assert [sync.rows for sync in table_history(rig.lake, SPEC, rig.target, None).syncs] == [10, 0]


def test_a_warehouse_that_does_not_answer_is_asked_once_and_the_lake_is_told(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    fill(rig, 10)
    asked = []

    @contextmanager
    def no_answer(name: str) -> Iterator[Warehouse]:
        asked.append(name)
        raise DbError("it does not answer", phase="connect")
        yield

    found = report(rig.lake, [(SPEC, rig.target), (replace(SPEC, table="public.never"), rig.target)], no_answer)
    assert [(table.total.rows, table.error) for table in found.tables] == [
        (10, "it does not answer"),
        (0, "it does not answer"),
    ]
    assert asked == ["analytics"]


def test_nothing_was_done_without_a_lake(rig: Rig) -> None:
    found = report(None, [(SPEC, rig.target)], lambda name: pytest.fail("asked a warehouse"))
    assert (found.total.rows, found.lake_generation, len(found.tables)) == (0, None, 1)
