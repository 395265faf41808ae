"""What is asserted before a manifest is put, and what the inline checks say of it (DESIGN 4)."""

from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from syncer_assets.model.errors import AttemptVoid, SyncError
from syncer_assets.model.table import ChunkSettings, ColumnRules, FileSettings, Load
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync.parquet import FileSink
from syncer_assets_tests.sync.tables import ORDERS, Rig, check, place_of, spec_of

BY_TIME = spec_of()
BY_ID = spec_of(cursor=["id"])
ROWS = """
INSERT INTO orders (id, status, updated_at)
SELECT g * 20, 'x', '2024-01-01'::timestamptz + g * interval '1 s' FROM generate_series(1, 20) g
"""
LATE = """
INSERT INTO orders (id, status, updated_at)
SELECT max(id) + 1, 'late', '2024-01-01 00:00:05.5Z' FROM orders WHERE id < 60
"""


def at_first_chunk(rig: Rig, *statements: str, always: bool = False) -> Any:
    """Runs them when a chunk was read, before the rows are counted; in the first attempt, or in each."""
    done: list[int] = []

    def on(event: str, fields: dict[str, Any]) -> None:
        if event == "chunk read" and (always or not done):
            done.append(1)
            for statement in statements:
                rig.database.execute(statement)

    return on


@pytest.mark.parametrize("spec", [BY_TIME, BY_ID], ids=["time", "id"])
def test_a_row_that_appears_below_safe_voids_the_attempt_and_the_next_one_has_it(rig: Rig, spec: Any) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(spec, on=at_first_chunk(rig, LATE))
    assert [fields["reason"] for fields in rig.told("attempt thrown away")] == ["attempt_void"]
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")
    assert len(rig.manifests(spec)) == 1


@pytest.mark.parametrize("spec", [BY_TIME, BY_ID, replace(BY_TIME, load="append")], ids=["time", "id", "append"])
def test_rows_that_go_on_appearing_below_safe_fail_and_nothing_is_committed(rig: Rig, spec: Any) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    with pytest.raises(AttemptVoid, match=r"public\.orders \[all\]: 1 rows appeared at or below.*cursor_protected"):
        rig.sync(spec, on=at_first_chunk(rig, LATE, always=True))
    assert rig.manifests(spec) == []


def test_it_is_noticed_without_a_key_and_where_the_key_is_hashed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCER_HASH_KEY", "a key that is long enough")
    rig.database.execute(f"{ORDERS}; {ROWS}")
    hashed = replace(BY_TIME, columns=ColumnRules(hash=("id",)))
    with pytest.raises(AttemptVoid):
        rig.sync(hashed, on=at_first_chunk(rig, LATE, always=True))
    rig.database.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
    with pytest.raises(AttemptVoid):
        rig.sync(replace(BY_TIME, load="append"), on=at_first_chunk(rig, LATE, always=True))


def test_it_is_noticed_in_a_window_that_commits_on_the_way(rig: Rig) -> None:
    """What was committed before stays; the next attempt goes on behind it."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    spec = replace(BY_TIME, chunk=ChunkSettings(rows=5), files=FileSettings(max_rows=5))
    rig.sync(spec, on=at_first_chunk(rig, LATE))
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")


def test_rows_that_left_the_window_are_a_number(rig: Rig) -> None:
    """Updated since they were read: they come again by the next sync. Deleted: reconcile's."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    update = "UPDATE orders SET status = 'moved', updated_at = now() WHERE id IN (60, 80)"
    report = rig.sync(BY_TIME, on=at_first_chunk(rig, update, "DELETE FROM orders WHERE id = 100"))
    counted = check(report, "row_count")
    assert counted.passed and counted.metadata == {"rows": 20, "rows_left_window": 3}
    rig.sync(BY_TIME)
    assert rig.in_lake(BY_TIME, "status")[("moved",)] == 2


def test_the_checks_say_what_was_reached(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    report = rig.sync(BY_ID)
    assert [(result.name, result.passed) for result in report.checks] == [
        ("row_count", True),
        ("reached_ceiling", True),
        ("rows_outside_partitions", True),
        ("cursor_protected", True),
    ]
    assert check(report, "reached_ceiling").metadata == {"ceiling": "400", "safe": "400"}
    limits = check(report, "cursor_protected").metadata
    assert "reconcile" in str(limits["hard_deletes"]) and "reconcile" in str(limits["updates"])
    assert report.nothing_new is False and rig.sync(BY_ID).nothing_new
    assert rig.lake.uri(place_of(BY_ID)) == report.uri


def test_the_source_counts_while_the_last_file_is_completed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    counting, count, close_file = Event(), PostgresSource.count, FileSink.close_file

    def count_and_tell(self: PostgresSource, *arguments: Any) -> int:
        counting.set()
        return count(self, *arguments)

    def close_meanwhile(self: FileSink) -> None:
        assert counting.wait(20)
        close_file(self)

    monkeypatch.setattr(PostgresSource, "count", count_and_tell)
    monkeypatch.setattr(FileSink, "close_file", close_meanwhile)
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(BY_ID)
    assert rig.in_lake(BY_ID, "id") == rig.in_source(BY_ID, "id")


@pytest.mark.parametrize("load", ["upsert", "append"])
def test_a_key_that_is_not_unique_fails_where_paging_by_it_passes_rows_over(rig: Rig, load: Load) -> None:
    """`row_count` had called that complete."""
    spec = spec_of(key=("status",), load=load, chunk=ChunkSettings(rows=2))
    rig.database.execute("CREATE TABLE orders (status text NOT NULL, updated_at timestamptz NOT NULL)")
    rig.database.execute("INSERT INTO orders SELECT g / 2, '2024-01-01' FROM generate_series(1, 9) g")
    with pytest.raises(SyncError, match=r"its key \(status\) is not unique: 4 rows .*have the key of another one"):
        rig.sync(spec)
    assert rig.manifests(spec) == []
