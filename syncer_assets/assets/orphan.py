"""A step that outlives its run would work on, and record a result on a run that has failed. So it ends itself."""

import multiprocessing
import multiprocessing.process
import os
import threading

EXIT_CODE = 75  # EX_TEMPFAIL
_watching = threading.Lock()


def end_with_parent() -> bool:
    """End this process at once when the process that started it is gone; True if such a watch was begun.

    Only for a process that `multiprocessing` started, as Dagster's executor starts its steps: one that runs its
    steps itself (`syncer run`, tests) has no such parent. The watch waits on a pipe, it does not poll.
    """
    parent = multiprocessing.parent_process()
    if parent is None or not _watching.acquire(blocking=False):
        return False
    threading.Thread(target=_wait, args=(parent,), name="end-with-parent", daemon=True).start()
    return True


def _wait(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(EXIT_CODE)  # without cleaning up: the lake and the warehouse are safe at any point
