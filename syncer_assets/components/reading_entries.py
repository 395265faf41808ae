"""The YAML of how much a table is read at a time, and how it is written: queries, files, sparse ids, sizes."""

import dagster as dg
from pydantic import Field

from ..model.table import ChunkSettings, FileSettings, SizeSettings, SparseSettings
from .fields import PositiveFloat, PositiveInt, Share


class ChunkEntry(dg.Resolvable, dg.Model):
    """How much one query of the loop reads."""

    rows: PositiveInt = Field(default=ChunkSettings.rows, description="The most rows that a query asks for.")
    target_seconds: PositiveFloat = Field(
        default=ChunkSettings.target_seconds, description="Chunks shrink until a query takes no longer."
    )


class FilesEntry(dg.Resolvable, dg.Model):
    """How large Parquet files get."""

    target_mb: PositiveFloat = Field(
        default=FileSettings.target_mb, description="Compressed size at which a file is closed."
    )
    min_rows: PositiveInt | None = Field(
        default=None, description="Rows below which a file is not closed, and nothing is committed on the way."
    )
    max_rows: PositiveInt | None = Field(default=None, description="Rows at which a file is closed.")


class SparseEntry(dg.Resolvable, dg.Model):
    """When ranges of ids count as sparse, and how far the `range` strategy scales them then."""

    enabled: bool = Field(default=SparseSettings.enabled, description="Whether sparse ranges are looked for.")
    efficiency_threshold: Share = Field(
        default=SparseSettings.efficiency_threshold, description="Rows an id below which a range is sparse."
    )
    min_chunk_size_check: PositiveInt = Field(
        default=SparseSettings.min_chunk_size_check, description="Only larger ranges are judged."
    )
    consecutive_sparse_limit: PositiveInt = Field(
        default=SparseSettings.consecutive_sparse_limit,
        description="Sparse ranges in a row after which the loop asks where the next row lies.",
    )
    max_scale_factor: PositiveInt = Field(
        default=SparseSettings.max_scale_factor, description="How many times its size a range may grow to."
    )
    max_chunk_size: PositiveInt = Field(
        default=SparseSettings.max_chunk_size, description="Ids that a scaled range spans at most."
    )


class SizesEntry(dg.Resolvable, dg.Model):
    """From which estimated size on a window is read how."""

    streaming_mb: PositiveFloat = Field(
        default=SizeSettings.streaming_mb, description="From here on reading runs ahead of writing."
    )
    parallel_mb: PositiveFloat = Field(
        default=SizeSettings.parallel_mb, description="From here on `workers` readers share a window."
    )
    parallel_rows: PositiveInt = Field(
        default=SizeSettings.parallel_rows, description="The rows that this takes as well."
    )
