"""What a person may say at a single run, and whether it was a person who asked for it (DESIGN 4)."""

from dataclasses import replace
from typing import Literal

import dagster as dg
import pydantic

from ..model.table import TableSpec

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


class LakeConfig(dg.Config):
    """How this run reads its partition."""

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

    def applied_to(self, spec: TableSpec) -> TableSpec:
        """The table's settings, as this run has them."""
        if self.chunk_rows is None:
            return spec
        return replace(spec, chunk=replace(spec.chunk, rows=self.chunk_rows))


def asked_by_person(context: dg.AssetExecutionContext) -> bool:
    """True for a person's materialise or backfill; False for sensors, schedules, automation and retries.

    The tag `syncer/asked_by_person` decides where it is set.
    """
    tags = context.run.tags
    if context.retry_number > 0:
        return False
    if ASKED_TAG in tags:
        return tags[ASKED_TAG] == "true"
    return not any(tag in tags for tag in _AUTOMATIC_TAGS)
