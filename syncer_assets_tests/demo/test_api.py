"""The demo's API: every review is in one span, whoever has the token gets it, and what is past never changes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlencode

import pytest

from syncer_assets.demo.api import BUSY_EVERY, DemoApi

START = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[DemoApi]:
    with DemoApi(scale=0.1) as running:
        yield running


def ask(api: DemoApi, start: datetime, end: datetime, **more: object) -> tuple[int, dict]:
    query = urlencode({"from": start.isoformat(), "to": end.isoformat(), **more})
    while (answer := api.answer(f"/reviews?{query}", f"Bearer {api.token}"))[0] == 429:
        pass
    return answer[0], json.loads(answer[1])


def test_spans_share_no_review_and_leave_none_out(api: DemoApi) -> None:
    edges = [START, START + timedelta(hours=7), START + timedelta(hours=7, minutes=1), START + timedelta(days=2)]
    found = [ask(api, *span, per_page=1_000)[1]["data"]["reviews"] for span in pairwise(edges)]
    whole = ask(api, edges[0], edges[-1], per_page=1_000)[1]
    assert [review["id"] for part in found for review in part] == [each["id"] for each in whole["data"]["reviews"]]
    assert whole["meta"]["total"] == len(whole["data"]["reviews"]) == 30
    for review in whole["data"]["reviews"]:
        assert edges[0] <= datetime.fromisoformat(review["written_at"]) < edges[-1]


def test_pages_are_cut_from_the_whole_and_the_future_has_none(api: DemoApi) -> None:
    day = START, START + timedelta(days=1)
    pages = [ask(api, *day, page=page, per_page=4)[1]["data"]["reviews"] for page in (1, 2, 3, 4, 5)]
    assert [len(page) for page in pages] == [4, 4, 4, 3, 0]
    later = datetime.now(UTC) + timedelta(days=1)
    assert ask(api, later, later + timedelta(days=30))[1]["meta"]["total"] == 0


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [("/review", None, 404), ("/reviews", "Bearer wrong", 401), ("/reviews", None, 401)],
)
def test_who_is_refused(path: str, token: str | None, status: int, api: DemoApi) -> None:
    assert api.answer(path, token)[0] == status


def test_each_tenth_request_is_told_to_come_again(api: DemoApi) -> None:
    statuses = [api.answer("/reviews", f"Bearer {api.token}")[0] for _ in range(2 * BUSY_EVERY)]
    assert statuses == ([422] * (BUSY_EVERY - 1) + [429]) * 2
