"""The marks that a tick remembers are those of the lake as it is: one listing, and a read where it moved on."""

import pytest

from syncer_assets.model.errors import LakeCorrupt
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.sync import heads
from syncer_assets.sync.heads import head_of
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets_tests.servers import Bucket
from syncer_assets_tests.sync.tables import ORDERS, Rig, spec_of

INSERT = "INSERT INTO orders (status) VALUES ('x')"
BY_ID = spec_of(cursor=["id"])


def sync_once(rig: Rig) -> None:
    rig.database.execute(INSERT)
    rig.sync(BY_ID)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The objects that are fetched."""
    fetched: list[str] = []
    get = Lake.get

    def counted(lake: Lake, path: str) -> bytes:
        fetched.append(path)
        return get(lake, path)

    monkeypatch.setattr(Lake, "get", counted)
    return fetched


def test_a_manifest_is_fetched_once_however_often_a_tick_looks(rig: Rig, reads: list[str]) -> None:
    rig.database.execute(ORDERS)
    place = Place(BY_ID.source, BY_ID.table, "all")
    assert head_of(rig.lake, place) is None
    for seq in (1, 2, 3):
        sync_once(rig)
        reads.clear()
        heads = [head_of(rig.lake, place) for _ in range(3)]
        assert [head.seq if head else 0 for head in heads] == [seq] * 3
        assert reads == [place.manifest(seq)]
        stored = rig.lake.head(place)
        assert stored and heads[-1] and (stored.safe, stored.high) == (heads[-1].safe, heads[-1].high)


def test_a_closed_partition_is_left_alone_for_a_while(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(cursor=["id"], partitions=PartitionScheme(by="id", size=2))
    rig.database.execute(ORDERS)
    for _ in range(4):
        rig.database.execute(INSERT)
    place = Place(spec.source, spec.table, "000000000000-000000000001")
    rig.sync(spec, place.partition)
    assert (head := head_of(rig.lake, place)) and head.closed
    rig.sync(spec, place.partition, mode="full")
    assert (again := head_of(rig.lake, place)) and again.seq == 1
    monkeypatch.setattr(heads, "CLOSED_SECONDS", 0.0)
    assert (later := head_of(rig.lake, place)) and later.seq == 2


def test_a_lake_that_was_wiped_and_filled_again_is_seen(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    place = Place(BY_ID.source, BY_ID.table, "all")
    for _ in range(2):
        sync_once(rig)
    before = head_of(rig.lake, place)
    rig.lake.remove(rig.lake.paths(place.folder))
    assert head_of(rig.lake, place) is None
    for _ in range(2):
        sync_once(rig)
    again = head_of(rig.lake, place)
    assert before and again and again.seq == before.seq and again.high != before.high


def test_a_missing_manifest_is_told(rig: Rig) -> None:
    rig.database.execute(ORDERS)
    place = Place(BY_ID.source, BY_ID.table, "all")
    sync_once(rig)
    assert head_of(rig.lake, place)
    for _ in range(3):
        sync_once(rig)
    rig.lake.remove([place.manifest(3)])
    with pytest.raises(LakeCorrupt, match="manifest 3 is missing"):
        head_of(rig.lake, place)


def test_a_bucket_lists_from_the_last_manifest_on(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    lake, place = open_lake(f"{s3.url}/lake"), Place("shop", "public.orders", "all")
    for seq in range(1, 6):
        assert lake.put_if_absent(place.manifest(seq), b"{}")
    last = lake.last(place)
    assert last and last[0] == 5 and lake.last(place, since=5) == last
    assert list(lake._stamps(place, since=4)) == [4, 5], "what lies before was listed again"
    assert lake.last(place, since=9) == last, "another lake than before: listed anew"
