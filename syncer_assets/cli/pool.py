"""Several tables at once: worker processes, since Dagster's in-process execution is not safe in threads.

(Measured on 1.13.27: with four threads an ephemeral instance loses rows of its in-memory SQLite, or never ends.)
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.queues import Queue
from pathlib import Path

from ..assets.table import SyncedTable
from ..components.deployment import Deployment, load_deployment
from .command import table_title
from .execution import RunOptions, open_instance, sync_table
from .outcomes import Problem, TableOutcome

Message = tuple[str, str, dict[str, object]]
TellOf = Callable[[str, str, dict[str, object]], None]
"""`tell(table title, event, fields)`."""

HELLO = "worker started"


def sync_tables(
    deployment: Deployment, tables: Sequence[SyncedTable], options: RunOptions, workers: int, tell: TellOf
) -> Iterator[TableOutcome]:
    """The outcome of each table as it ends. One table's failure leaves the others."""
    if workers == 1 or len(tables) == 1:
        with open_instance() as instance:
            for table in tables:
                title = table_title(table)
                yield sync_table(
                    deployment, table, options, instance, lambda event, fields, title=title: tell(title, event, fields)
                )
        return
    yield from _in_processes(deployment, tables, options, min(workers, len(tables)), tell)


def _in_processes(
    deployment: Deployment, tables: Sequence[SyncedTable], options: RunOptions, workers: int, tell: TellOf
) -> Iterator[TableOutcome]:
    with open_instance():
        pass  # makes the tables of a new DAGSTER_HOME: workers would race to
    context = multiprocessing.get_context("spawn")
    messages: Queue[Message | None] = context.Queue()
    workers_seen: list[int] = []
    listening = threading.Thread(target=_listen, args=(messages, tell, workers_seen), name="progress", daemon=True)
    listening.start()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (str(deployment.folder), messages))
    try:
        futures: dict[Future[TableOutcome], SyncedTable] = {
            pool.submit(_work, table.lake_key.to_user_string(), options): table for table in tables
        }
        for future in as_completed(futures):
            yield _outcome(future, futures[future])
    except BaseException:
        for pid in workers_seen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
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


def _listen(messages: "Queue[Message | None]", tell: TellOf, workers: list[int]) -> None:
    while (message := messages.get()) is not None:
        if message[1] == HELLO:
            workers.append(int(str(message[2]["pid"])))
        else:
            tell(*message)


class _Worker:
    """What a worker process keeps between tables."""

    deployment: Deployment
    messages: "Queue[Message | None]"


def _start_worker(folder: str, messages: "Queue[Message | None]") -> None:
    import warnings

    warnings.simplefilter("ignore")
    messages.put(("", HELLO, {"pid": os.getpid()}))
    _Worker.deployment, _Worker.messages = load_deployment(Path(folder)), messages


def _work(lake_key: str, options: RunOptions) -> TableOutcome:
    table = next(each for each in _Worker.deployment.tables if each.lake_key.to_user_string() == lake_key)
    title = table_title(table)
    with open_instance() as instance:
        return sync_table(
            _Worker.deployment,
            table,
            options,
            instance,
            lambda event, fields: _Worker.messages.put((title, event, fields)),
        )
