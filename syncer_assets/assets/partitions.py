"""A table's partition scheme as Dagster's partitions (DESIGN 4 and 5). The keys are the same on both sides."""

from datetime import datetime

import dagster as dg

from ..model.partition import UNPARTITIONED, PartitionScheme
from .table import SyncedTable


def partitions_def(table: SyncedTable) -> dg.PartitionsDefinition | None:
    """Dagster's definition; None for a table without partitions. The current time partition is one of them."""
    scheme = table.spec.partitions
    match scheme.by:
        case "none":
            return None
        case "id":
            return dg.DynamicPartitionsDefinition(name=table.partitions_name)
        case "prefix":
            if scheme.prefixes:
                return dg.StaticPartitionsDefinition(list(scheme.prefixes))
            return dg.DynamicPartitionsDefinition(name=table.partitions_name)
        case "time":
            return time_partitions(scheme)


def is_dynamic(table: SyncedTable) -> bool:
    """True if the sensor (or `syncer run`) adds the table's partitions as they appear."""
    return isinstance(partitions_def(table), dg.DynamicPartitionsDefinition)


def add_partitions(table: SyncedTable, keys: list[str]) -> dg.AddDynamicPartitionsRequest:
    """The request by which a sensor adds partitions."""
    return dg.DynamicPartitionsDefinition(name=table.partitions_name).build_add_request(keys)


def partition_of(context: dg.AssetExecutionContext, table: SyncedTable) -> str:
    """The engine's key of the partition that a step works on."""
    return context.partition_key if table.is_partitioned else UNPARTITIONED


def dagster_partition(table: SyncedTable, partition: str) -> str | None:
    """Dagster's key for one of the engine's."""
    return partition if table.is_partitioned else None


def time_partitions(scheme: PartitionScheme) -> dg.TimeWindowPartitionsDefinition:
    """Dagster's definition of a scheme by time, the current partition included."""
    first = scheme.first_key()
    match scheme.every:
        case "hour":
            return dg.HourlyPartitionsDefinition(start_date=first, end_offset=1)
        case "day":
            return dg.DailyPartitionsDefinition(start_date=first, end_offset=1)
        case "week":
            weekday = datetime.fromisoformat(first).isoweekday() % 7  # Dagster counts from Sunday = 0
            return dg.WeeklyPartitionsDefinition(start_date=first, day_offset=weekday, end_offset=1)
        case "month":
            return dg.MonthlyPartitionsDefinition(start_date=first, end_offset=1)
