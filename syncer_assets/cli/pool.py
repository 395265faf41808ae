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

from ..components.deployment import Deployment, load_deployment
from .execution import RunOptions, open_instance
from .left_runs import end_left_runs, is_alive, pid_of, process_tag
from .outcomes import Problem, TableOutcome
from .work import Work, all_work, execute, key_of, title_of

Message = tuple[str, str, dict[str, object]]
TellOf = Callable[[str, str, dict[str, object]], None]
"""`tell(table title, event, fields)`."""

HELLO = "worker started"
HEARING_SECONDS = 0.5
"""No wait is longer: the object store's runtime has system calls restarted after a signal, so none ends by it."""


def sync_all(
    deployment: Deployment, works: Sequence[Work], options: RunOptions, workers: int, tell: TellOf
) -> Iterator[TableOutcome]:
    """The outcome of each work as it ends. One's failure leaves the others."""
    with open_instance() as instance:  # makes the tables of a new DAGSTER_HOME too: workers would race to
        end_left_runs(instance)
    processes = [process_tag()]
    try:
        if workers == 1 or len(works) == 1:
            yield from _in_a_thread(deployment, works, options, tell)
        else:
            yield from _in_processes(deployment, works, options, min(workers, len(works)), tell, processes)
    except BaseException:
        with open_instance() as instance:
            end_left_runs(instance, processes)
        raise


def _in_a_thread(
    deployment: Deployment, works: Sequence[Work], options: RunOptions, tell: TellOf
) -> Iterator[TableOutcome]:
    outcomes: queue.SimpleQueue[TableOutcome | BaseException | None] = queue.SimpleQueue()

    def execute_all() -> None:
        try:
            _execute_all(deployment, works, options, tell, outcomes.put)
        except BaseException as error:  # noqa: BLE001  # handed to the main thread
            outcomes.put(error)
        else:
            outcomes.put(None)

    thread = threading.Thread(target=execute_all, name="syncer-run", daemon=True)
    thread.start()
    while (outcome := _next(outcomes)) is not None:
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome
    thread.join()


def _next(outcomes: "queue.SimpleQueue[TableOutcome | BaseException | None]") -> TableOutcome | BaseException | None:
    """What the thread puts next, whose last word is None or what ended it: a silent end would look like success."""
    while True:
        with suppress(queue.Empty):
            return outcomes.get(timeout=HEARING_SECONDS)


def _execute_all(
    deployment: Deployment,
    works: Sequence[Work],
    options: RunOptions,
    tell: TellOf,
    put: Callable[[TableOutcome], None],
) -> None:
    with open_instance() as instance:
        for work in works:
            put(execute(deployment, work, options, instance, partial(tell, title_of(work))))


def _in_processes(
    deployment: Deployment,
    works: Sequence[Work],
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
        futures: dict[Future[TableOutcome], Work] = {
            pool.submit(_execute, key_of(work), options): work for work in works
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


def _outcome(future: Future[TableOutcome], work: Work) -> TableOutcome:
    try:
        return future.result()
    except BrokenProcessPool:
        text = "a worker process was killed (out of memory?). Fix: run again; what was committed stays"
        return TableOutcome(title_of(work), problems=[Problem(title_of(work), None, text, "worker_killed")])


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


def _execute(key: str, options: RunOptions) -> TableOutcome:
    work = next(each for each in all_work(_Worker.deployment) if key_of(each) == key)
    with open_instance() as instance:
        return execute(_Worker.deployment, work, options, instance, partial(_send, title_of(work)))


def _send(title: str, event: str, fields: dict[str, object]) -> None:
    _Worker.messages.put((title, event, fields))
