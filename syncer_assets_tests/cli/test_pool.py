"""Outcomes come from a thread or from processes: none is missed, and an end without one is an error."""

import queue
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from syncer_assets.cli import pool
from syncer_assets.cli.execution import RunOptions
from syncer_assets.cli.outcomes import TableOutcome
from syncer_assets.components.deployment import Deployment

OUTCOME = TableOutcome("public.orders")
DEPLOYMENT, WORKS = cast(Deployment, None), cast("list[Any]", [None])


def outcomes() -> list[TableOutcome]:
    return list(pool.sync_all(DEPLOYMENT, WORKS, RunOptions(), 1, lambda *_: None))


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(pool, "end_left_runs", lambda *_: 0)


def test_an_outcome_that_comes_with_the_threads_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main thread's wait ends, then the outcome comes and the thread ends, then the main thread looks."""

    class Late(queue.SimpleQueue):
        late = True

        def get(self, block: bool = True, timeout: float | None = None) -> object:
            if self.late:
                self.late = False
                for thread in threading.enumerate():
                    if thread.name == "syncer-run":
                        thread.join(60)
                raise queue.Empty
            return super().get(block, timeout)

    monkeypatch.setattr(pool.queue, "SimpleQueue", Late)
    monkeypatch.setattr(pool, "execute", lambda *_: OUTCOME)
    monkeypatch.setattr(pool, "title_of", lambda _: "public.orders")
    assert outcomes() == [OUTCOME]


def test_what_ends_the_thread_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the instance cannot be opened")

    monkeypatch.setattr(pool, "_execute_all", fail)
    with pytest.raises(RuntimeError, match="cannot be opened"):
        outcomes()
