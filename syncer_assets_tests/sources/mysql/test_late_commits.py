"""A row that is committed late, below a ceiling that was read already, is not lost on MariaDB (DESIGN 5, rule 3).

Seeded trials: writers draw ids and times, commit, roll back, prepare and hang up, and do so between any two statements
of the sync. A failure names its seeds.
"""

from dataclasses import replace

import pytest

from syncer_assets.model.table import Load, TableSpec
from syncer_assets.sources.mysql import proof
from syncer_assets_tests.sources.mysql.rig import MariaRig
from syncer_assets_tests.sources.mysql.writers import Crowd, between_statements
from syncer_assets_tests.sync.tables import spec_of

TRIALS = 40
TRIALS_A_BATCH = 20


@pytest.mark.parametrize(("cursor", "load"), [("id", "append"), ("updated_at", "upsert")])
def test_late_commits_are_not_lost(maria_rig: MariaRig, cursor: str, load: Load) -> None:
    assert lost(maria_rig, cursor, load, TRIALS) == set()


def test_without_the_list_of_writers_rows_are_lost(maria_rig: MariaRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trials find what the proof is there for."""
    monkeypatch.setattr(proof, "writers", lambda *_: [])
    assert lost(maria_rig, "id", "upsert", TRIALS_A_BATCH)


def lost(rig: MariaRig, cursor: str, load: Load, trials: int) -> set[tuple]:
    """The rows that the lake or the warehouse does not have when all is quiet."""
    crowd = Crowd(rig.maria)
    found: set[tuple] = set()
    try:
        for first in range(0, trials, TRIALS_A_BATCH):
            spec = replace(spec_of("events", [cursor], load=load), source=f"shop-{first}")
            rig.target = replace(rig.target, table=f"events_{first}")
            for number in range(first, first + TRIALS_A_BATCH):
                trial(rig, crowd, spec, f"{cursor}-{load}-{number}")
            crowd.finish()
            found |= lost_when_quiet(rig, spec)
    finally:
        crowd.close()
    print(f"seeds {cursor}-{load}-0 to {trials - 1}")  # shown with a failure
    return found


def trial(rig: MariaRig, crowd: Crowd, spec: TableSpec, seed: str) -> None:
    """Some writing, a sync in the middle of it, and now and then every writer comes to its end."""
    random = crowd.seed(seed)

    def burst_now_and_then() -> None:
        if random.random() < 0.15:
            for _ in range(random.randint(1, 5)):
                crowd.step()

    for _ in range(random.randint(2, 8)):
        crowd.step()
    with between_statements(burst_now_and_then):
        rig.sync(spec, writers_open=True)
    if random.random() < 0.1:
        rig.load(spec)
    if random.random() < 0.5:
        crowd.finish()


def lost_when_quiet(rig: MariaRig, spec: TableSpec) -> set[tuple]:
    for _ in range(2):
        rig.sync(spec)
    rig.load(spec)
    columns = ("id",) if spec.cursor == ("id",) else ("id", "v")
    expected = rig.in_source(spec, *columns)
    return set(expected - rig.in_lake(spec, *columns)) | set(expected - rig.in_warehouse(*columns))
