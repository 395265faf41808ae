"""The same data again, ten times: nothing is written, nothing grows."""

from syncer_assets.model.report import LoadReport
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ITEMS, ORDERS, Job, data_objects, target_of
from syncer_assets_tests.servers import Database

ROUNDS = 10


def test_runs_without_news_add_no_object_and_no_ledger_row(
    job: Job, source_db: Database, warehouse_db: Database
) -> None:
    specs = (ITEMS, EVENTS, COUNTRIES)
    with job.only(*specs).opened() as opened:
        opened.run()
        before = [Footprint.of(warehouse_db, target_of(spec)) for spec in specs]
        objects = data_objects(opened.lake)
        for _ in range(ROUNDS):
            done = opened.run()
            assert all(report.nothing_new for report in (*done.syncs, *done.loads))
        assert data_objects(opened.lake) == objects
        assert [Footprint.of(warehouse_db, target_of(spec)) for spec in specs] == before
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec)) for spec in specs])


def test_reading_everything_again_writes_no_row(job: Job, source_db: Database, warehouse_db: Database) -> None:
    """`full`: every row is extracted and staged anew, and every one of them is found unchanged."""
    source_db.execute("UPDATE orders SET updated_at = updated_at - interval '1 day'")
    tables = (ORDERS, ITEMS)
    with job.only(*tables).opened() as opened:
        opened.run()
        rows = sum(source_db.scalar(f"SELECT count(*) FROM {spec.name}") for spec in tables)
        before = {spec.table: Footprint.of(warehouse_db, target_of(spec)) for spec in tables}
        wal = _wal_bytes(warehouse_db)
        for _ in range(ROUNDS):
            loads = opened.run(mode="full").loads
            assert sum(load.rows_unchanged for load in loads) == rows
            assert not sum(_written(load) for load in loads)
        grown = _wal_bytes(warehouse_db) - wal
        print(f"{grown} bytes of WAL for {ROUNDS} rounds of {rows} rows in {len(loads)} loads each")
        assert grown < ROUNDS * len(loads) * 40_000, "ledger rows, catalogue rows of the staging table, and no more"
        for spec in tables:
            after = Footprint.of(warehouse_db, target_of(spec))
            assert after.rows == before[spec.table].rows
            assert (after.heap_bytes, after.index_bytes) == (
                before[spec.table].heap_bytes,
                before[spec.table].index_bytes,
            )
            assert _dead_rows(warehouse_db, spec.name) == 0
        assert_invariants(source_db, opened.lake, warehouse_db, [(spec, target_of(spec)) for spec in tables])


def test_loading_every_manifest_again_writes_no_row(job: Job, source_db: Database, warehouse_db: Database) -> None:
    """The marks are forgotten, the rows are there."""
    with job.only(ORDERS).opened() as opened:
        opened.run()
        before = Footprint.of(warehouse_db, target_of(ORDERS))
        for _ in range(ROUNDS):
            opened.warehouse.forget(target_of(ORDERS))
            assert not _written(opened.load(ORDERS))
        after = Footprint.of(warehouse_db, target_of(ORDERS))
        assert (after.rows, after.heap_bytes, after.index_bytes) == (before.rows, before.heap_bytes, before.index_bytes)


def _written(load: LoadReport) -> int:
    return load.rows_inserted + load.rows_updated + load.rows_deleted


def _wal_bytes(database: Database) -> int:
    return int(database.scalar("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def _dead_rows(database: Database, table: str) -> int:
    """By the server's count."""
    return database.scalar(f"SELECT pg_stat_get_dead_tuples('shop.{table}'::regclass)")
