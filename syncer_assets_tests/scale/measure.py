"""How long a fleet takes: `measure WORKERS SLOTS PARTITIONS TABLES ROWS`; the facts as JSON on the last line.

SLOTS are those of the pool of the partitioned table: how many of its partitions are read at a time, 1 as it is shipped.
A partition has ROWS of about 100 bytes. The source is a round trip away and gives each connection so much a second that
the reads are the longest part of the work.
"""

import json
import sys
import tempfile
from itertools import accumulate
from pathlib import Path

from syncer_assets_tests.scale.fleet import Fleet

DEADLINE_SECONDS = 1800
ROUND_TRIP_MS, MB_PER_SECOND = 5.0, 2.0
SPAN = """
SELECT extract(epoch FROM max(timestamp) - min(timestamp)) FROM event_logs
WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') AND (step_key LIKE 'lake%' OR step_key LIKE 'analytics%')
"""


def main() -> None:
    """The span is that from the first step's start to the last one's end, so that the start of the processes is out."""
    workers, slots, partitions, tables, ids = (int(argument) for argument in sys.argv[1:])
    with (
        tempfile.TemporaryDirectory(prefix="fleet-") as folder,
        Fleet(Path(folder) / "fleet", partitions, tables, slots, ids, (ROUND_TRIP_MS, MB_PER_SECOND)) as fleet,
    ):
        fleet.start_workers(workers)
        fleet.start_daemon()
        fleet.wait_for(lambda: len(fleet.loaded()) == partitions + tables, DEADLINE_SECONDS)
        fleet.wait_for(lambda: len(fleet.steps("^(lake|analytics)")) >= 2 * (partitions + tables), DEADLINE_SECONDS)
        rows = fleet.query("analytics", "SELECT count(*) FROM shop.wide")[0][0]
        facts = {
            "workers": workers,
            "slots": slots,
            "span_seconds": float(fleet.query("dagster", SPAN)[0][0]),
            "reading_seconds": sum(ended - began for began, ended in fleet.steps("^lake.*wide$")),
            "loading_seconds": sum(ended - began for began, ended in fleet.steps("^analytics.*wide$")),
            "read_at_once": at_once(fleet.steps("^lake.*wide$")),
            "partitions_loaded": len(fleet.loaded()),
            "loaded_more_than_once": sum(count > 1 for count in fleet.loaded().values()),
            "rows_missing": partitions * ids - 1 - rows,
            "processes": len(set.union(*fleet.processes_of_runs().values())),
        }
    print(json.dumps(facts))


def at_once(steps: list[tuple[float, float]]) -> int:
    """The most of them that were under way at one time."""
    changes = sorted([(began, 1) for began, _ in steps] + [(ended, -1) for _, ended in steps])
    return max(accumulate(change for _, change in changes))


if __name__ == "__main__":
    main()
