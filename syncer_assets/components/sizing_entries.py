"""The YAML of warehouse sizing, and the engine's form of it."""

import dagster as dg
from pydantic import Field

from ..model.sizing import SizeRules, SizeStep
from .fields import Duration, PositiveFloat, PositiveInt, parse_duration


class SizeStepEntry(dg.Resolvable, dg.Model):
    """The size of loads of up to so many megabytes."""

    size: str | int = Field(description="Snowflake: XSMALL, SMALL, MEDIUM, ..; Redshift Serverless: RPUs.")
    up_to_mb: PositiveFloat | None = Field(default=None, description="Megabytes of Parquet; without it any number.")


class SizingEntry(dg.Resolvable, dg.Model):
    """How large the compute is while a load runs, or a keyed update fetches; it is put back to what was found.

    ```yaml
    sizing:
      sizes: [{up_to_mb: 100, size: XSMALL}, {up_to_mb: 2000, size: MEDIUM}, {size: LARGE}]
      acceleration: 8
      restore_after: 10m
    ```
    """

    sizes: list[SizeStepEntry] = Field(description="The sizes, by the bytes of a load, or of what is fetched.")
    acceleration: PositiveInt | None = Field(
        default=None, description="QUERY_ACCELERATION_MAX_SCALE_FACTOR while a load runs; Snowflake only."
    )
    restore_after: Duration = Field(default="10m", description="A load that was silent for so long counts as dead.")
    book: str | None = Field(
        default=None,
        description="Snowflake: the database whose `_SYNCER.SIZING` has the sizes found; the DSN's unless it is given. "
        "The same for all entries that use one virtual warehouse.",
    )

    def to_rules(self) -> SizeRules:
        """The engine's form."""
        return SizeRules(
            tuple(SizeStep(str(step.size), step.up_to_mb) for step in self.sizes),
            self.acceleration,
            parse_duration(self.restore_after),
            self.book,
        )
