"""An API's pages in a bucket: put if absent, named after the commit, gone on with; loaded by nobody before."""

import gzip
import json

import obstore
import pytest

from syncer_assets.model.api import Api
from syncer_assets.model.errors import LostRace, SyncError
from syncer_assets.sync.api import extract, extract_pages, streams
from syncer_assets.sync.lake import Lake, Place, open_lake
from syncer_assets_tests.misbehaving_api import Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.servers import Bucket
from syncer_assets_tests.sync.api.rig import FAST, PAGED, QUICK

GOOD = paged(orders(45))
PLACE = Place("crm", "orders", "all")


def read(lake: Lake, server: MisbehavingApi, mode: extract.Mode = "auto"):
    return extract_pages(
        lake,
        Api("crm", limits=FAST, backoff=QUICK),
        PAGED,
        "all",
        base_url=server.url,
        secrets={},
        run_id="r",
        mode=mode,
    )


def files(lake: Lake) -> list[str]:
    return [path for path in lake.paths(PLACE.folder) if path.endswith(".jsonl.gz")]


@pytest.mark.server
def test_pages_reach_a_bucket_whole_or_not_at_all(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(streams, "STEP_SECONDS", 0.0)
    lake = open_lake(f"{s3.url}/lake")

    def refusing(asked: Asked) -> Reply:
        return Reply(b"", 403) if asked.int("page", 1) == 4 else GOOD(asked)

    with MisbehavingApi(refusing) as server, pytest.raises(SyncError, match="answered 403"):
        read(lake, server)
    assert files(lake) == [] and len(lake.paths(PLACE.folder)) == 4, "attempt.json and a step a page"

    with MisbehavingApi(GOOD) as server:
        with monkeypatch.context() as patch:
            patch.setattr(extract, "publish", _killed)
            with pytest.raises(KeyboardInterrupt):
                read(lake, server)
        assert files(lake) == [] and lake.seqs(PLACE) == [1]
        assert [asked.int("page", 1) for asked in server.asked] == [4, 5]
        report = read(lake, server)
        assert report.unchanged and report.seq == 2 and len(files(lake)) == 1
        assert [path for path in lake.paths(PLACE.folder) if "_attempts" in path] == []

        def meanwhile(asked: Asked) -> Reply:
            if asked.int("page", 1) == 3:
                read(lake, server, "full")
            return GOOD(asked)

        with MisbehavingApi(meanwhile) as slower, pytest.raises(LostRace):
            read(lake, slower)
    head = extract.head_of(lake, PLACE)
    assert head is not None and head.seq == 3
    body = b"".join(gzip.decompress(bytes(obstore.get(lake.store, file.path).bytes())) for file in head.files)
    assert [json.loads(line)["id"] for line in body.splitlines()] == list(range(1, 46))


def _killed(*_: object) -> int:
    raise KeyboardInterrupt
