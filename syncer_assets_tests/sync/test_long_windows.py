"""A long window commits as it goes, and after an error only what was not committed is read again (DESIGN 5)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from syncer_assets.model.table import ChunkSettings, FileSettings, TableSpec
from syncer_assets_tests.servers import poll
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of, transaction

ROWS = 200
INSERT = """
INSERT INTO orders (status, updated_at)
SELECT 'x', '2024-01-01'::timestamptz + g / %s * interval '1 s' FROM generate_series(1, %s) g
"""
SMALL = {"chunk": ChunkSettings(rows=20), "files": FileSettings(max_rows=20)}
BY_ID = spec_of(cursor=["id"], **SMALL)
BY_TIME = spec_of(**SMALL)
BOTH = spec_of(cursor=["updated_at", "id"], **SMALL)
EACH = pytest.mark.parametrize("spec", [BY_ID, BY_TIME, BOTH], ids=["id", "time", "both"])


class Killed(Exception):
    """Raised into the engine."""


def filled(rig: Rig, rows_of_one_time: int = 7) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute(INSERT, [rows_of_one_time, ROWS])


def killed_at_chunk(number: int) -> Any:
    """Raises when that many chunks were read."""
    seen: list[str] = []

    def on(event: str, fields: dict[str, Any]) -> None:
        if event == "chunk read":
            seen.append(event)
            if len(seen) == number:
                raise Killed

    return on


def assert_tiled(rig: Rig, spec: TableSpec) -> None:
    """The manifests' windows lie behind each other without gap or overlap, and each row is in the one it belongs to."""
    manifests = rig.manifests(spec)
    assert [manifest.seq for manifest in manifests] == list(range(1, len(manifests) + 1))
    assert manifests[0].low is None
    for earlier, later in pairwise(manifests):
        assert later.low == earlier.safe == earlier.high, (earlier.seq, later.seq)
    files = [file for manifest in manifests for file in manifest.files]
    assert all(one.max < other.min for one, other in pairwise(files) if spec.cursor == ("id",))  # type: ignore[operator]  # ids
    assert sum(file.rows for file in files) == ROWS


@EACH
@pytest.mark.parametrize("load", ["upsert", "append"])
def test_manifests_tile_the_window(rig: Rig, spec: TableSpec, load: Any) -> None:
    filled(rig)
    spec = replace(spec, load=load)
    report = rig.sync(spec)
    assert report.manifests > 4 and report.rows == ROWS
    assert_tiled(rig, spec)
    rig.load(spec)
    assert rig.in_lake(spec, "id") == rig.in_warehouse("id") == rig.in_source(spec, "id")


@EACH
@pytest.mark.parametrize("load", ["upsert", "append"])
@pytest.mark.parametrize("chunk", [2, 4, 7])
def test_after_an_error_only_what_was_not_committed_is_read_again(
    rig: Rig, spec: TableSpec, load: Any, chunk: int
) -> None:
    filled(rig)
    spec = replace(spec, load=load)
    with pytest.raises(Killed):
        rig.sync(spec, on=killed_at_chunk(chunk))
    committed = sum(manifest.rows for manifest in rig.manifests(spec))
    rig.load(spec)
    rig.events.clear()
    rig.sync(spec)
    assert rig.rows_read() == ROWS - committed
    assert committed > 0
    assert_tiled(rig, spec)
    rig.load(spec)
    assert rig.in_lake(spec, "id") == rig.in_warehouse("id") == rig.in_source(spec, "id")


def test_what_an_error_left_behind_is_removed(rig: Rig) -> None:
    filled(rig)
    with pytest.raises(Killed):
        rig.sync(BY_ID, on=killed_at_chunk(5))
    rig.sync(BY_ID)
    root = rig.lake.root
    assert root is not None
    there = {str(path.relative_to(root)) for path in root.rglob("*.parquet")}
    assert there == {file.path for manifest in rig.manifests(BY_ID) for file in manifest.files}


def test_a_commit_never_cuts_a_group_of_one_time(rig: Rig) -> None:
    """`high` is the last value that was read completely: a row of that time may still be to come."""
    filled(rig, rows_of_one_time=33)
    rig.sync(BY_TIME)
    assert_tiled(rig, BY_TIME)
    assert len(rig.manifests(BY_TIME)) > 2


def test_it_commits_by_time_also_where_no_file_is_full(rig: Rig) -> None:
    filled(rig)
    rig.sync(spec_of(cursor=["id"], chunk=ChunkSettings(rows=50), commit_every=timedelta(0)))
    assert len(rig.manifests(BY_ID)) == 4


def test_files_are_closed_at_their_size(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    rig.database.execute(
        "INSERT INTO orders (status) SELECT string_agg(md5(g::text || h), '') FROM generate_series(1, 4000) g,"
        " generate_series(1, 8) h GROUP BY g"
    )
    spec = spec_of(cursor=["id"], chunk=ChunkSettings(rows=250), files=FileSettings(target_mb=0.1))
    rig.sync(spec)
    sizes = [file.bytes for manifest in rig.manifests(spec) for file in manifest.files]
    assert len(sizes) > 2 and max(sizes) < 3 * 0.1 * 1024 * 1024
    assert min(sizes[:-1]) > 0.1 * 1024 * 1024, "a commit on the way leaves no small file beside the full one"
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")


def test_what_is_not_final_is_never_committed_on_the_way(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    with transaction(rig.database, "INSERT INTO orders (status) VALUES ('late')") as writer:
        rig.database.execute(INSERT, [7, ROWS])
        rig.sync(BY_ID, writers_open=True)
        [manifest] = rig.manifests(BY_ID)
        assert manifest.safe is None and all(file.provisional for file in manifest.files)
        writer.commit()
    rig.sync(BY_ID)
    assert rig.in_lake(BY_ID, "id") == rig.in_source(BY_ID, "id")


def test_a_reader_that_is_killed_goes_on_behind_the_last_row(rig: Rig) -> None:
    """The table is a slow view, so that there is time to kill its reader in the third chunk."""
    filled(rig)
    rig.database.execute(
        "CREATE FUNCTION nap() RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN NULL; END';"
        "CREATE VIEW slow AS SELECT o.*, CASE WHEN id = 50 THEN nap() END AS pause FROM orders o"
    )
    spec = replace(BY_ID, table="public.slow", key=("id",), files=FileSettings())
    kill = (
        "SELECT pg_terminate_backend(pid, 5000), pid FROM pg_stat_activity"
        " WHERE application_name = 'syncer_assets source' AND wait_event = 'PgSleep' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(lambda: poll(lambda: rig.database.execute(kill), 60))

        def go_on(event: str, fields: dict[str, Any]) -> None:
            if event == "source connection lost, reading on":
                rig.database.execute("CREATE OR REPLACE VIEW slow AS SELECT o.*, NULL::text AS pause FROM orders o")

        rig.sync(spec, on=go_on)
        assert len(killed.result()) == 1
    assert len(rig.told("source connection lost, reading on")) == 1
    assert rig.rows_read() == ROWS == sum(file.rows for manifest in rig.manifests(spec) for file in manifest.files)
    assert rig.in_lake(spec, "id") == rig.in_source(spec, "id")
