"""kill -9 at every step between the capture of the ceiling and COMMIT: the next run loses nothing and doubles nothing."""

import json
import signal
from pathlib import Path

import pytest

from syncer_assets.model.table import TableSpec
from syncer_assets.sync.lake import open_lake
from syncer_assets_tests.faults.invariants import Marks, assert_invariants
from syncer_assets_tests.faults.job import COUNTRIES, EVENTS, ITEMS, ORDERS, Job, start_worker, target_of, write
from syncer_assets_tests.servers import Database

AT_EVERY_READ: dict[str, tuple[int, ...]] = {
    "chunk read": (1, 3),
    "files written": (1, 2),
    "before put": (1, 3),
    "after put": (2, 3),
    "manifest committed": (1, 2),
}
AT_EVERY_WINDOW: dict[str, tuple[int, ...]] = {
    "ceiling captured": (1,),
    "ceiling judged": (1,),
    "window opened": (1,),
    "Reached watermark ceiling - sync complete": (1,),
    **AT_EVERY_READ,
}
AT_EVERY_LOAD: dict[str, tuple[int, ...]] = {
    "load planned": (1,),
    "epoch taken": (1,),
    "before copy": (1, 2),
    "rows staged": (1,),
    "rows merged": (1,),
    "before record": (1,),
    "after record": (1,),
    "ledger written": (1,),
    "load committed": (1,),
    "after load": (1,),
}


def test_probe(job: Job, source_db: Database, warehouse_db: Database, tmp_path: Path) -> None:
    import time
    from collections import Counter
    for spec in (ORDERS, ITEMS, EVENTS, COUNTRIES):
        j = job.only(spec)
        for r in range(3):
            t = time.time()
            c = start_worker(j, tmp_path)
            out, _ = c.communicate()
            seen = json.loads(out.splitlines()[-1])
            t1 = time.time()
            assert_invariants(source_db, open_lake(job.lake_url), warehouse_db, [(spec, target_of(spec))]) if spec is ORDERS else 0
            t2 = time.time()
            print(spec.table, r, round(t1-t,2), round(t2-t1,2), seen.get("seen"), seen.get("message"))
            write(source_db, r)
