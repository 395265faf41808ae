"""1,200 id distributions, each read by pages, by ranges and by several readers: every row once, in few queries.

A failure names its seed. The table is a fake in memory; some dozens are read from PostgreSQL in `test_strategies`.
"""

from dataclasses import replace
from itertools import pairwise
from math import ceil
from random import Random
from typing import Any

import pytest

from syncer_assets.model.manifest import Manifest
from syncer_assets.model.report import SyncReport
from syncer_assets.model.table import ChunkSettings, FileSettings, SizeSettings, SparseSettings, TableSpec
from syncer_assets.sync import extract
from syncer_assets.sync.lake import Lake, open_lake
from syncer_assets_tests.distributions import DENSE, KINDS, SPARSE, Distribution, distributions
from syncer_assets_tests.sync.fake_table import FakeTable
from syncer_assets_tests.sync.tables import place_of, rows_of

EACH, FEWER = 100, 25
"""Distributions of each of the twelve kinds: 1,200 by pages, by ranges and by four readers, 300 by the others."""

CHUNK = 50
SPEC = TableSpec(
    source="shop",
    table="public.orders",
    cursor=("id",),
    settle_seconds=0,
    chunk=ChunkSettings(rows=CHUNK),
    sparse=SparseSettings(min_chunk_size_check=CHUNK // 2, max_chunk_size=10 * CHUNK),
)
SHARED = SizeSettings(streaming_mb=1e-9, parallel_mb=1e-9, parallel_rows=1)
BY: dict[str, dict[str, Any]] = {
    "keyset": {"strategy": "keyset"},
    "range": {"strategy": "range"},
    "range, never scaled": {"strategy": "range", "sparse": replace(SPEC.sparse, max_scale_factor=1)},
    "keyset, 4 readers": {"strategy": "keyset", "workers": 4, "sizes": SHARED},
    "range, 3 readers": {"strategy": "range", "workers": 3, "sizes": SHARED},
}
Synced = tuple[SyncReport, list[Manifest], list[int], FakeTable]


def sync(lake: Lake, found: Distribution, spec: TableSpec, **table: Any) -> Synced:
    """One sync into a place of its own; the ids of every file, also one that is there twice."""
    source = FakeTable(found.ids, unsigned=found.unsigned, **table)
    report = extract(source, lake, spec)  # type: ignore[arg-type]  # the fake has what an extraction asks for
    manifests = lake.manifests(place_of(spec))
    ids = [id_ for m in manifests for file in m.files for (id_,) in rows_of(lake, file, ["id"])]
    return report, manifests, ids, source


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", BY)
def test_every_row_once_and_never_more_queries_than_fixed_ranges(by: str, kind: str) -> None:
    lake = open_lake("memory://")
    each = EACH if by in ("keyset", "range", "keyset, 4 readers") else FEWER
    for number, found in enumerate(distributions(each, CHUNK, kinds=[kind])):
        random = Random(found.seed)
        rolled = random.choice([None, None, CHUNK])
        spec = replace(SPEC, source=f"shop-{number}", files=FileSettings(max_rows=rolled), **BY[by])
        provable = random.choice([None, None, random.choice(found.ids)])
        report, manifests, ids, source = sync(lake, found, spec, provable=provable)
        assert sorted(ids) == list(found.ids), found.seed
        assert_tiled(manifests, found.seed)
        asked = source.asked - (by != "keyset")  # the lowest id, which a loop over fixed ranges has to know too
        more = provable is not None  # what is not final yet is read behind the several readers, by one
        more += "never scaled" in by  # a gap is asked for before anything was saved
        assert asked <= found.fixed_queries + more, (found.seed, by)
        if by == "keyset":
            assert asked <= ceil(len(found.ids) / CHUNK), found.seed
        assert report.queries == source.asked + 1, found.seed


def assert_tiled(manifests: list[Manifest], seed: str) -> None:
    """Each manifest begins where the one before it ended, and what is final comes before what is not."""
    assert [m.seq for m in manifests] == list(range(1, len(manifests) + 1)), seed
    for earlier, later in pairwise(manifests):
        assert later.low == earlier.safe == earlier.high, seed
        assert not any(file.provisional for file in earlier.files), seed


@pytest.mark.parametrize("chunk", [7, 50])
def test_rows_of_one_time_are_read_once(chunk: int) -> None:
    """The window is cut by the time alone, and all rows have the same: only the key pages."""
    lake = open_lake("memory://")
    for number, found in enumerate(distributions(120, CHUNK, name="one time")):
        spec = replace(SPEC, source=f"shop-{number}", cursor=("stamp",), chunk=ChunkSettings(rows=chunk), workers=1)
        _, _, ids, source = sync(lake, found, spec)
        assert sorted(ids) == list(found.ids), found.seed
        assert source.asked <= ceil(len(found.ids) / chunk), found.seed


@pytest.mark.parametrize("strategy", ["keyset", "range"])
def test_sparse_ids_are_detected_and_dense_ones_are_not(strategy: Any) -> None:
    """The roadmap's figures: at least 95 % detected, less than 5 % false, 80 % fewer queries, 90 % fewer files."""
    lake = open_lake("memory://")
    detected: dict[bool, list[bool]] = {True: [], False: []}
    asked = fixed = files = fixed_files = 0
    for number, found in enumerate(distributions(700, CHUNK, name="detection", kinds=[*DENSE, *SPARSE])):
        is_sparse = found.kind in SPARSE
        report, _, ids, source = sync(lake, found, replace(SPEC, source=f"shop-{number}", strategy=strategy))
        assert len(ids) == len(found.ids), found.seed
        detected[is_sparse].append(report.sparse_detections > 0)
        if is_sparse and found.kind in ("sparse", "every nth", "clustered"):
            asked, fixed = asked + source.asked, fixed + found.fixed_queries
            files, fixed_files = files + report.files, fixed_files + found.fixed_files
    rates = {kind: sum(found) / len(found) for kind, found in detected.items()}
    print(f"{strategy}: detected {rates[True]:.1%}, false {rates[False]:.1%}, {asked} queries against {fixed},")
    print(f"{files} files against {fixed_files}; {sum(map(len, detected.values()))} distributions")
    assert rates[True] >= 0.95 and rates[False] < 0.05
    assert asked <= 0.20 * fixed and files <= 0.10 * fixed_files
