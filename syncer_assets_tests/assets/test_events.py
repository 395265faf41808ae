"""A running step tells how far it is: lines in the log, and now and then an observation."""

import dagster as dg

from syncer_assets.assets import events
from syncer_assets.sync.progress import Progress


def test_an_event_is_one_line_of_fields() -> None:
    assert events.event_line("Reached", rows=3, share=0.5, low=None, text='a "b"\nc') == (
        "Reached rows=3 share=0.5 text='a \"b\"\\nc'"
    )
    assert events.event_line("chunk read", seconds=1.23456, rate=10.0) == "chunk read seconds=1.235 rate=10"


def test_progress_is_logged_each_time_and_observed_each_half_minute() -> None:
    clock = [0.0]

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]))
    def lake(context: dg.AssetExecutionContext) -> None:
        progress = events.report_progress(context, context.asset_key, context.partition_key)
        for second in range(0, 70, 5):
            clock[0] = float(second)
            progress(Progress(rows=1000 * second, share=second / 70, rows_per_second=1000.0, seconds=float(second)))
        clock[0] = 1000.0
        progress(Progress(rows=1, share=None, rows_per_second=1.0, seconds=1000.0))

    original, events.time.monotonic = events.time.monotonic, lambda: clock[0]
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize([lake], partition_key="a", instance=instance)
            lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    finally:
        events.time.monotonic = original
    observed = [event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()]
    assert [observation.metadata["rows_so_far"].value for observation in observed] == [30000, 60000, 1]
    assert {observation.partition for observation in observed} == {"a"}
    assert observed[0].metadata["share_percent"].value == 42.9
    assert "share_percent" not in observed[-1].metadata
    assert len([line for line in lines if line.startswith("Reading rows=")]) == 15
