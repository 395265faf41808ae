"""A row that is committed late, below a ceiling that was read already, is not lost (DESIGN 5).

1,000 seeded trials: writers draw ids and times, commit, roll back, prepare, and do so between any two statements of
the sync. A failure names its seeds.
"""

from dataclasses import replace

import pytest

from syncer_assets.model.table import Load, TableSpec
from syncer_assets_tests.sync.tables import Rig, spec_of
from syncer_assets_tests.sync.writers import Crowd, between_statements

TRIALS = 250
TRIALS_A_BATCH = 25
"""What was lost once stays lost, since `safe` never falls: it is enough to look after a batch of trials."""


@pytest.mark.parametrize("load", ["upsert", "append"])
@pytest.mark.parametrize("cursor", ["id", "updated_at"])
def test_late_commits_are_not_lost(rig: Rig, cursor: str, load: Load) -> None:
    crowd = Crowd(rig.database, updates=(cursor, load) == ("updated_at", "upsert"))
    try:
        for first in range(0, TRIALS, TRIALS_A_BATCH):
            seeds = [f"{cursor}-{load}-{number}" for number in range(first, first + TRIALS_A_BATCH)]
            spec = replace(spec_of("public.events", [cursor], load=load), source=f"shop-{first}")
            rig.target = replace(rig.target, table=f"events_{first}")
            for seed in seeds:
                trial(rig, crowd, spec, seed)
            assert_nothing_lost(rig, spec, f"seeds {seeds[0]} to {seeds[-1]}")
    finally:
        crowd.close()


def trial(rig: Rig, crowd: Crowd, spec: TableSpec, seed: str) -> None:
    """Some writing, a sync in the middle of it (now and then two), and every writer comes to its end."""
    random = crowd.seed(seed)

    def burst_now_and_then() -> None:
        if random.random() < 0.08:
            for _ in range(random.randint(1, 6)):
                crowd.step()

    for _ in range(random.choice([1, 1, 1, 2])):
        for _ in range(random.randint(2, 8)):
            crowd.step()
        with between_statements(rig.source, burst_now_and_then):
            rig.sync(spec, writers_open=True)
        if random.random() < 0.1:
            rig.load(spec)
    crowd.finish()


def assert_nothing_lost(rig: Rig, spec: TableSpec, seeds: str) -> None:
    """The source is quiet now, and two syncs run."""
    for _ in range(2):
        rig.sync(spec)
    rig.load(spec)
    expected = rig.in_source(spec, "id", "v")
    assert rig.in_lake(spec, "id", "v") == expected, seeds
    assert rig.in_warehouse("id", "v") == expected, seeds
    head = rig.head(spec)
    assert head.safe == head.high and not any(file.provisional for file in head.files), seeds
