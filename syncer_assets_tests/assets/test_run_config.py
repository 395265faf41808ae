"""Who asked for a run is told from its tags."""

import dagster as dg
import pytest

from syncer_assets.assets.run_config import LakeConfig, asked_by_person
from syncer_assets.model.table import ChunkSettings, TableSpec


def asked(tags: dict[str, str]) -> bool:
    answers = []

    @dg.asset
    def probe(context: dg.AssetExecutionContext) -> None:
        answers.append(asked_by_person(context))

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


def test_a_retry_of_a_step_is_not_a_person() -> None:
    answers = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def probe(context: dg.AssetExecutionContext) -> None:
        answers.append(asked_by_person(context))
        if len(answers) == 1:
            raise RuntimeError

    dg.materialize([probe])
    assert answers == [True, False]


def test_the_config_of_a_run_changes_the_chunk_and_nothing_else() -> None:
    spec = TableSpec("shop", "t", cursor=("id",))
    assert LakeConfig().applied_to(spec) == spec
    changed = LakeConfig(chunk_rows=7).applied_to(spec)
    assert changed.chunk == ChunkSettings(7, spec.chunk.target_seconds)


def test_a_wrong_mode_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="'auto', 'continue' or 'full'"):
        LakeConfig(mode="all")  # type: ignore[arg-type]  # what the test is about
