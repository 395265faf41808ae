"""The lake in a bucket: real S3 requests, put-if-absent, lost replies, cut-off uploads, wrong keys."""

import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import obstore
import pytest
from obstore.exceptions import AlreadyExistsError, GenericError

from syncer_assets.model.errors import LakeCorrupt, LostRace, ObjectStoreError
from syncer_assets.model.report import silent
from syncer_assets.sync import lake as lake_module
from syncer_assets.sync.lake import Place, open_lake
from syncer_assets_tests.faults.invariants import Footprint, assert_invariants
from syncer_assets_tests.faults.job import (
    COUNTRIES,
    EVENTS,
    ORDERS,
    STARTED,
    Job,
    Opened,
    data_objects,
    make_tables,
    start_worker,
    target_of,
    write,
)
from syncer_assets_tests.faults.proxy import Proxy
from syncer_assets_tests.servers import Bucket, Database

pytestmark = pytest.mark.server
WRITERS = 16


@pytest.fixture
def job(source_db: Database, warehouse_db: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """The job with its lake below a prefix of the bucket; the keys are in the environment only."""
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    make_tables(source_db)
    yield Job(source_db.dsn, f"{s3.url}/lake", warehouse_db.dsn)
    while STARTED:
        child = STARTED.pop()
        child.kill()
        child.communicate()


@pytest.fixture
def opened(job: Job) -> Iterator[Opened]:
    with job.opened() as opened:
        yield opened


def test_the_whole_job_runs_on_a_bucket(opened: Opened, source_db: Database, warehouse_db: Database) -> None:
    tables = [(spec, target_of(spec)) for spec in opened.job.specs]
    marks = None
    for round in range(3):
        opened.run()
        marks = assert_invariants(source_db, opened.lake, warehouse_db, tables, since=marks)
        write(source_db, round)
    assert opened.lake.uri(_place(ORDERS)).startswith("s3://")


def test_of_many_writers_of_a_manifest_one_wins_and_is_recognised(opened: Opened) -> None:
    opened.extract(EVENTS)
    first = opened.lake.manifest(_place(EVENTS), 1)
    seq = opened.lake.seqs(_place(EVENTS))[-1] + 1
    barrier = Barrier(WRITERS)

    def commit(number: int) -> bool:
        manifest = replace(first, seq=seq, run_id=f"writer {number}")
        barrier.wait()
        try:
            open_lake(opened.job.lake_url).commit(_place(EVENTS), manifest)
        except LostRace:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        winners = [number for number, won in enumerate(pool.map(commit, range(WRITERS))) if won]
    assert [opened.lake.manifest(_place(EVENTS), seq).run_id] == [f"writer {number}" for number in winners]


def test_a_lost_reply_to_the_manifest_is_recognised(
    opened: Opened, source_db: Database, warehouse_db: Database, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy cuts the connection after the server answered."""
    url = urlsplit(s3.endpoint)
    assert url.hostname and url.port
    with Proxy((url.hostname, url.port)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        events: list[str] = []

        def emit(event: str, **fields: object) -> None:
            events.append(event)
            if event == "files written" and not proxy.cuts:
                proxy.arm(b"_manifests/00000001.json", "after")

        proxied = Opened(opened.job, opened.source, open_lake(opened.job.lake_url), opened.warehouse)
        proxied.extract(ORDERS, emit=emit)
        assert proxy.cuts == 1
    assert "attempt thrown away" not in events
    opened.load(ORDERS)
    assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


@pytest.mark.parametrize("error", [GenericError, AlreadyExistsError])
def test_an_error_after_the_manifest_was_written_is_no_failure(
    error: type[Exception],
    opened: Opened,
    source_db: Database,
    warehouse_db: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client gives up although the object is there, or sends it again and meets itself: its own bytes tell."""
    put, raised = obstore.put, []

    def put_and_raise(store: Any, path: str, body: bytes, **options: Any) -> Any:
        result = put(store, path, body, **options)
        if "_manifests" in path:
            raised.append(path)
            raise error("error sending request: connection reset")
        return result

    monkeypatch.setattr(lake_module.obstore, "put", put_and_raise)
    events: list[str] = []
    report = opened.extract(EVENTS, emit=lambda event, **fields: events.append(event))
    assert len(raised) == report.manifests == len(opened.lake.seqs(_place(EVENTS)))
    assert report.rows == 400
    opened.load(EVENTS)
    assert_invariants(source_db, opened.lake, warehouse_db, [(EVENTS, target_of(EVENTS))])


def test_an_error_before_the_manifest_was_written_is_one(
    opened: Opened, source_db: Database, warehouse_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = obstore.put

    def raise_first(store: Any, path: str, body: bytes, **options: Any) -> Any:
        if "_manifests" in path:
            raise GenericError("error sending request: connection reset")
        return put(store, path, body, **options)

    with monkeypatch.context() as patched:
        patched.setattr(lake_module.obstore, "put", raise_first)
        with pytest.raises(ObjectStoreError, match="cannot be written"):
            opened.extract(EVENTS)
    opened.run(silent)
    tables = [(spec, target_of(spec)) for spec in opened.job.specs]
    assert_invariants(source_db, opened.lake, warehouse_db, tables)


@pytest.mark.parametrize(
    ("at", "nth"), [("before complete", 1), ("after complete", 2), ("files written", 1), ("after put", 2)]
)
def test_a_killed_upload_leaves_no_object_after_the_next_run(
    at: str, nth: int, opened: Opened, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    parts = ["--small-parts"] if at == "before complete" else []
    child = start_worker(opened.job.only(ORDERS), tmp_path, "--at", at, "--nth", str(nth), *parts)
    output, _ = child.communicate(timeout=200)
    assert child.returncode == -signal.SIGKILL, output
    if at == "before complete":
        assert not data_objects(opened.lake), "an upload that was not completed is no object"
    Opened(opened.job.only(ORDERS), opened.source, opened.lake, opened.warehouse).run()
    assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


def test_a_load_killed_while_it_reads_leaves_no_copy_on_disk(
    opened: Opened, tmp_path: Path, source_db: Database, warehouse_db: Database
) -> None:
    """Objects are copied to a temporary file, whose hash is taken before a row is read."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    child = start_worker(
        opened.job.only(ORDERS), tmp_path, "--at", "before copy", "--nth", "2", environment={"TMPDIR": str(temporary)}
    )
    output, _ = child.communicate(timeout=200)
    assert child.returncode == -signal.SIGKILL, output
    assert not list(temporary.iterdir())
    Opened(opened.job.only(ORDERS), opened.source, opened.lake, opened.warehouse).run()
    assert_invariants(source_db, opened.lake, warehouse_db, [(ORDERS, target_of(ORDERS))])


@pytest.mark.parametrize("damage", ["deleted", "truncated", "changed"])
def test_a_damaged_object_stops_the_load(
    damage: str, opened: Opened, source_db: Database, warehouse_db: Database, s3: Bucket
) -> None:
    opened.extract(COUNTRIES)
    opened.load(COUNTRIES)
    write(source_db, 2)
    opened.extract(COUNTRIES)
    path = opened.lake.manifests(_place(COUNTRIES))[-1].files[-1].path
    whole = bytes(obstore.get(opened.lake.store, path).bytes())
    before = Footprint.of(warehouse_db, target_of(COUNTRIES))
    if damage == "deleted":
        obstore.delete(opened.lake.store, path)
    else:
        hurt = whole[:-5] if damage == "truncated" else whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
        obstore.put(opened.lake.store, path, hurt)
    with pytest.raises(LakeCorrupt, match=rf"{path}.*Fix: restore the object"):
        opened.load(COUNTRIES)
    assert Footprint.of(warehouse_db, target_of(COUNTRIES)) == before
    obstore.put(opened.lake.store, path, whole)
    opened.load(COUNTRIES)
    assert_invariants(source_db, opened.lake, warehouse_db, [(COUNTRIES, target_of(COUNTRIES))])


def test_a_wrong_secret_is_told_once_and_not_shown(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "C4nary/S3+secret=="
    opened.extract(ORDERS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    stranger = Opened(opened.job, opened.source, open_lake(opened.job.lake_url), opened.warehouse)
    for half in (stranger.extract, stranger.load):
        with pytest.raises(ObjectStoreError, match=r"403.*Fix: check the secret key in the environment") as raised:
            half(ORDERS)
        said = "".join((str(raised.value), repr(raised.value), repr(vars(raised.value)), repr(vars(stranger.lake))))
        assert secret not in said and secret not in pickle.dumps(raised.value).decode("latin-1")
        assert "C4nary" not in said
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 700


def _place(spec: Any) -> Place:
    return Place(spec.source, spec.table, "all")
