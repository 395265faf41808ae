"""Who asked for a run is told from its tags."""

import dagster as dg
import pytest

from syncer_assets.assets.run_config import LakeConfig, SizesConfig, SparseConfig, asked_by_person
from syncer_assets.model.table import ChunkSettings, FileSettings, SizeSettings, SparseSettings, TableSpec


def asked(tags: dict[str, str]) -> bool:
    answers = []

    @dg.asset
    def probe(context: dg.AssetExecutionContext) -> None:
        answers.append(asked_by_person(context.run.tags))

    dg.materialize([probe], tags=tags)
    return answers[0]


@pytest.mark.parametrize(
    ("tags", "by_person"),
    [
        ({}, True),
        ({"dagster/backfill": "abc"}, True),
        ({"dagster/sensor_name": "new_rows__shop"}, False),
        ({"dagster/schedule_name": "nightly"}, False),
        ({"dagster/backfill": "abc", "dagster/from_automation_condition": "true"}, False),
        ({"dagster/parent_run_id": "abc"}, False),
        ({"dagster/retry_number": "1"}, False),
        ({"syncer/asked_by_person": "false"}, False),
        ({"syncer/asked_by_person": "true", "dagster/schedule_name": "nightly"}, True),
    ],
)
def test_who_asked(tags: dict[str, str], by_person: bool) -> None:
    assert asked(tags) is by_person


def test_a_persons_run_is_theirs_at_every_try_of_a_step() -> None:
    answers = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def probe(context: dg.AssetExecutionContext) -> None:
        answers.append(asked_by_person(context.run.tags))
        if len(answers) == 1:
            raise RuntimeError

    dg.materialize([probe])
    assert answers == [True, True]


def test_the_config_of_a_run_changes_the_chunk_and_nothing_else() -> None:
    spec = TableSpec("shop", "t", cursor=("id",))
    assert LakeConfig().applied_to(spec) == spec
    changed = LakeConfig(chunk_rows=7).applied_to(spec)
    assert changed.chunk == ChunkSettings(7, spec.chunk.target_seconds)


def test_the_config_of_a_run_reaches_every_setting_of_reading() -> None:
    config = LakeConfig(
        chunk_rows=1,
        chunk_target_seconds=2.0,
        file_target_mb=3.0,
        file_min_rows=4,
        file_max_rows=5,
        strategy="range",
        workers=6,
        memory_mb=7,
        sparse=SparseConfig(
            enabled=False,
            efficiency_threshold=0.5,
            min_chunk_size_check=8,
            consecutive_sparse_limit=9,
            max_scale_factor=10,
            max_chunk_size=11,
        ),
        sizes=SizesConfig(streaming_mb=12.0, parallel_mb=13.0, parallel_rows=14),
    )
    assert config.applied_to(TableSpec("shop", "t", cursor=("id",))) == TableSpec(
        "shop",
        "t",
        cursor=("id",),
        chunk=ChunkSettings(1, 2.0),
        files=FileSettings(3.0, 4, 5),
        strategy="range",
        workers=6,
        memory_mb=7,
        sparse=SparseSettings(False, 0.5, 8, 9, 10, 11),
        sizes=SizeSettings(12.0, 13.0, 14),
    )


def test_a_profile_of_a_run_gives_way_to_what_is_given_beside_it() -> None:
    spec = TableSpec("shop", "t", cursor=("id",), workers=4)
    small = LakeConfig(profile="small", memory_mb=64).applied_to(spec)
    assert (small.workers, small.memory_mb, small.chunk.rows) == (1, 64, 50_000)


@pytest.mark.parametrize("workers", [0, 17])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: int) -> None:
    with pytest.raises(ValueError, match="workers"):
        LakeConfig(workers=workers)


def test_a_wrong_mode_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="'auto', 'continue' or 'full'"):
        LakeConfig(mode="all")  # type: ignore[arg-type]  # what the test is about
