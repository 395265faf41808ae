"""Dagster's partitions and the engine's are the same, key by key."""

from datetime import UTC, datetime
from typing import Literal

import dagster as dg
import pytest

from syncer_assets.assets.partitions import is_dynamic, partitions_def
from syncer_assets.assets.table import SyncedTable
from syncer_assets.model.partition import PartitionScheme
from syncer_assets.model.table import TableSpec, Target


def table_of(scheme: PartitionScheme) -> SyncedTable:
    return SyncedTable("t", TableSpec("shop", "public.t", partitions=scheme), Target("analytics", "shop", "t"))


@pytest.mark.parametrize(
    ("every", "start", "now"),
    [
        ("hour", "2026-03-28T22:00", datetime(2026, 3, 29, 5, 30, tzinfo=UTC)),
        ("hour", "2026-03-28", datetime(2026, 3, 28, 0, 0, tzinfo=UTC)),
        ("day", "2024-02-01", datetime(2024, 3, 2, 0, 0, 1, tzinfo=UTC)),
        ("week", "2024-01-01", datetime(2024, 3, 2, tzinfo=UTC)),
        ("week", "2024-01-03", datetime(2024, 3, 2, tzinfo=UTC)),
        ("week", "2023-12-31", datetime(2024, 3, 2, tzinfo=UTC)),
        ("month", "2023-11-01", datetime(2024, 2, 29, 23, 59, tzinfo=UTC)),
        ("month", "2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_time_partitions_have_the_engines_keys_and_windows(
    every: Literal["hour", "day", "week", "month"], start: str, now: datetime
) -> None:
    scheme = PartitionScheme(by="time", every=every, start=start)
    definition = partitions_def(table_of(scheme))
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    keys = definition.get_partition_keys(current_time=now)
    assert keys == scheme.keys(None, now)
    for key in keys[1:]:
        window = definition.time_window_for_partition_key(key)
        partition = scheme.partition(key, "timestamptz")
        assert (window.start, window.end) == (partition.start, partition.end)
    assert definition.time_window_for_partition_key(keys[-1]).end > now


def test_partitions_by_id_and_by_length_of_a_prefix_appear_as_they_are_found() -> None:
    for scheme in (PartitionScheme(by="id"), PartitionScheme(by="prefix", column="code", length=2)):
        definition = partitions_def(table_of(scheme))
        assert isinstance(definition, dg.DynamicPartitionsDefinition)
        assert definition.name == "shop__t"
        assert is_dynamic(table_of(scheme))


def test_listed_prefixes_are_static_and_a_bare_table_has_no_partitions() -> None:
    listed = partitions_def(table_of(PartitionScheme(by="prefix", column="code", prefixes=("DE", "FR"))))
    assert isinstance(listed, dg.StaticPartitionsDefinition)
    assert listed.get_partition_keys() == ["DE", "FR"]
    assert partitions_def(table_of(PartitionScheme())) is None
