"""Runs tables one after another in a thread, or several at once in worker processes, and can be interrupted.

Dagster takes Ctrl-C for a failed step, which it then tries again (1.13.27, `op_execution_error_boundary`). It leaves
signals alone in a thread; so the main thread waits, and the process ends when it is told to: the engine may be killed
at any point. Processes, since Dagster's in-process execution is not safe in several threads: an ephemeral instance then
loses rows of its in-memory SQLite, or never ends.
"""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing.queues import Queue
from pathlib import Path

from ..assets.table import SyncedTable
from ..components.deployment import Deployment, load_deployment
from .command import table_title
from .execution import RunOptions, open_instance, sync_table
from .left_runs import end_left_runs, is_alive, pid_of, process_tag
from .outcomes import Problem, TableOutcome

Message = tuple[str, str, dict[str, object]]
TellOf = Callable[[str, str, dict[str, object]], None]
"""`tell(table title, event, fields)`."""

HELLO = "worker started"
HEARING_SECONDS = 0.5
"""No wait is longer: the object store's runtime has system calls restarted after a signal, so none ends by it."""


def sync_tables(
    deployment: Deployment, tables: Sequence[SyncedTable], options: RunOptions, workers: int, tell: TellOf
) -> Iterator[TableOutcome]:
    """The outcome of each table as it ends. One table's failure leaves the others."""
    with open_instance() as instance:  # makes the tables of a new DAGSTER_HOME too: workers would race to
        end_left_runs(instance)
    processes = [process_tag()]
    try:
        if workers == 1 or len(tables) == 1:
            yield from _in_a_thread(deployment, tables, options, tell)
        else:
            yield from _in_processes(deployment, tables, options, min(workers, len(tables)), tell, processes)
    except BaseException:
        with open_instance() as instance:
            end_left_runs(instance, processes)
        raise


def _in_a_thread(
    deployment: Deployment, tables: Sequence[SyncedTable], options: RunOptions, tell: TellOf
) -> Iterator[TableOutcome]:
    outcomes: queue.SimpleQueue[TableOutcome] = queue.SimpleQueue()
    thread = threading.Thread(
        target=_sync_all, args=(deployment, tables, options, tell, outcomes.put), name="syncer-run", daemon=True
    )
    thread.start()
    for _ in tables:
        while True:
            with suppress(queue.Empty):
                yield outcomes.get(timeout=HEARING_SECONDS)
                break
            if not thread.is_alive():
                return
    thread.join()


def _sync_all(
    deployment: Deployment,
    tables: Sequence[SyncedTable],
    options: RunOptions,
    tell: TellOf,
    put: Callable[[TableOutcome], None],
) -> None:
    with open_instance() as instance:
        for table in tables:
            put(sync_table(deployment, table, options, instance, partial(tell, table_title(table))))


def _in_processes(
    deployment: Deployment,
    tables: Sequence[SyncedTable],
    options: RunOptions,
    workers: int,
    tell: TellOf,
    processes: list[str],
) -> Iterator[TableOutcome]:
    context = multiprocessing.get_context("spawn")
    messages: Queue[Message | None] = context.Queue()
    listening = threading.Thread(target=_listen, args=(messages, tell, processes), name="progress", daemon=True)
    listening.start()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (str(deployment.folder), messages))
    try:
        futures: dict[Future[TableOutcome], SyncedTable] = {
            pool.submit(_work, table.lake_key.to_user_string(), options): table for table in tables
        }
        while futures:
            for future in wait(futures, HEARING_SECONDS, FIRST_COMPLETED).done:
                yield _outcome(future, futures.pop(future))
    except BaseException:
        for tag in filter(is_alive, processes[1:]):
            os.kill(pid_of(tag), signal.SIGKILL)
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        messages.put(None)
        listening.join()


def _outcome(future: Future[TableOutcome], table: SyncedTable) -> TableOutcome:
    try:
        return future.result()
    except BrokenProcessPool:
        text = "a worker process was killed (out of memory?). Fix: run again; what was committed stays"
        return TableOutcome(table_title(table), problems=[Problem(table_title(table), None, text, "worker_killed")])


def _listen(messages: "Queue[Message | None]", tell: TellOf, processes: list[str]) -> None:
    while (message := messages.get()) is not None:
        if message[1] == HELLO:
            processes.append(str(message[2]["process"]))
        else:
            tell(*message)


class _Worker:
    """What a worker process keeps between tables."""

    deployment: Deployment
    messages: "Queue[Message | None]"


def _start_worker(folder: str, messages: "Queue[Message | None]") -> None:
    import warnings

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears of it, and ends its workers
    warnings.simplefilter("ignore")
    messages.put(("", HELLO, {"process": process_tag()}))
    _Worker.deployment, _Worker.messages = load_deployment(Path(folder)), messages


def _work(lake_key: str, options: RunOptions) -> TableOutcome:
    table = next(each for each in _Worker.deployment.tables if each.lake_key.to_user_string() == lake_key)
    with open_instance() as instance:
        return sync_table(_Worker.deployment, table, options, instance, partial(_send, table_title(table)))


def _send(title: str, event: str, fields: dict[str, object]) -> None:
    _Worker.messages.put((title, event, fields))
