"""kill -9 at every step between the capture of the ceiling and COMMIT: nothing is lost, nothing is there twice."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import ChunkSettings, FileSettings, SizeSettings, TableSpec
from syncer_assets.sync.lake import Place
from syncer_assets_tests.faults.invariants import Footprint, Marks, assert_invariants
from syncer_assets_tests.faults.job import (
    COUNTRIES,
    EVENTS,
    ITEMS,
    ORDERS,
    Job,
    Opened,
    data_objects,
    start_worker,
    target_of,
    write,
)
from syncer_assets_tests.faults.record import struck
from syncer_assets_tests.servers import Database

Nths = tuple[int, ...]
Steps = dict[str, tuple[Nths, Nths]]
"""Step -> at which of its occurrences to kill a first run, and a later one."""

EXTRACT: Steps = {
    "ceiling captured": ((1,), (1,)),
    "ceiling judged": ((1,), (1,)),
    "window opened": ((1,), (1,)),
    "strategy chosen": ((1,), (1,)),
    "chunk read": ((4,), (2,)),
    "before upload": ((3,), (20,)),
    "after complete": ((3,), (1,)),
    "files written": ((2,), (1,)),
    "before put": ((1, 3, 5), (2,)),  # _table.json, two manifests, _lake.json, _registered
    "after put": ((2, 4), (1,)),
    "manifest committed": ((2,), (1,)),
    "Reached watermark ceiling - sync complete": ((1,), (1,)),
}
LOAD: Steps = {
    "load planned": ((1,), (1,)),
    "epoch taken": ((1,), (1,)),
    "before copy": ((2,), (2,)),
    "rows staged": ((), (1,)),
    "rows merged": ((1,), (1,)),
    "ledger written": ((1,), (1,)),
    "load committed": ((1,), (1,)),
    "after load": ((1,), (1,)),
}
SOME: Steps = {
    "files written": ((1,), (1,)),
    "manifest committed": ((1,), (1,)),
    "ledger written": ((1,), (1,)),
    "load committed": ((1,), (1,)),
}
MATRIX = [
    *((ORDERS, step, nths) for step, nths in (EXTRACT | LOAD).items()),
    *((ITEMS, step, nths) for step, nths in SOME.items()),
    (ITEMS, "chunk read", ((6,), (3,))),
    *((EVENTS, step, nths) for step, nths in SOME.items()),
    (EVENTS, "before record", ((1,), (1,))),
    (EVENTS, "after record", ((1,), (1,))),
    *((COUNTRIES, step, nths) for step, nths in SOME.items()),
    (COUNTRIES, "snapshot opened", ((1,), (1,))),
    (COUNTRIES, "rows staged", ((), (1,))),
]
SHARED = replace(
    ITEMS,
    partitions=PartitionScheme(),
    workers=3,
    chunk=ChunkSettings(rows=50),
    files=FileSettings(max_rows=50),
    sizes=SizeSettings(streaming_mb=1e-9, parallel_mb=1e-9, parallel_rows=1),
)
"""Read by three readers, in rounds of 300 ids."""
NOT_BEFORE_COMMIT = {"nothing new to read", "orphans removed", "attempt thrown away"}


@pytest.fixture
def opened(job: Job) -> Iterator[Opened]:
    with job.opened() as opened:
        yield opened


def _id(value: object) -> str | None:
    return value.name if isinstance(value, TableSpec) else value.replace(" ", "_") if isinstance(value, str) else ""


@pytest.mark.parametrize(("spec", "step", "nths"), MATRIX, ids=_id)
def test_a_killed_run_is_made_good_by_the_next(
    spec: TableSpec,
    step: str,
    nths: tuple[Nths, Nths],
    opened: Opened,
    source_db: Database,
    warehouse_db: Database,
    tmp_path: Path,
) -> None:
    first, later = nths
    for nth in first:
        _forget_everything(opened, warehouse_db)
        _kill(opened.job.only(spec), tmp_path, step, nth)
        _rerun(opened, spec, source_db, warehouse_db)
    if not first:
        _rerun(opened, spec, source_db, warehouse_db)
    marks = None
    for round, nth in enumerate(later, 1):
        write(source_db, round)
        _kill(opened.job.only(spec), tmp_path, step, nth)
        marks = _rerun(opened, spec, source_db, warehouse_db, marks)
    _assert_a_further_run_changes_nothing(opened, spec, warehouse_db)


@pytest.mark.parametrize("spec", [EVENTS, ORDERS, ITEMS], ids=_id)
def test_a_row_that_was_committed_late_survives_a_kill(
    spec: TableSpec, job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """It was written before the run and committed after it, below what the run saw."""
    job = job.only(replace(spec, settle_seconds=0, late_commit_lag=timedelta(0)))
    columns = {ORDERS: "status, updated_at", ITEMS: "name", EVENTS: "what"}[spec]
    values = {ORDERS: "'late', clock_timestamp()"}.get(spec, "'late'")
    with source_db.connect(autocommit=False) as late, job.opened() as opened:
        late.execute(f"INSERT INTO {spec.name} ({columns}) VALUES ({values})".encode())
        write(source_db, 1)
        _kill(job, tmp_path, "manifest committed", 1)
        opened.run()
        late.commit()
        _rerun(opened, spec, source_db, warehouse_db)


@pytest.mark.timeout(300)
def test_kills_in_a_row_are_made_good_by_one_run(
    job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    """Nothing of the runs before is complete: each leaves what it leaves to the next."""
    for step in ("after complete", "files written", "after complete", "manifest committed"):
        _kill(job.only(ORDERS), tmp_path, step, 1)
    _kill(job.only(ORDERS), tmp_path, "before complete", 2, "--small-parts")
    write(source_db, 1)
    for step in ("before delete", "ledger written", "files written", "rows merged"):
        _kill(job.only(ORDERS), tmp_path, step, 1)
    with job.opened() as opened:
        _rerun(opened, ORDERS, source_db, warehouse_db)


def test_a_kill_in_the_middle_of_an_upload_leaves_no_object(
    opened: Opened, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    for spec in (ORDERS, COUNTRIES):
        _forget_everything(opened, warehouse_db)
        _kill(opened.job.only(spec), tmp_path, "before complete", 1, "--small-parts")
        assert data_objects(opened.lake), "nothing was uploaded yet"
        assert not [path for path in data_objects(opened.lake) if path.endswith(".parquet")]
        _rerun(opened, spec, source_db, warehouse_db)


def test_only_what_was_not_committed_is_read_again(
    job: Job, tmp_path: Path, source_db: Database, warehouse_db: Database
) -> None:
    """A long window commits as it goes."""
    _kill(job.only(EVENTS), tmp_path, "manifest committed", 1)
    with job.opened() as opened:
        committed = sum(manifest.rows for manifest in opened.lake.manifests(Place(EVENTS.source, EVENTS.table, "all")))
        assert 150 <= committed < 400
        report = opened.extract(EVENTS)
        assert report.rows == 400 - committed
        opened.load(EVENTS)
        assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


@pytest.mark.parametrize(("step", "nth", "rows"), [("round opened", 2, 300), ("manifest committed", 1, 300)], ids=_id)
def test_a_kill_between_rounds_of_several_readers_keeps_the_rounds_before(
    step: str, nth: int, rows: int, job: Job, tmp_path: Path, source_db: Database, warehouse_db: Database
) -> None:
    source_db.execute("ANALYZE items")
    _kill(job.only(SHARED), tmp_path, step, nth)
    with job.opened() as opened:
        manifests = opened.lake.manifests(Place(SHARED.source, SHARED.table, "all"))
        assert [manifest.rows for manifest in manifests] == [rows]
        _rerun(opened, SHARED, source_db, warehouse_db)
        again = opened.lake.manifests(Place(SHARED.source, SHARED.table, "all"))
        assert sum(manifest.rows for manifest in again) == 700, "a row was read twice"


def test_every_event_before_commit_is_a_kill_point(job: Job, source_db: Database) -> None:
    """A step that the engine gets later must be added to the matrix."""
    seen: set[str] = set()
    for round in range(2):
        job.run(lambda event, **fields: seen.add(event))
        write(source_db, round)
    assert seen - NOT_BEFORE_COMMIT == {step for _, step, _ in MATRIX if step.split()[0] not in ("before", "after")}


def _kill(job: Job, folder: Path, step: str, nth: int, *options: str) -> None:
    child = start_worker(job, folder, "--at", step, "--nth", str(nth), *options)
    output, _ = child.communicate(timeout=100)
    assert child.returncode == -signal.SIGKILL, f"not killed at {step} {nth}: {output}"
    struck()


def _rerun(opened: Opened, spec: TableSpec, source: Database, warehouse: Database, since: Marks | None = None) -> Marks:
    Opened(opened.job.only(spec), opened.source, opened.lake, opened.warehouse).run()
    return assert_invariants(source, opened.lake, warehouse, [(spec, target_of(spec))], since=since)


def _assert_a_further_run_changes_nothing(opened: Opened, spec: TableSpec, warehouse: Database) -> None:
    before = Footprint.of(warehouse, target_of(spec))
    objects = data_objects(opened.lake)
    Opened(opened.job.only(spec), opened.source, opened.lake, opened.warehouse).run()
    after = Footprint.of(warehouse, target_of(spec))
    assert after.rows == before.rows
    if spec is not ORDERS:  # its tail is not final and is read again
        assert (data_objects(opened.lake), after.ledger) == (objects, before.ledger)


def _forget_everything(opened: Opened, warehouse: Database) -> None:
    """As if nothing had ever been read."""
    assert opened.lake.root is not None
    for path in opened.lake.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    opened.lake._generation = None
    tables = warehouse.execute("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('_syncer', 'shop')")
    for schema, table in tables:
        warehouse.execute(f"DROP TABLE {schema}.{table} CASCADE")
