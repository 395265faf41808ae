"""A child process that runs a job and does something to itself at a step of it.

    python -m syncer_assets_tests.faults.worker JOB.pickle [--at STEP] [--nth N] [--do kill|stop|pause] [--run WHAT] ..

A STEP is an event that the engine emits, `before NAME` or `after NAME` of a call in CALLS, or `commit sent`, when the
server has been told to COMMIT and has not answered. `stop` sends SIGSTOP, `pause` prints a line and waits for one.
The last line of the output is the outcome as JSON.
"""

import argparse
import json
import os
import pickle
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from syncer_assets.model.errors import SyncError
from syncer_assets.model.table import Mode
from syncer_assets_tests.faults.job import Job, Opened

CALLS = {
    "put": ("obstore", "put"),
    "upload": ("syncer_assets.sync.parquet", "_HashingWriter.write"),
    "complete": ("syncer_assets.sync.parquet", "_HashingWriter.finish"),
    "delete": ("obstore", "delete"),
    "copy": ("psycopg", "Copy.write"),
    "record": ("syncer_assets.warehouses.postgres.ledger", "record"),
    "index": ("syncer_assets.warehouses.postgres.swap", "_index"),
    "place": ("syncer_assets.warehouses.postgres.swap", "put_in_place"),
    "load": ("syncer_assets_tests.faults.job", "load"),
    "transact": ("syncer_assets.warehouses.postgres.load", "_transact"),
    "vacuum": ("syncer_assets.warehouses.postgres.vacuum", "vacuum"),
    "analyze": ("syncer_assets.warehouses.postgres.vacuum", "analyze"),
}
"""Calls that lie between two events."""


class Fault:
    """Counts the steps and strikes at the n-th of the kind."""

    def __init__(self, at: str | None, nth: int, do: str):
        self._at, self._nth, self._do = at, nth, do
        self.seen: Counter[str] = Counter()

    def __call__(self, step: str, **fields: object) -> None:
        self.seen[step] += 1
        if step != self._at or self.seen[step] != self._nth:
            return
        match self._do:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "pause":
                say({"paused": step})
                sys.stdin.readline()

    def is_next(self, step: str) -> bool:
        """Whether it strikes when the step comes again."""
        return step == self._at and self.seen[step] + 1 == self._nth

    def watch_calls(self) -> None:
        """Make each of CALLS a step before and a step after."""
        for name, (module, path) in CALLS.items():
            owner: Any = __import__(module, fromlist=["_"])
            *parents, attribute = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            setattr(owner, attribute, self._watched(name, getattr(owner, attribute)))

    def _watched(self, name: str, call: Any) -> Any:
        def watched(*arguments: Any, **named: Any) -> Any:
            self(f"before {name}")
            result = call(*arguments, **named)
            self(f"after {name}")
            return result

        return watched


def say(line: dict[str, object]) -> None:
    print(json.dumps(line, default=str), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("--at")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--do", choices=("kill", "stop", "pause"), default="kill")
    parser.add_argument("--run", choices=("all", "extract", "load", "reconcile", "repair"), default="all")
    parser.add_argument("--partition")
    parser.add_argument("--full", action="store_true", help="read everything again")
    parser.add_argument("--small-parts", action="store_true", help="upload in parts of 200 bytes instead of 8 MB")
    parser.add_argument("--largest-file", type=int, help="no file of this process may grow beyond so many bytes")
    asked = parser.parse_args()
    job: Job = pickle.loads(asked.job.read_bytes())
    fault = Fault(asked.at, asked.nth, asked.do)
    fault.watch_calls()
    if asked.small_parts:
        upload_in_small_parts()
    if asked.at == "commit sent":
        send_commit_before(fault)
    if asked.largest_file:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (asked.largest_file, asked.largest_file))
    try:
        with job.opened() as opened:
            done = run(opened, asked.run, asked.partition, fault, "full" if asked.full else "auto")
        say({"ok": True, "done": done, "seen": fault.seen})
    except SyncError as error:
        say({"ok": False, "error": error.kind, "message": str(error), "seen": fault.seen})
        sys.exit(1)


def run(opened: Opened, what: str, partition: str | None, fault: Fault, mode: Mode) -> list[dict[str, Any]]:
    """The job, or one half of its first table."""
    spec, key = opened.job.specs[0], partition or "all"
    match what:
        case "extract":
            return [vars(opened.extract(spec, key, fault, mode))]
        case "load":
            return [vars(opened.load(spec, key, fault))]
        case "reconcile":
            return [vars(opened.reconcile(spec, fault))]
        case "repair":
            return [vars(opened.repair(spec, fault))]
        case _:
            done = opened.run(fault, mode)
            return [vars(report) for report in (*done.syncs, *done.loads)]


def send_commit_before(fault: Fault) -> None:
    """So that a kill finds the load between COMMIT and its answer."""
    from syncer_assets.warehouses.postgres import load

    committed = load.commit

    def commit(connection: Any) -> None:
        if not fault.is_next("commit sent"):
            fault("commit sent")
            return committed(connection)
        connection.pgconn.send_query(b"COMMIT")
        connection.pgconn.flush()
        fault("commit sent")
        raise AssertionError("nothing reads the answer")

    load.commit = commit


def upload_in_small_parts() -> None:
    """So that a small file is a multipart upload, too."""
    import obstore

    from syncer_assets.sync import parquet

    open_writer = obstore.open_writer
    parquet.obstore.open_writer = lambda store, path, **_: open_writer(store, path, buffer_size=200, max_concurrency=1)


if __name__ == "__main__":
    main()
