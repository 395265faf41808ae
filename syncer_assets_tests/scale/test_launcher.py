"""What the launcher makes of workers that are silent. Their answers are made up here; test_scale_out has real ones."""

import pytest

from syncer_assets.scale import launcher
from syncer_assets.scale.launcher import ASKED_TIMES, WatchedCeleryRunLauncher


class MadeUpAnswers:
    """Stands for `app.control`: the answers to one `query_task` after the other."""

    def __init__(self, *answers: dict[str, dict[str, str]] | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    def inspect(self, **_: object) -> "MadeUpAnswers":
        return self

    def query_task(self, _: str) -> dict[str, dict[str, str]] | None:
        self.asked += 1
        return self._answers.pop(0)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> WatchedCeleryRunLauncher:
    monkeypatch.setattr(launcher, "_silent", {})
    return WatchedCeleryRunLauncher("dagster", broker="memory://", backend="cache+memory://")


def has(watched: WatchedCeleryRunLauncher, answers: MadeUpAnswers) -> bool:
    watched.celery.control = answers
    return watched._has("one@host", "task")


def test_a_worker_that_misses_a_question_is_asked_again(watched: WatchedCeleryRunLauncher) -> None:
    assert has(watched, MadeUpAnswers(*[None] * (ASKED_TIMES - 1), {"one@host": {"task": "active"}}))


def test_a_worker_that_was_silent_is_asked_once_and_believed_when_it_is_back(
    watched: WatchedCeleryRunLauncher,
) -> None:
    silent = MadeUpAnswers(*[None] * (ASKED_TIMES + 1))
    assert not has(watched, silent) and not has(watched, silent)
    assert silent.asked == ASKED_TIMES + 1
    back = MadeUpAnswers({"one@host": {"task": "active"}}, None, {"one@host": {"task": "active"}})
    assert has(watched, back) and has(watched, back), "its runs would fail though it works on them"
    assert back.asked == 3
