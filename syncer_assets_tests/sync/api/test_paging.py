"""Every way of paging brings every record once, and ends."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from syncer_assets.model.api import Endpoint, Paging
from syncer_assets.model.errors import SyncError
from syncer_assets_tests.misbehaving_api import Asked, MisbehavingApi, Reply, orders, paged
from syncer_assets_tests.sync.api.rig import PAGED, Rig

ROWS = orders(95)
OFFSET = replace(PAGED, paging=Paging("offset", "skip", size_param="take", size=10))
CURSOR = Endpoint("orders", "/orders", records="items", id="id", paging=Paging("cursor", "after", next="paging.next"))
LINK = Endpoint("orders", "/orders", id="id", paging=Paging("link"))
LINK_IN_BODY = replace(LINK, records="items", paging=Paging("link", next="links.next"))


def by_offset(asked: Asked) -> Reply:
    start, size = asked.int("skip", 0), asked.int("take", 10)
    return Reply.json({"data": {"items": ROWS[start : start + size]}, "meta": {"total": len(ROWS)}})


def by_cursor(asked: Asked) -> Reply:
    start = int(asked.params.get("after", "c0")[1:])
    end = start + 10
    follows = {"next": f"c{end}"} if end < len(ROWS) else {"next": None}
    return Reply.json({"items": ROWS[start:end], "paging": follows})


def by_header(asked: Asked) -> Reply:
    page = asked.int("page", 1)
    link = f'</orders?page={page + 1}>; rel="next", </orders?page=10>; rel="last"' if page < 10 else ""
    return Reply.json(ROWS[(page - 1) * 10 : page * 10], Link=link)


def by_link_in_body(asked: Asked) -> Reply:
    page = asked.int("page", 1)
    return Reply.json(
        {"items": ROWS[(page - 1) * 10 : page * 10], "links": {"next": f"?page={page + 1}" if page < 10 else ""}}
    )


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize(
    ("endpoint", "answer"),
    [
        (PAGED, paged(ROWS)),
        (OFFSET, by_offset),
        (CURSOR, by_cursor),
        (LINK, by_header),
        (LINK_IN_BODY, by_link_in_body),
    ],
    ids=["page", "offset", "cursor", "link header", "link in body"],
)
def test_every_record_comes_once_and_in_order(endpoint: Endpoint, answer, concurrency: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, endpoint).with_limits(concurrency=concurrency)
    with MisbehavingApi(answer) as server:
        report = rig.read(server)
    assert rig.ids() == list(range(1, 96))
    assert (report.rows, report.duplicates, report.retries) == (95, 0, 0)
    assert {check.name: check.passed for check in report.checks} == {"row_count": True, "complete": True}
    assert rig.left() == [], "the attempt's pages are gone"


def test_pages_with_numbers_are_asked_for_several_at_a_time(tmp_path: Path) -> None:
    """Pages 2 to 5 are only answered when all four were asked for."""
    together, answer = threading.Barrier(4, timeout=60), paged(orders(50))

    def slow(asked: Asked) -> Reply:
        if 2 <= asked.int("page", 1) <= 5:
            together.wait()
        return answer(asked)

    rig = Rig(tmp_path).with_limits(concurrency=4)
    with MisbehavingApi(slow) as server:
        rig.read(server)
        assert server.most_at_once == 4
    assert rig.ids() == list(range(1, 51))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_server_that_gives_fewer_than_asked_for_loses_nothing(concurrency: int, tmp_path: Path) -> None:
    """It caps 10 at 7: offsets that were asked ahead would skip three of ten."""

    def capped(asked: Asked) -> Reply:
        start = asked.int("skip", 0)
        return Reply.json({"data": {"items": ROWS[start : start + 7]}, "meta": {"total": len(ROWS)}})

    rig = Rig(tmp_path, OFFSET).with_limits(concurrency=concurrency)
    with MisbehavingApi(capped) as server:
        rig.read(server)
    assert rig.ids() == list(range(1, 96))


def test_a_total_that_is_capped_ends_nothing(tmp_path: Path) -> None:
    """Some APIs never tell more than 10,000: the pages go on, and the check says that the two do not agree."""

    def capped(asked: Asked) -> Reply:
        page = asked.int("page", 1)
        return Reply.json({"data": {"items": ROWS[(page - 1) * 10 : page * 10]}, "meta": {"total": 50}})

    with MisbehavingApi(capped) as server:
        with pytest.raises(SyncError, match="95 records came, the API tells of 50"):
            Rig(tmp_path).read(server)
        rig = Rig(tmp_path, replace(PAGED, unstable="warn"))
        report = rig.read(server)
    assert rig.ids() == list(range(1, 96))
    assert [check.name for check in report.checks if not check.passed] == ["complete"]


def test_404_after_the_last_page_is_the_end_where_the_total_agrees(tmp_path: Path) -> None:
    answer = paged(orders(30))

    def strict(asked: Asked) -> Reply:
        return answer(asked) if asked.int("page", 1) <= 3 else Reply(b"{}", 404)

    with MisbehavingApi(strict) as server:
        rig = Rig(tmp_path / "a")
        rig.read(server)
        assert rig.ids() == list(range(1, 31))
        blind = Rig(tmp_path / "b", replace(PAGED, total=None))
        with pytest.raises(SyncError, match="answered 404"):
            blind.read(server)
        short = Rig(tmp_path / "c", replace(PAGED, total=None, paging=replace(PAGED.paging, size=20, ends="short")))
        assert short.read(server).rows == 30


def test_a_page_without_records_between_others_ends_no_cursor(tmp_path: Path) -> None:
    def sparse(asked: Asked) -> Reply:
        page = int(asked.params.get("after", "0"))
        return Reply.json(
            {"items": [{"id": page}] if page % 3 == 0 else [], "paging": {"next": str(page + 1) if page < 9 else None}}
        )

    rig = Rig(tmp_path, CURSOR)
    with MisbehavingApi(sparse) as server:
        assert rig.read(server).pages == 10
    assert rig.ids() == [0, 3, 6, 9]


def test_a_cursor_that_comes_again_is_no_endless_loop(tmp_path: Path) -> None:
    def circle(asked: Asked) -> Reply:
        return Reply.json({"items": [{"id": asked.number}], "paging": {"next": "ab"[asked.number % 2]}})

    rig = Rig(tmp_path, CURSOR)
    with MisbehavingApi(circle) as server:
        with pytest.raises(SyncError, match=r"orders \[all\]: GET /orders leads in a circle"):
            rig.read(server)
        assert len(server.asked) == 3
    assert rig.files() == [] and rig.manifest() is None


def test_the_last_cursor_told_again_with_nothing_is_the_end(tmp_path: Path) -> None:
    def tail(asked: Asked) -> Reply:
        done = asked.params.get("after") == "end"
        return Reply.json({"items": [] if done else [{"id": 1}], "paging": {"next": "end"}})

    rig = Rig(tmp_path, CURSOR)
    with MisbehavingApi(tail) as server:
        assert rig.read(server).rows == 1


def test_pages_without_end_are_ended(tmp_path: Path) -> None:
    def endless(asked: Asked) -> Reply:
        return Reply.json({"items": [], "paging": {"next": str(asked.number)}})

    rig = Rig(tmp_path, CURSOR).with_limits(pages=20)
    with MisbehavingApi(endless) as server, pytest.raises(SyncError, match="no end after 20 pages"):
        rig.read(server)
    assert rig.manifest() is None


def test_an_empty_list_is_committed_as_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with MisbehavingApi(paged([])) as server:
        report = rig.read(server)
    manifest = rig.manifest()
    assert manifest is not None and manifest.rows == 0 and rig.files() == []
    assert report.checks[1].passed and report.total == 0
