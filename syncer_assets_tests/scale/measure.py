"""How long a fleet takes: `measure WORKERS PARTITIONS TABLES [SLOTS]`; the facts as JSON on the last line.

SLOTS are those of the pool of the partitioned table: how many of its partitions are read at a time, 1 as it is shipped.
"""

import json
import sys
import tempfile
from pathlib import Path

from syncer_assets_tests.scale.fleet import PARTITION_IDS, Fleet

DEADLINE_SECONDS = 1800
SPAN = """
SELECT extract(epoch FROM max(timestamp) - min(timestamp)) FROM event_logs
WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') AND (step_key LIKE 'lake%' OR step_key LIKE 'analytics%')
"""


def main() -> None:
    """The span is that from the first step's start to the last one's end, so that the start of the processes is out."""
    workers, partitions, tables = (int(argument) for argument in sys.argv[1:4])
    slots = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    with (
        tempfile.TemporaryDirectory(prefix="fleet-") as folder,
        Fleet(Path(folder) / "fleet", partitions, tables, slots) as fleet,
    ):
        fleet.start_workers(workers)
        fleet.start_daemon()
        fleet.wait_for(lambda: len(fleet.loaded()) == partitions + tables, DEADLINE_SECONDS)
        fleet.wait_for(lambda: len(fleet.steps("^(lake|analytics)")) >= 2 * (partitions + tables), DEADLINE_SECONDS)
        rows = fleet.query("analytics", "SELECT count(*) FROM shop.wide")[0][0]
        facts = {
            "workers": workers,
            "span_seconds": float(fleet.query("dagster", SPAN)[0][0]),
            "partitions_loaded": len(fleet.loaded()),
            "loaded_more_than_once": sum(count > 1 for count in fleet.loaded().values()),
            "rows_missing": partitions * PARTITION_IDS - 1 - rows,
            "processes": len(set.union(*fleet.processes_of_runs().values())),
        }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
