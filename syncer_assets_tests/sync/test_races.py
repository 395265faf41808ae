"""Two syncs of one partition at once: one wins the `seq`, the other reads afresh behind it (DESIGN 6)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest

from syncer_assets.model.errors import LakeCorrupt, LostRace
from syncer_assets.model.table import ChunkSettings, FileSettings
from syncer_assets.sources.postgres import PostgresSource
from syncer_assets.sync import extract
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.sync.tables import ORDERS, QUICK, Rig, place_of, spec_of

SPEC = spec_of(cursor=["id"], load="append")
ROWS = "INSERT INTO orders (status) SELECT 'x' FROM generate_series(1, 50)"


def at_once(rig: Rig, spec: Any, number: int, on: Callable[[int, str], None]) -> list[tuple[str, dict[str, Any]]]:
    """So many syncs at the same time; all their events."""
    events: list[tuple[str, dict[str, Any]]] = []

    def sync(which: int) -> None:
        source = PostgresSource("shop", rig.database.dsn)

        def emit(event: str, **fields: Any) -> None:
            events.append((event, fields))
            on(which, event)

        try:
            extract(source, open_lake(rig.lake.url), spec, emit=emit, backoff=QUICK)
        finally:
            source.close()

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(sync, which) for which in range(number)]:
            future.result(timeout=200)
    return events


@pytest.mark.parametrize("number", [2, 3])
def test_one_wins_and_the_others_read_afresh(rig: Rig, number: int) -> None:
    """All of them hold the same rows when they put their manifest: published twice, an append target had them twice."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    together = threading.Barrier(number)
    met: set[int] = set()

    def meet(which: int, event: str) -> None:
        if event == "files written" and which not in met:
            met.add(which)
            together.wait(timeout=120)

    events = at_once(rig, SPEC, number, meet)
    thrown = [fields["reason"] for event, fields in events if event == "attempt thrown away"]
    assert thrown == ["lost_race"] * (number - 1)
    assert len(rig.manifests(SPEC)) == 1
    rig.load(SPEC)
    assert rig.in_lake(SPEC, "id") == rig.in_warehouse("id") == rig.in_source(SPEC, "id")
    root = rig.lake.root
    assert root is not None and len(list(root.rglob("*.parquet"))) == 1, "the losers' files are gone"


def test_the_loser_goes_on_from_the_winners_marks(rig: Rig) -> None:
    """The winner commits while the loser still reads, and more rows come."""
    rig.database.execute(f"{ORDERS}; {ROWS}")

    def overtake(event: str, fields: dict[str, Any]) -> None:
        if event == "chunk read" and not rig.manifests(SPEC):
            source = PostgresSource("shop", rig.database.dsn)
            extract(source, rig.lake, SPEC, backoff=QUICK)
            source.close()
            rig.database.execute(ROWS)

    report = rig.sync(SPEC, on=overtake)
    assert report.rows == 50, "what the winner had not"
    assert [manifest.seq for manifest in rig.manifests(SPEC)] == [1, 2]
    rig.load(SPEC)
    assert rig.in_lake(SPEC, "id") == rig.in_warehouse("id") == rig.in_source(SPEC, "id")


def test_a_race_in_the_middle_of_a_long_window(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}; {ROWS}")
    spec = spec_of(cursor=["id"], load="append", chunk=ChunkSettings(rows=9), files=FileSettings(max_rows=9))
    at_once(rig, spec, 2, lambda which, event: None)
    rig.load(spec)
    assert rig.in_lake(spec, "id") == rig.in_warehouse("id") == rig.in_source(spec, "id")


def test_a_lost_reply_is_recognised(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest was put, but the store's answer never came, and the second try finds it taken: by ourselves."""
    rig.database.execute(f"{ORDERS}; {ROWS}")
    put = rig.lake.put_if_absent

    def put_twice(path: str, body: bytes) -> bool:
        put(path, body)
        return put(path, body)

    monkeypatch.setattr(rig.lake, "put_if_absent", put_twice)
    rig.sync(SPEC)
    assert rig.told("attempt thrown away") == [] and rig.head(SPEC).rows == 50


def test_bytes_are_never_published_under_another_seq(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    rig.sync(SPEC)
    other = rig.head(SPEC)
    with pytest.raises(LostRace, match=r"public\.orders \[all\]: another sync committed manifest 1 first"):
        rig.lake.commit(place_of(SPEC), type(other)(**{**vars(other), "run_id": "another"}))
    rig.lake.commit(place_of(SPEC), other)


def test_a_missing_manifest_is_never_taken_for_a_free_seq(rig: Rig) -> None:
    rig.database.execute(f"{ORDERS}; {ROWS}")
    for _ in range(3):
        rig.sync(SPEC)
        rig.database.execute(ROWS)
    obstore.delete(rig.lake.store, place_of(SPEC).manifest(2))
    with pytest.raises(LakeCorrupt, match=r"public\.orders \[all\]: manifest 2 is missing"):
        rig.sync(SPEC)


def test_what_another_sync_removed_first_is_removed(tmp_path: Path) -> None:
    lake = open_lake(f"file://{tmp_path}")
    for name in ("a", "b"):
        lake.put_if_absent(name, b"data")
    lake.remove(["a", "gone", "b"])
    assert not [path for path in tmp_path.iterdir() if path.is_file()]
