"""Each way in which an API answers badly, and what becomes of it."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from syncer_assets.model.api import Api
from syncer_assets.model.errors import ConfigError, SyncError
from syncer_assets.sources.rest.errors import wait_seconds
from syncer_assets.sync.retry import Backoff
from syncer_assets_tests.misbehaving_api import Answer, Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.servers import free_ports
from syncer_assets_tests.sync.api.rig import FAST, PAGED, Rig

GOOD = paged(orders(25))


def first(bad: Reply | Callable[[Asked], Reply], times: int = 1) -> Answer:
    """Answers badly at first, to every page, then well."""
    seen: dict[str, int] = {}

    def answer(asked: Asked) -> Reply:
        page = asked.params.get("page", "1")
        seen[page] = seen.get(page, 0) + 1
        if seen[page] > times:
            return GOOD(asked)
        return bad(asked) if callable(bad) else bad

    return answer


def whole(asked: Asked) -> Reply:
    return GOOD(asked)


PASSING: dict[str, Callable[[Asked], Reply]] = {
    "429": lambda asked: Reply(b"{}", 429),
    "500": lambda asked: Reply(b"oh no", 500),
    "503": lambda asked: Reply(b"", 503, {"Retry-After": "0"}),
    "408": lambda asked: Reply(b"", 408),
    "half a body": lambda asked: replace(whole(asked), cut=40),
    "half a body of untold length": lambda asked: replace(whole(asked), cut=40, told_length=False),
    "no body": lambda asked: replace(whole(asked), cut=0),
    "half a gzip, with the length of the half": lambda asked: whole(asked).gzipped(cut=9),
    "gzip without its trailer": lambda asked: whole(asked).gzipped(cut=1),
    "damaged gzip": lambda asked: Reply(b"\x1f\x8b no gzip", headers={"Content-Encoding": "gzip"}),
    "HTML with 200": lambda asked: Reply(b"<html>sign in</html>", headers={"Content-Type": "text/html; charset=utf-8"}),
    "HTML said to be JSON": lambda asked: Reply(b"<!doctype html><p>back soon"),
    "invalid UTF-8": lambda asked: Reply(b'{"data": {"items": ["\xff"]}}'),
    "two documents": lambda asked: Reply(b'{"data": {"items": []}}{}'),
    "the list twice": lambda asked: Reply(b'{"data": {"items": [1]}, "data": {"items": []}}'),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_asked_for_again(kind: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(first(PASSING[kind], times=2)) as server:
        report = rig.read(server)
    assert rig.ids() == list(range(1, 26))
    assert report.retries == 2 * 3
    assert (report.rows, report.attempts) == (25, 1)


@pytest.mark.parametrize("kind", PASSING)
def test_what_does_not_pass_is_told_and_commits_nothing(kind: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path, backoff=Backoff(0.001, 0.01, 0.05))

    def answer(asked: Asked) -> Reply:
        return GOOD(asked) if asked.int("page", 1) == 1 else PASSING[kind](asked)

    with MisbehavingApi(answer) as server, pytest.raises(SyncError) as raised:
        rig.read(server)
    assert str(raised.value).startswith("orders [all]: GET /orders was ")
    assert raised.value.retryable
    assert rig.manifest() is None and rig.files() == []


PERMANENT = {
    400: "compare `params`",
    401: "put a valid, unexpired secret into CRM_TOKEN",
    403: "give the account of CRM_TOKEN the right",
    404: "compare `base_url` and `path`",
    410: "it is gone",
    422: "compare `params`",
    501: "ask who runs the API",
}


@pytest.mark.parametrize("status", PERMANENT)
def test_what_will_not_pass_is_asked_for_once_and_names_the_fix(status: int, tmp_path: Path) -> None:
    api = Api("crm", bearer_env="CRM_TOKEN", limits=FAST)
    rig = Rig(tmp_path, api=api, secrets={"CRM_TOKEN": "t0ken"})
    with MisbehavingApi(lambda asked: Reply(b'{"private": 1}', status)) as server:
        with pytest.raises(SyncError) as raised:
            rig.read(server)
        assert len(server.asked) == 1
    assert f"answered {status}" in str(raised.value) and PERMANENT[status] in str(raised.value)
    assert not raised.value.retryable and "private" not in str(raised.value)


def test_a_path_that_has_no_list_is_named_and_asked_for_once(tmp_path: Path) -> None:
    for body, told in ((b'{"data": {}}', "is not there"), (b'{"data": {"items": {}}}', "is no array")):
        with MisbehavingApi(lambda asked, body=body: Reply(body)) as server:
            with pytest.raises(SyncError, match=f"`records: data.items` {told}"):
                Rig(tmp_path).read(server)
            assert len(server.asked) == 1


def test_null_is_an_empty_list_only_where_that_was_said(tmp_path: Path) -> None:
    with MisbehavingApi(lambda asked: Reply(b'{"data": {"items": null}, "errors": ["no"]}')) as server:
        with pytest.raises(SyncError, match="null_records: empty"):
            Rig(tmp_path).read(server)
        assert Rig(tmp_path, replace(PAGED, null_records="empty", total=None)).read(server).rows == 0


def test_the_server_says_when_to_come_again(tmp_path: Path) -> None:
    asked_to_wait = first(Reply(b"", 429, {"Retry-After": "1"}))
    rig = Rig(tmp_path, backoff=Backoff(0.001, 0.01, 5.0)).with_limits(concurrency=3)
    with MisbehavingApi(asked_to_wait) as server:
        rig.read(server)
        waits = [after.at - before.at for before, after in zip(server.asked, server.asked[1:], strict=False)]
    assert max(waits) >= 0.9
    assert rig.ids() == list(range(1, 26))


def test_limits_shorten_the_wait_of_one_page(tmp_path: Path) -> None:
    """`limits.budget_seconds` counts before the `failover` of the API."""
    rig = Rig(tmp_path, backoff=Backoff(0.001, 0.01, 600.0)).with_limits(budget_seconds=0.05)
    with MisbehavingApi(lambda asked: Reply(b"", 503)) as server:
        with pytest.raises(SyncError, match="503"):
            rig.read(server)
        assert len(server.asked) > 1


def test_a_wait_beyond_the_budget_is_told_and_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    with MisbehavingApi(lambda asked: Reply(b"", 429, {"Retry-After": "3600"})) as server:
        with pytest.raises(SyncError, match="asks to wait 3600 s") as raised:
            Rig(tmp_path).read(server)
        assert len(server.asked) == 1
    assert "limits.budget_seconds" in str(raised.value) and raised.value.retryable
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("skew", [timedelta(), timedelta(hours=3), timedelta(hours=-3)])
def test_a_date_to_come_again_is_counted_by_the_servers_own_clock(skew: timedelta) -> None:
    now = datetime.now(UTC).replace(microsecond=0) + skew
    headers = {"date": format_datetime(now, True), "retry-after": format_datetime(now + timedelta(seconds=90), True)}
    assert wait_seconds(headers) == 90
    assert wait_seconds({**headers, "retry-after": format_datetime(now - timedelta(hours=1), True)}) == 0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1e3", "٣", "Wed, 99 Foo 2026"])
def test_no_time_to_come_again_is_none(text: str) -> None:
    assert wait_seconds({"retry-after": text}) is None


def test_a_page_that_drips_is_ended_though_each_byte_comes_in_time(tmp_path: Path) -> None:
    dripping = Reply(b"[" + b" " * 10_000, drip_seconds=0.01)
    rig = Rig(tmp_path, backoff=Backoff(0.001, 0.01, 0.2)).with_limits(response_seconds=0.3)
    started = time.monotonic()
    told = r"not answered whole within 0\.3 s"
    with MisbehavingApi(lambda asked: dripping) as server, pytest.raises(SyncError, match=told):
        rig.read(server)
    assert time.monotonic() - started < 60, "the page would drip for 100 s"


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    rig = Rig(tmp_path, backoff=Backoff(0.001, 0.01, 0.1)).with_limits(timeout_seconds=0.2)
    told = r"was not answered \(ReadTimeout\)"
    with MisbehavingApi(lambda asked: (time.sleep(1), Reply())[1]) as server, pytest.raises(SyncError, match=told):
        rig.read(server)


def test_nobody_there_is_told_without_the_address(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    nobody: Any = SimpleNamespace(url=f"http://127.0.0.1:{port}")
    with pytest.raises(SyncError, match=r"GET /orders was not answered \(ConnectError\)") as raised:
        Rig(tmp_path).read(nobody)
    assert str(port) not in str(raised.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_page_beyond_the_limit_is_refused_before_it_fills_the_memory(packed: bool, tmp_path: Path) -> None:
    bomb = Reply(b"[" + b" " * 50_000_000 + b"]")
    with MisbehavingApi(lambda asked: bomb.gzipped() if packed else bomb) as server:
        with pytest.raises(SyncError, match="a page of more than 1 MB") as raised:
            Rig(tmp_path).with_limits(page_mb=1).read(server)
        assert len(server.asked) == 1
    assert "limits.page_mb" in str(raised.value)


def test_an_encoding_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    with MisbehavingApi(lambda asked: Reply(b"..", headers={"Content-Encoding": "br"})) as server:
        with pytest.raises(SyncError, match="encoding 'br'"):
            Rig(tmp_path).read(server)
        assert server.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("total", ["meta.total", None])
def test_a_list_that_shifts_under_the_pages_is_read_again(total: str | None, tmp_path: Path) -> None:
    """Newest first; a record comes in while page 2 is read: 16 comes twice, and the new one would be missed."""
    rows = orders(30)[::-1]

    def shifting(asked: Asked) -> Reply:
        if asked.number == 2:
            rows.insert(0, {"id": 31})
        return paged(rows)(asked)

    rig = Rig(tmp_path, replace(PAGED, total=total))
    with MisbehavingApi(shifting) as server:
        report = rig.read(server)
    assert sorted(rig.ids()) == list(range(1, 32))
    assert (report.attempts, report.duplicates) == (2, 0)
    assert "list changed while it was read" in [event for event, _ in rig.events]


@pytest.mark.parametrize("has_id", [True, False])
def test_a_list_that_never_keeps_still_is_refused_unless_that_was_allowed(has_id: bool, tmp_path: Path) -> None:
    def restless(asked: Asked) -> Reply:
        return paged(orders(25 + asked.number)[::-1])(asked)

    endpoint = replace(PAGED, id="id" if has_id else None)
    with MisbehavingApi(restless) as server:
        rig = Rig(tmp_path, endpoint)
        with pytest.raises(SyncError, match="the list is not whole") as raised:
            rig.read(server)
        assert raised.value.kind == "assertion"
        assert rig.manifest() is None and rig.left() == []
        warned = replace(rig, endpoint=replace(endpoint, unstable="warn"))
        report = warned.read(server)
    (complete,) = [check for check in report.checks if check.name == "complete"]
    assert (complete.passed, complete.severity, report.attempts) == (False, "WARN", 3)
    assert (report.duplicates or 0) > 0 if has_id else report.duplicates is None


def test_a_list_that_only_grows_at_its_end_is_whole(tmp_path: Path) -> None:
    def growing(asked: Asked) -> Reply:
        return paged(orders(20 + asked.number))(asked)

    rig = Rig(tmp_path)
    with MisbehavingApi(growing) as server:
        report = rig.read(server)
    assert report.attempts == 1 and report.checks[1].passed
    assert rig.ids() == list(range(1, report.rows + 1))


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("ftp://127.0.0.1", "is no address"),
        ("api.example.com", "is no address"),
        ("https://user:pa55word@127.0.0.1", "has credentials"),
        ("https://127.0.0.1/?key=pa55word", "has credentials or parameters"),
        ("http://api.example.com", "plain http, and a secret"),
    ],
)
def test_a_base_url_that_cannot_be_right_is_refused_before_anything_is_sent(
    base_url: str, said: str, tmp_path: Path
) -> None:
    from syncer_assets.sources.rest import Client

    with pytest.raises(ConfigError, match=said) as raised:
        Client(Api("crm", bearer_env="CRM_TOKEN"), base_url, {"CRM_TOKEN": "t0ken"})
    assert "pa55word" not in str(raised.value)
