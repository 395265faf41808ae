"""No room to write: one clear error, nothing half done, and the next run goes on."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.errors import ObjectStoreError
from syncer_assets.model.table import FileSettings
from syncer_assets.sync.lake import Place
from syncer_assets_tests.faults.invariants import assert_invariants
from syncer_assets_tests.faults.job import EVENTS, Job, lake_objects, start_worker, target_of
from syncer_assets_tests.servers import Database

NOISE = replace(EVENTS, table="public.noise", files=FileSettings(max_rows=300))


@pytest.fixture
def noisy(job: Job, source_db: Database) -> Job:
    """1.8 MB that nothing compresses: six files and manifests of 300 kB."""
    source_db.execute(
        "CREATE TABLE noise (id bigserial PRIMARY KEY, what text);"
        "INSERT INTO noise (what) SELECT (SELECT string_agg(encode(sha512((i || ':' || j)::text::bytea), 'base64'), '')"
        " FROM generate_series(1, 11) j) FROM generate_series(1, 1800) i"
    )
    return job.only(NOISE)


@pytest.fixture
def small_disk(lake_dir: Path) -> Iterator[Path]:
    """A file system of 1 MB in the lake's place; only root may mount one."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", lake_dir], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here; the test with a file size limit needs no mount")
    yield lake_dir
    subprocess.run(["umount", lake_dir], check=True)


def test_a_full_disk_is_told_and_the_next_run_goes_on(
    noisy: Job, small_disk: Path, source_db: Database, warehouse_db: Database
) -> None:
    with noisy.opened() as opened:
        with pytest.raises(ObjectStoreError, match=r"public\.noise.*No space left.*Fix: check free space") as raised:
            opened.run()
        assert "\n" not in str(raised.value)
        committed = opened.lake.seqs(Place("shop", "public.noise", "all"))
        assert committed, "what fitted was committed on the way"
        _assert_nothing_half_done(lake_objects(opened.lake))
        subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
        report = opened.run().syncs[0]
        assert report.rows < 1800
        assert_invariants(source_db, opened.lake, warehouse_db, [(NOISE, target_of(NOISE))])


def test_a_file_that_may_not_grow_is_told_and_the_next_run_goes_on(
    noisy: Job, source_db: Database, warehouse_db: Database, tmp_path: Path
) -> None:
    child = start_worker(noisy, tmp_path, "--largest-file", "100000")
    output, _ = child.communicate(timeout=200)
    assert child.returncode == 1 and '"error": "object_store"' in output and "public.noise" in output, output
    with noisy.opened() as opened:
        _assert_nothing_half_done(lake_objects(opened.lake))
        opened.run()
        assert_invariants(source_db, opened.lake, warehouse_db, [(NOISE, target_of(NOISE))])


def test_a_lake_that_is_not_writable_is_told(job: Job, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ObjectStoreError, match=r"cannot be made .*Fix: give the user write permission"),
        replace(job, lake_url=f"file://{tmp_path}/file/lake").opened(),
    ):
        pass


def _assert_nothing_half_done(objects: list[str]) -> None:
    assert not [path for path in objects if not path.endswith((".json", ".parquet"))], objects
