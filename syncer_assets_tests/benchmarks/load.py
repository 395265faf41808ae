"""The rows of a deployment's size: workers, tables, tables at once, and rounds. They have servers of their own."""

import sys
from typing import Any

from syncer_assets_tests.scale.measure import MB_PER_SECOND, ROUND_TRIP_MS

from .contest import OURS, Bench, Contest, Results, Runner, at_least, at_most
from .runners import Start

PARTITIONS, TABLES, PARTITION_ROWS = 24, 8, 100_000
MANY, AT_ONCE, AT_ONCE_ROWS, ROUNDS = 500, 50, 20_000, 200


def scale_out(bench: Bench) -> Contest:
    """24 partitions of one table and 8 tables over one Celery worker and over three, of a source that is far away."""
    one, three, slots = "1 worker", "3 workers", "3 workers, 3 reads at once"

    def fleet(name: str, workers: int, at_once: int) -> Runner:
        arguments = (workers, at_once, PARTITIONS, TABLES, PARTITION_ROWS)
        rows = PARTITIONS * PARTITION_ROWS + TABLES * 500
        return Runner(name, rows, lambda: _module("scale.measure", *arguments), runs=1)

    def most(name: str) -> Any:
        return lambda results: max(results[runner].fact(name) for runner in (one, three, slots))

    def speed_up(results: Results) -> float:
        return results[one].fact("span_seconds") / results[slots].fact("span_seconds")

    return Contest(
        "scale_out",
        f"{PARTITIONS} partitions of one table and {TABLES} tables, by Celery",
        (fleet(one, 1, 1), fleet(three, 3, 1), fleet(slots, 3, 3)),
        (
            at_most("no partition loaded twice", 0, most("loaded_more_than_once"), (one, three, slots)),
            at_most("0 rows missing", 0, most("rows_missing"), (one, three, slots)),
            at_least("3 workers, 3 reads at once 2x as fast as 1 worker", 2.0, speed_up, (one, slots)),
        ),
        note=(
            f"the source is {ROUND_TRIP_MS:g} ms away and gives a connection {MB_PER_SECOND:g} MB/s; the span from the"
            " first step to the last, wall s has the start of all processes, too"
        ),
        columns=("span_seconds", "reading_seconds", "loading_seconds", "read_at_once"),
    )


def load_many(bench: Bench) -> Contest:
    """A look of the sensor over 500 tables, here and 2 ms away; 50 tables at once."""
    here, away, at_once = f"tick over {MANY} tables", "the same, 2 ms away", f"{AT_ONCE} tables at once"

    def tick(name: str) -> Any:
        return lambda results: max(each["seconds"] for each in results[name].fact("ticks"))

    return Contest(
        "load_many",
        "many tables",
        (
            Runner(here, MANY, lambda: _module("load.tick", MANY), runs=1),
            Runner(away, MANY, lambda: _module("load.tick", MANY, 2), runs=1),
            Runner(at_once, AT_ONCE * AT_ONCE_ROWS, lambda: _module("load.at_once", AT_ONCE, AT_ONCE_ROWS), runs=1),
        ),
        (
            at_most("a tick in at most 10 s", 10, tick(here), (here,)),
            at_most("a tick in at most 10 s, 2 ms away", 10, tick(away), (away,)),
            at_most("0 rows missing", 0, lambda results: results[at_once].fact("rows_missing"), (at_once,)),
            at_most(
                "at most 2 source connections a table",
                2 * AT_ONCE,
                lambda results: results[at_once].fact("source_connections"),
                (at_once,),
            ),
            at_most("50 at once in at most 2 GB", 2048, lambda results: results[at_once].fact("memory_mb"), (at_once,)),
        ),
        note="rows are tables in the first two; the times of ticks are in bench.json",
    )


def load_soak(bench: Bench) -> Contest:
    """200 incremental rounds of three tables, through Dagster, while two sessions write."""

    def last(name: str) -> Any:
        return lambda results: results[OURS].fact("last", name)

    return Contest(
        "load_soak",
        f"{ROUNDS} rounds with writers",
        (Runner(OURS, ROUNDS, lambda: _module("load.soak", ROUNDS), runs=1),),
        (
            at_most("memory grows at most 5 %", 5, lambda results: results[OURS].fact("memory_growth_percent")),
            at_most("0 connections left after a round", 0, lambda results: results[OURS].fact("connections_most")),
            at_most("0 slots left after a round", 0, lambda results: results[OURS].fact("slots_most")),
            at_most("0 temporary files left", 0, last("temporary_files")),
            at_most(
                "a ledger row a manifest",
                0,
                lambda results: abs(
                    results[OURS].fact("last", "ledger_rows") - results[OURS].fact("last", "manifests")
                ),
            ),
            at_most(
                "at most 3 objects a manifest",
                3,
                lambda results: results[OURS].fact("last", "lake_objects") / results[OURS].fact("last", "manifests"),
            ),
        ),
        note="a round is a row",
    )


def _module(name: str, *arguments: int) -> Start:
    return [sys.executable, "-m", f"syncer_assets_tests.{name}", *map(str, arguments)], {}
