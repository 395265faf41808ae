"""How tables are, asked of many at once: one question a warehouse, and what cannot be told is left out."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncer_assets.model.errors import DbError
from syncer_assets.model.table import TableSpec, Target
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets.sync.status import TableStatus, statuses
from syncer_assets.sync.status_markdown import status_markdown
from syncer_assets.warehouses.base import TableActivity
from syncer_assets.warehouses.postgres import PostgresWarehouse
from syncer_assets_tests.servers import Database, poll
from syncer_assets_tests.warehouses.postgres.plans import START, Extraction, Loads

TABLES, CPU_SECONDS_MOST = 100, 3.0
ROWS = [(number, "new") for number in range(50)]


@pytest.fixture
def warehouse(warehouse_db: Database) -> Iterator[PostgresWarehouse]:
    warehouse = PostgresWarehouse("w", warehouse_db.dsn)
    yield warehouse
    warehouse.close()


@pytest.fixture
def lake(lake_dir: Path) -> Lake:
    return open_lake(f"file://{lake_dir}")


def table(number: int) -> tuple[TableSpec, Target]:
    return TableSpec("shop", f"public.t{number}", cursor=("id",)), Target("w", "shop", f"t{number}")


def sync(lake: Lake, warehouse: PostgresWarehouse, number: int, extractions: Sequence[Extraction]) -> Loads:
    """The manifests in the lake, all but the last of them loaded."""
    spec, target = table(number)
    loads = Loads(warehouse, target=target)
    plan = loads.plan(extractions)
    for manifest in plan.manifests:
        lake.commit(Place(spec.source, spec.table, "all"), replace(manifest, table=spec.table))
    loads.load_all(extractions[:-1])
    return loads


def asked(lake: Lake | None, warehouse: PostgresWarehouse, *numbers: int) -> list[TableStatus]:
    @contextmanager
    def opened(name: str) -> Iterator[PostgresWarehouse]:
        yield warehouse

    return statuses(lake, [table(number) for number in numbers], opened)


def test_a_table_tells_rows_marks_the_last_load_and_what_waits(
    lake: Lake, warehouse: PostgresWarehouse, warehouse_db: Database
) -> None:
    sync(lake, warehouse, 1, [Extraction(ROWS), Extraction([(0, "changed"), (100, "new")]), Extraction([(101, "new")])])
    warehouse_db.execute("ANALYZE")
    found, never = asked(lake, warehouse, 1, 2)
    assert (found.rows, found.pending_manifests, found.proofs) == (51, 1, ("writers_finished",))
    assert found.last_load is not None
    assert (found.last_load.last_rows, found.last_load.seq, found.last_load.loaded_seq) == (52, 3, 2)
    assert found.rows_per_minute and found.rows_per_minute > 0
    assert (found.activity.rows, found.activity.dead_rows) == (51, 0)
    assert found.activity.bytes == warehouse_db.scalar("SELECT pg_total_relation_size('shop.t1')")
    assert (never.partitions, never.activity, never.error) == ((), TableActivity(loads=()), None)


def test_dead_rows_and_bloat_are_those_of_the_warehouse(
    lake: Lake, warehouse: PostgresWarehouse, warehouse_db: Database
) -> None:
    rows = [(number, "x" * 200) for number in range(20_000)]
    sync(lake, warehouse, 1, [Extraction(rows), Extraction(rows[:1])])
    warehouse_db.execute("ALTER TABLE shop.t1 SET (autovacuum_enabled = off); ANALYZE shop.t1")
    fresh = asked(lake, warehouse, 1)[0]
    warehouse_db.execute("DELETE FROM shop.t1 WHERE id % 2 = 0")
    poll(lambda: asked(lake, warehouse, 1)[0].activity.dead_rows == 10_000, deadline_seconds=60)  # counters come late
    found = asked(lake, warehouse, 1)[0]
    assert fresh.bloat_percent is not None and fresh.bloat_percent < 5
    assert found.bloat_percent is not None and 40 < found.bloat_percent < 55


def test_what_a_warehouse_does_not_sum_is_read_from_its_ledger(
    lake: Lake, warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(lake, warehouse, 1, [Extraction(ROWS), Extraction(ROWS[:2]), Extraction(ROWS[:1])])
    told = asked(lake, warehouse, 1)
    monkeypatch.setattr(warehouse, "activity", lambda targets: [TableActivity() for _ in targets])
    summed = asked(lake, warehouse, 1)
    assert summed[0].partitions == told[0].partitions


def test_rows_that_were_there_before_the_ledger_count_from_its_first_load_on(
    lake: Lake, warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a lake that was lost: `run --full` forgets the ledger, and finds the rows as they are."""
    loads = sync(lake, warehouse, 1, [Extraction(ROWS), Extraction(ROWS[:1])])
    warehouse.forget(loads.target)
    anew = Loads(warehouse, target=loads.target)
    anew.load([(0, "changed"), *ROWS[1:]], captured=100)
    anew.load([(0, "changed again"), (1, "new"), (100, "new")], captured=101)
    assert asked(lake, warehouse, 1)[0].rows == 51
    monkeypatch.setattr(warehouse, "activity", lambda targets: [TableActivity() for _ in targets])
    assert asked(lake, warehouse, 1)[0].rows == 51


def test_a_warehouse_that_does_not_answer_leaves_the_lakes_part(
    lake: Lake, warehouse: PostgresWarehouse, warehouse_db: Database
) -> None:
    sync(lake, warehouse, 1, [Extraction(ROWS)])
    away = PostgresWarehouse("w", "postgresql://x:s3cret@127.0.0.1:9/nowhere")
    (found,) = asked(lake, away, 1)
    assert found.error is not None and "s3cret" not in found.error
    assert (found.partitions[0].seq, found.rows, found.pending_manifests) == (1, None, None)
    page = status_markdown([found], [{"all": ["lake:row_count"]}])
    assert "lake:row_count (all)" in page and "Not asked: w: " in page


def test_a_table_whose_lake_is_damaged_says_so_and_leaves_the_others(
    lake: Lake, warehouse: PostgresWarehouse, lake_dir: Path
) -> None:
    for number in (1, 2):
        sync(lake, warehouse, number, [Extraction(ROWS), Extraction(ROWS[:1])])
    (lake_dir / Place("shop", "public.t1", "all").manifest(1)).unlink()
    damaged, fine = asked(lake, warehouse, 1, 2)
    assert damaged.error is not None and "manifest 1 is missing" in damaged.error
    assert (fine.rows, fine.error) == (50, None)


def test_a_hundred_tables_take_no_more_questions_than_one(
    lake: Lake, warehouse: PostgresWarehouse, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(TABLES):
        sync(lake, warehouse, number, [Extraction(ROWS), Extraction(ROWS[:1])])
    warehouse_db.execute("ANALYZE")
    questions: list[object] = []
    execute = psycopg.Connection.execute

    def counted(connection: psycopg.Connection, query: bytes, *values: Any) -> Any:
        questions.append(query)
        return execute(connection, query, *values)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    started, worked = time.monotonic(), time.process_time()
    found = asked(lake, warehouse, *range(TABLES))
    cpu_seconds = time.process_time() - worked
    print(f"{TABLES} tables in {time.monotonic() - started:.2f} s, {cpu_seconds:.2f} of them ours")
    assert [(each.rows, each.pending_manifests) for each in found] == [(50, 1)] * TABLES
    assert all(each.bloat_percent is not None and each.error is None for each in found)
    assert len(questions) <= 4
    assert cpu_seconds < CPU_SECONDS_MOST, "wall time would judge the machine's other work"


def test_without_a_lake_nothing_was_synced(warehouse: PostgresWarehouse) -> None:
    assert [each.partitions for each in asked(None, warehouse, 1, 2)] == [(), ()]
    assert "never synced" in status_markdown(asked(None, warehouse, 1), [{}])


def test_a_drop_of_the_connection_in_the_middle_is_told(
    lake: Lake, warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(lake, warehouse, 1, [Extraction(ROWS)])

    def lost(targets: Sequence[Target]) -> list[TableActivity]:
        raise DbError("w: the connection is lost", phase="load", retryable=True)

    monkeypatch.setattr(warehouse, "activity", lost)
    assert asked(lake, warehouse, 1)[0].error == "w: the connection is lost"
    assert START + timedelta(seconds=1) == asked(lake, warehouse, 1)[0].partitions[0].captured_at
