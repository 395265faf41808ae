"""What a person may say at a single run, and whether it was a person who asked for it (DESIGN 4)."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Literal, TypeVar

import dagster as dg
import pydantic

from ..model.table import WORKERS_MOST, TableSpec, with_profile

T = TypeVar("T")

ASKED_TAG = "syncer/asked_by_person"

# Set by Dagster on what its own machinery asks for: sensors, schedules, automation, and retries of runs.
_AUTOMATIC_TAGS = (
    "dagster/sensor_name",
    "dagster/schedule_name",
    "dagster/auto_materialize",
    "dagster/from_automation_condition",
    "dagster/retry_number",
    "dagster/parent_run_id",
)


class SparseConfig(dg.Config):
    """The table's `sparse` settings, as this run has them."""

    enabled: bool | None = pydantic.Field(default=None, description="Whether sparse ranges are looked for.")
    efficiency_threshold: float | None = pydantic.Field(
        default=None, ge=0, le=1, description="Rows an id below which a range is sparse."
    )
    min_chunk_size_check: int | None = pydantic.Field(default=None, gt=0, description="Only larger ranges are judged.")
    consecutive_sparse_limit: int | None = pydantic.Field(
        default=None, gt=0, description="Sparse ranges in a row after which the loop asks where the next row lies."
    )
    max_scale_factor: int | None = pydantic.Field(
        default=None, gt=0, description="How many times its size a range may grow to."
    )
    max_chunk_size: int | None = pydantic.Field(
        default=None, gt=0, description="Ids that a scaled range spans at most."
    )


class SizesConfig(dg.Config):
    """The table's `sizes` settings, as this run has them."""

    streaming_mb: float | None = pydantic.Field(
        default=None, gt=0, description="From here on reading runs ahead of writing."
    )
    parallel_mb: float | None = pydantic.Field(
        default=None, gt=0, description="From here on `workers` readers share a window."
    )
    parallel_rows: int | None = pydantic.Field(default=None, gt=0, description="The rows that this takes as well.")


class LakeConfig(dg.Config):
    """How this run reads its partition. What is left empty is as the table's YAML has it."""

    mode: Literal["auto", "continue", "full"] = pydantic.Field(
        default="auto",
        description=(
            "auto: read an open partition on from its mark, re-read a closed one if a person asked; "
            "continue: only what is new; full: re-read the partition whole and replace it."
        ),
    )
    chunk_rows: int | None = pydantic.Field(
        default=None, gt=0, description="The most rows that one query asks for, instead of the table's own setting."
    )
    chunk_target_seconds: float | None = pydantic.Field(
        default=None, gt=0, description="Chunks shrink until a query takes no longer."
    )
    file_target_mb: float | None = pydantic.Field(
        default=None, gt=0, description="Compressed size at which a file is closed."
    )
    file_min_rows: int | None = pydantic.Field(
        default=None, gt=0, description="Rows below which a file is not closed, and nothing is committed on the way."
    )
    file_max_rows: int | None = pydantic.Field(default=None, gt=0, description="Rows at which a file is closed.")
    strategy: Literal["as_declared", "auto", "keyset", "range"] = pydantic.Field(
        default="as_declared",
        description="keyset: pages behind the last row; range: ranges of ids; auto: what indexes serve.",
    )
    workers: int | None = pydantic.Field(
        default=None, ge=1, le=WORKERS_MOST, description="Readers that share a large window of an integer cursor."
    )
    memory_mb: int | None = pydantic.Field(default=None, gt=0, description="The memory that a sync may use.")
    profile: Literal["as_declared", "small"] = pydantic.Field(
        default="as_declared",
        description="small: one worker, 128 MB, small chunks and files. Fields given here win over it.",
    )
    sparse: SparseConfig = pydantic.Field(default=SparseConfig(), description="When ids count as sparse.")
    sizes: SizesConfig = pydantic.Field(
        default=SizesConfig(), description="From which estimated size on a window is read how."
    )

    def applied_to(self, spec: TableSpec) -> TableSpec:
        """The table's settings, as this run has them."""
        spec = with_profile(spec, "small" if self.profile == "small" else "standard")
        chunk = {"rows": self.chunk_rows, "target_seconds": self.chunk_target_seconds}
        files = {"target_mb": self.file_target_mb, "min_rows": self.file_min_rows, "max_rows": self.file_max_rows}
        spec = replace(
            spec,
            chunk=_over(spec.chunk, chunk),
            files=_over(spec.files, files),
            sparse=_over(spec.sparse, self.sparse.model_dump()),
            sizes=_over(spec.sizes, self.sizes.model_dump()),
        )
        strategy = None if self.strategy == "as_declared" else self.strategy
        return _over(spec, {"strategy": strategy, "workers": self.workers, "memory_mb": self.memory_mb})


@cache
def lake_config_schema() -> dg.Field:
    """The schema of LakeConfig, made once: Dagster would make it for each table, a sixth of the time of 500 tables."""
    return LakeConfig.to_config_schema().as_field()


def _over(settings: T, given: Mapping[str, object]) -> T:
    """`settings` with what was given."""
    found = {name: value for name, value in given.items() if value is not None}
    return replace(settings, **found)  # type: ignore[type-var]  # dataclasses


def asked_by_person(tags: Mapping[str, str]) -> bool:
    """True for a person's materialise or backfill; False for sensors, schedules, automation and retries of runs.

    By the run's tags; `syncer/asked_by_person` decides where it is set. Each try of a step counts as the first did: one
    that left a re-read to the next would else be followed by one that finds nothing to do, and is green.
    """
    if ASKED_TAG in tags:
        return tags[ASKED_TAG] == "true"
    return not any(tag in tags for tag in _AUTOMATIC_TAGS)
