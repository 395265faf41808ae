"""Runs whose process is gone: nobody would ever end them, and each would hold the pool of its table for ever.

Dagster's run monitoring knows the runs that its daemon launched. Those of `syncer run` carry a tag that names their
process instead.
"""

import os
import socket
from collections.abc import Collection

import dagster as dg
import psutil

PROCESS_TAG = "syncer/process"
UNFINISHED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def process_tag(pid: int | None = None) -> str:
    """Names a process of this machine, also after its number was given to another. Raises psutil.NoSuchProcess."""
    process = psutil.Process(pid or os.getpid())
    return f"{socket.gethostname()}/{process.pid}/{process.create_time():.2f}"


def end_left_runs(instance: dg.DagsterInstance, ours: Collection[str] = ()) -> int:
    """End the runs of processes that are gone, and of `ours`, and free their pools; how many there were."""
    ended = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED))):
        tag = run.tags.get(PROCESS_TAG)
        if tag is not None and (tag in ours or not is_alive(tag)):
            instance.report_run_failed(run, "the process that ran it is gone; what it committed stays")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            ended += 1
    return ended


def pid_of(tag: str) -> int:
    """The number of a process on its machine."""
    return int(tag.rsplit("/", 2)[1])


def is_alive(tag: str) -> bool:
    """Whether a process still runs. True too for one of another machine: nothing is known of it here."""
    if tag.rsplit("/", 2)[0] != socket.gethostname():
        return True
    try:
        return process_tag(pid_of(tag)) == tag
    except psutil.NoSuchProcess:
        return False
